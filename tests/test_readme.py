import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.validation import check_is_fitted

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def names():
    """Run the blocks one after the other, as a reader would, with fewer epochs and frames."""
    names = {}
    for block in BLOCKS:
        quick = block.replace("max_epochs=100", "max_epochs=4").replace("n_frames=1500", "n_frames=600")
        exec(quick, names)
    return names


def test_the_settings_that_the_test_makes_smaller_are_there():
    assert len(BLOCKS) == 4
    assert "max_epochs=100" in BLOCKS[0]
    assert "n_frames=1500" in BLOCKS[0]


def test_first_block_scores_every_training_worm_on_the_others(names):
    assert names["scores"].shape == (6,)
    assert np.isfinite(names["scores"]).all()
    assert {"GNN", "SVM", "clock", "majority"} == set(names["results"]["model"])
    assert set(names["results"]["evaluation"]) == {"held_out_windows", "unseen_worms"}


def test_names_pass_through_the_pipeline(names):
    classifier = names["pipeline"][-1]
    assert classifier.worms_.tolist() == ["simulated-0", "simulated-1", "simulated-2"]
    assert "AVAL" in classifier.neurons_
    assert sorted(classifier.graphs_) == classifier.worms_.tolist()


def test_search_tries_every_setting(names):
    check_is_fitted(names["search"])
    scores = names["search"].cv_results_["mean_test_score"]
    assert scores.shape == (4,)
    assert np.isfinite(scores).all()


def test_trajectories_of_the_unseen_worm_are_predicted(names):
    assert names["forecast"].shape == names["Y"][names["unseen"]].shape
    assert np.isfinite(names["forecast"]).all()


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8")))
def test_linked_files_exist(link):
    assert (README.parent / link).exists()
