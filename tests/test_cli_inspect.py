"""What inspect finds in recordings, and what make_frames refuses or warns of."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from skworm.cli import main
from skworm.datasets import load_recordings, make_worms
from skworm.datasets.summary import summarize_recording
from skworm.estimators.prediction import bouts_in_seconds
from skworm.frames import make_frames

TABLES = Path(os.environ.get("SKWORM_FIELD", "")) / "tables"


@pytest.fixture(scope="module")
def worm():
    return make_worms(1, n_frames=600, random_state=0)[0]


def with_traces(worm, change):
    traces = worm.traces.copy()
    change(traces)
    return replace(worm, traces=traces)


def move(traces):
    traces[300:303] += 8


def lose_focus(traces):
    traces[200:260] = np.nan


def spike(traces):
    traces[50, 2] += 100


def overflow(traces):
    traces[50, 2] = 1e252


def bleach(traces):
    traces += np.linspace(np.ptp(traces, axis=0), 0, len(traces))


def freeze(traces):
    traces[:, 1] = 0.5


FINDINGS = {
    move: "most traces jump together in 3 frames, 300, 301, 302",
    lose_focus: "60 frames have no value of any trace, the first is frame 200",
    spike: "1 values lie far beyond all others of their trace, the first",
    overflow: "1 values cannot be, the first 1e+252",
    bleach: "traces decline",
    freeze: "1 traces are constant",
}


@pytest.mark.parametrize("change", FINDINGS)
def test_each_artefact_is_one_finding(worm, change):
    assert summarize_recording(worm)["problems"] == []
    (problem,) = summarize_recording(with_traces(worm, change))["problems"]
    assert problem.startswith(FINDINGS[change])


def test_a_gap_ends_a_bout(worm):
    time = np.where(np.arange(600) < 300, worm.time, worm.time + 3600)
    late = replace(worm, time=time, states=["forward"] * 600)
    found = summarize_recording(late)
    assert found["states"]["forward"]["bouts"] == 2
    assert found["states"]["forward"]["median_duration"] == pytest.approx(300 / worm.fps)
    assert any("the longest 60 minutes after frame 299" in problem for problem in found["problems"])
    table = pd.DataFrame({"worm": "a", "time": time, "state": "forward"})
    assert bouts_in_seconds(table)["duration"].tolist() == pytest.approx([300 / worm.fps] * 2)
    with pytest.warns(UserWarning, match="no frames for 3600 s after frame 299"):
        make_frames(late, states="2")


def test_frames_of_contradicting_recordings_are_refused(worm):
    with pytest.raises(ValueError, match="given as 29 a second, but"):
        make_frames(replace(worm, fps=29.0))
    with pytest.raises(ValueError, match=r"is 1e\+252 in frame 50"):
        make_frames(with_traces(worm, overflow), neurons=[worm.neurons[2]], states="2")


def test_frames_without_values_are_not_trained_on(worm):
    lost = with_traces(worm, lose_focus)
    whole, y = make_frames(worm, states="2")
    X, z = make_frames(lost, states="2")
    kept = [frame for _, frame in whole.index if not 200 <= frame < 260]
    assert X.index.get_level_values("frame").tolist() == kept
    assert z.tolist() == y.loc[X.index].tolist()
    assert not X.isna().to_numpy().any()
    context, _ = make_frames(lost, states="2", context=(-3, 0))
    assert not context.isna().to_numpy().any()
    with pytest.raises(ValueError, match="is NaN in 60 of 600 frames"):
        make_frames(lost, states="2", unknown="keep")


def test_what_became_of_each_column_is_listed(worm, tmp_path):
    table = pd.DataFrame(worm.traces[:, :2], columns=["AVAL", "cell 3"])
    table.insert(0, "Time", worm.time)
    table["velocity"] = np.sin(worm.time)
    table.to_csv(tmp_path / "w.csv", index=False)
    text = CliRunner().invoke(main, ["inspect", str(tmp_path)]).stdout
    assert "  unidentified: cell 3\n  behaviour: velocity\n" in text
    with pytest.warns(UserWarning, match="fps=29 is not used"):
        load_recordings(tmp_path, fps=29)


@pytest.mark.skipif(not TABLES.is_dir(), reason="SKWORM_FIELD is not set: it names the folder that holds tables/")
@pytest.mark.parametrize("change", [move, lose_focus, bleach])
def test_artefacts_of_real_worms_are_found(change):
    file = {move: "motion_artefact", lose_focus: "lost_focus", bleach: "bleaching"}[change]
    (worm,) = load_recordings(TABLES / f"{file}.csv")
    (problem,) = summarize_recording(worm)["problems"]
    assert problem.startswith(FINDINGS[change])


def test_real_worms_are_sound(recordings_kato2015):
    assert [summarize_recording(worm)["problems"] for worm in recordings_kato2015] == [[]] * 5
