"""What targets say about themselves: external recordings, the smallest p, and what is less than in the paper."""

from dataclasses import replace

import pandas as pd
import pytest
from skworm.experiments import everything, study
from skworm.experiments.arms import StudySettings
from skworm.experiments.catalogue import TARGETS
from skworm.experiments.protocol import load_material

from skworm.datasets import make_worms


@pytest.fixture(scope="module")
def material():
    """Worms with derivatives of their own, and worms of another lab without."""
    material = load_material(StudySettings())
    return replace(material, recordings=[replace(worm, derivatives=worm.traces) for worm in material.recordings])


@pytest.mark.parametrize("scored", [True, False])
def test_external_worms_are_described_where_a_score_is_of_them(material, scored):
    evaluations = ["held_out_windows", "unseen_worms", *([material.external_name] if scored else [])]
    scores = pd.DataFrame({"evaluation": evaluations})
    described = study.settings_of_study(TARGETS["modules"], StudySettings(), material, scores)
    external = f"{material.external_name}, {len(material.external)} worms" if scored else "none"
    assert f"external: {external}" in described["settings"].splitlines()
    record = described["record"]
    assert len(record["external_worms"]) == (len(material.external) if scored else 0)
    assert (record["external_sha256"] is not None) == scored
    assert record["derivative"] == material.derivative == "central"


@pytest.mark.parametrize(("n_worms", "smallest"), [(3, "1/4"), (20, "1/524288"), (21, "0.0001")])
def test_the_smallest_p_is_that_of_the_test(material, n_worms, smallest):
    several = replace(material, recordings=make_worms(n_worms, n_frames=20, random_state=0))
    said = " ".join(study.reading_of_study(TARGETS["modules"], StudySettings(), several))
    assert f"With {n_worms} worms no p on unseen worms is below {smallest}." in said


@pytest.mark.parametrize(
    ("plan", "departure"),
    [
        ({}, ""),
        ({"quick": True}, f"{everything.QUICK_FORECAST_EPOCHS} of 800 epochs"),
        ({"forecast_epochs": 5}, "5 of 800 epochs"),
        ({"quick": True, "forecast_epochs": 800}, ""),
    ],
)
def test_forecasts_depart_from_the_paper_by_their_epochs(plan, departure):
    assert everything.Plan(**plan).forecasts().departure == departure
