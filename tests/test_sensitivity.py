import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from skworm.experiments import sensitivity
from skworm.experiments.intervals import interval_over_worms
from skworm.experiments.sensitivity import (
    AUGMENTATIONS,
    READINGS,
    choose_without_scored_worm,
    score_readings,
    sensitivity_table,
)

from skworm import GNNStateClassifier
from skworm.cli import main
from skworm.datasets import make_worms, save_recordings


def made_up_scores(worms=("a", "b", "c", "d"), seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        {"reading": reading, "states": states, "augmentation": augmentation, "train_worms": train, "worm": worm}
        for reading in list(READINGS)[:3]
        for states in ("2", "4")
        for augmentation in AUGMENTATIONS
        for train in worms
        for worm in worms
        if worm != train
    ]
    return pd.DataFrame(rows).assign(evaluation="unseen_worms", accuracy=rng.random(len(rows)))


def test_every_reading_is_made_of_parameters_of_the_gnn():
    for parameters in READINGS.values():
        assert GNNStateClassifier(**parameters).get_params(deep=False) == dict(parameters)
    assert READINGS["default"] == GNNStateClassifier().get_params(deep=False)
    assert len({str(sorted(parameters.items(), key=str)) for parameters in READINGS.values()}) == len(READINGS)


def test_readings_are_scored_with_and_without_virtual_worms(tmp_path):
    worms = make_worms(3, n_frames=300, random_state=0)
    run = {"states": ("2",), "readings": ["default"], "n_folds": 1, "max_epochs": 3, "n_jobs": 1, "verbose": 0}
    scores = score_readings(worms, tmp_path, **run)
    assert set(scores["augmentation"]) == set(AUGMENTATIONS)
    assert set(scores["fold"]) == {0}
    table = sensitivity_table(scores)
    assert table.index.tolist() == ["SVM", "MLP published", "MLP", "MLP, weight decay", "default"]
    assert table.loc["SVM", ("2", "virtual worms")] == ""
    unseen = scores[(scores["evaluation"] == "unseen_worms") & (scores["reading"] == "SVM")]
    by_worm = 100 * unseen.groupby("worm")["accuracy"].mean()
    text, interval = table.loc["SVM", ("2", "plain")].split("\n")
    assert text == f"{by_worm.mean():.1f} ± {by_worm.std():.1f}"
    low, high = map(float, interval.strip("()").split(" to "))
    assert (low, high) == pytest.approx(
        interval_over_worms(unseen.assign(score=100 * unseen["accuracy"]), "score"), abs=0.05
    )
    assert low < high


@pytest.mark.parametrize("scored", ["a", "c"])
def test_the_choice_ignores_every_fit_that_involves_the_scored_worm(scored):
    scores = made_up_scores()
    choice = choose_without_scored_worm(scores)
    involved = (scores["worm"] == scored) | (scores["train_worms"] == scored)
    changed = scores.assign(accuracy=scores["accuracy"].where(~involved, 1 - scores["accuracy"]))
    assert choose_without_scored_worm(changed).loc[scored, "reading"] == choice.loc[scored, "reading"]
    favoured = scores["reading"] == list(READINGS)[2]
    elsewhere = scores.assign(accuracy=scores["accuracy"].where(~favoured | involved, 2.0))
    assert choose_without_scored_worm(elsewhere).loc[scored, "reading"] == list(READINGS)[2]


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match=r"needs at least three worms, got \['a', 'b'\]"):
        choose_without_scored_worm(made_up_scores(("a", "b")))
    with pytest.raises(ValueError, match=r"\['literal'\] are no readings; choose among \['published'"):
        score_readings(make_worms(2, n_frames=200, random_state=0), tmp_path, readings=["literal"])


def test_the_command_writes_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(sensitivity, "READINGS", {"default": READINGS["default"]})
    save_recordings(make_worms(3, n_frames=300, random_state=0), tmp_path / "worms")
    options = ["--epochs", "2", "--states", "2", "--n-jobs", "1", "--quiet", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["reproduce", "sensitivity", "--data", str(tmp_path / "worms"), *options])
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "out" / "sensitivity.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "| reading | 2 states, plain | 2 states, virtual worms |"
    assert [line.split(" | ")[0] for line in lines[2:]][-1] == "| default"
    choice = (tmp_path / "out" / "choice.md").read_text(encoding="utf-8").splitlines()
    assert len(choice) == 2 + 3
