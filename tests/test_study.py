"""The engine of experiments: settings, recordings, splits, and the cross-validation of arms."""

import inspect
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from skworm.datasets import make_worms, save_recordings
from skworm.frames import PAPER_NEURONS
from skworm.model_selection import WormGroupKFold
from skworm.paper.study import Settings, SomeSplits, digest_of_recordings, load_study

NEURONS = ("AVAL", "AVAR", "RID")
FEW = {"n_folds": 2, "n_train_worms": (1,), "neurons": NEURONS, "max_epochs": 2}
BASELINES = ["clock", "majority"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Folders of recordings: three worms, and two of another lab, all named alike."""
    root = tmp_path_factory.mktemp("recordings")
    save_recordings(make_worms(3, n_frames=400, worm_prefix="worm", random_state=0), root / "ours")
    others = make_worms(2, n_frames=400, lab=1, worm_prefix="worm", random_state=0)
    save_recordings(others, root / "theirs")
    renamed = [
        replace(worm, neurons=tuple(f"9{i}" if n == "AVAR" else n for i, n in enumerate(worm.neurons)))
        for worm in others
    ]
    save_recordings(renamed, root / "fewer_neurons")
    return root


def study_of(**settings):
    return load_study(Settings(**settings))


def run(study, folder, *models, **options):
    arms = study.arms(*models) if models else study.arms("svm", **options)
    return study.run(arms, folder, n_jobs=1, verbose=0)


@pytest.fixture(scope="module")
def both_folds(lab, tmp_path_factory):
    folds = ("shuffled_windows", "contiguous_blocks")
    study = study_of(data=str(lab / "ours"), external=str(lab / "theirs"), fold_by=folds, **FEW)
    arms = [arm for fold_by in folds for arm in study.arms("svm", "mlp", fold_by=fold_by)]
    return study.run(arms, tmp_path_factory.mktemp("out"), n_jobs=1, verbose=0)


def without_time(scores, evaluation):
    rows = scores.table[scores.table["evaluation"] == evaluation]
    return rows.drop(columns="fit_seconds").reset_index(drop=True)


def test_external_recordings_follow_the_data():
    assert Settings().external == "simulated"
    assert Settings(data="my_worms").external == "none"
    assert Settings(data="my_worms", external="theirs").external == "theirs"


@pytest.mark.parametrize(
    ("settings", "departure"),
    [
        ({"n_folds": 10}, ""),
        ({"n_folds": 1}, "1 of 10 folds"),
        ({"n_folds": 10, "max_epochs": 20}, "20 of 800 epochs"),
        ({"n_folds": 10, "max_epochs": 800}, ""),
        (
            {"n_folds": 1, "max_epochs": 5, "few_combinations": True},
            "1 of 10 folds, 5 of 800 epochs and some combinations of training worms",
        ),
    ],
)
def test_what_is_less_than_in_the_paper_is_named(settings, departure):
    assert Settings(**settings).departure == departure


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"states": ("3",)}, "states has the unknown name '3'; choose one or several of 7, 4"),
        ({"states": ()}, "states is empty; choose one or several of 7, 4"),
        ({"fold_by": ("windows",)}, "fold_by has the unknown name 'windows'; choose .*contiguous_blocks"),
        ({"n_folds": 11}, "11 folds cannot be held out in turn; pass a number from 1 to 10"),
        ({"n_train_worms": (2, 0)}, "0 training worms are too few; their number must be at least 1"),
        ({"neurons": "some"}, "neurons='some' is not a choice; pass 'shared', 'paper', or several names"),
        ({"data": "/nowhere"}, "/nowhere does not exist; check the path"),
        ({"external": "simulated", "neurons": ("AVAL", "AVDL")}, "has no 'AVDL'"),
        ({"data": "nameless"}, "neurons='paper' finds no neuron that is identified in every worm; name some"),
        ({"external": "nameless"}, "external recordings .* share none of the neurons AIBL.*; name neurons .*'none'"),
    ],
)
def test_bad_settings_are_refused(settings, message, tmp_path):
    worms = make_worms(1, n_frames=40, identification_rate=0, worm_prefix="nameless", random_state=0)
    save_recordings(worms, tmp_path / "nameless")
    paths = {key: str(tmp_path / "nameless") for key in ("data", "external") if settings.get(key) == "nameless"}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        frames_of(settings | paths)


def frames_of(settings):
    study = study_of(**settings)
    return study.frames("2", study.neurons)


def test_the_paper_preset_leaves_out_what_a_worm_lacks(lab):
    study = load_study(Settings(data=str(lab / "fewer_neurons"), neurons="paper"))
    assert study.neurons_left_out == ("AVAR",)
    assert study.neurons == tuple(neuron for neuron in PAPER_NEURONS if neuron != "AVAR")


def test_worms_of_two_labs_are_told_apart_by_their_lab(lab):
    study = load_study(Settings(data=str(lab / "ours"), external=str(lab / "theirs")))
    assert [worm.worm for worm in study.recordings] == ["worm-0", "worm-1", "worm-2"]
    assert [worm.worm for worm in study.external] == ["worm, lab 1/worm-0", "worm, lab 1/worm-1"]


def test_the_same_worms_are_refused_as_external(lab, tmp_path):
    study = study_of(data=str(lab / "ours"), external=str(lab / "ours"), **FEW)
    with pytest.raises(ValueError, match=r"'ours' has worms .*worm-0.*, which X has too"):
        run(study, tmp_path)


def test_file_derivatives_are_used_only_where_all_worms_have_them(lab):
    study = load_study(Settings(data=str(lab / "ours"), external="simulated"))
    assert study.derivative == "smooth"
    ours = [replace(worm, derivatives=worm.traces) for worm in study.recordings]
    assert replace(study, recordings=ours).derivative == "smooth"
    theirs = [replace(worm, derivatives=worm.traces) for worm in study.external]
    assert replace(study, recordings=ours, external=theirs).derivative == "file"


def test_a_digest_changes_with_the_data():
    worms = make_worms(2, n_frames=20, random_state=0)
    traces = worms[0].traces.copy()
    traces[3, 4] += 1e-9
    variants = [
        worms,
        worms[::-1],
        [replace(worms[0], traces=traces), worms[1]],
        [replace(worms[0], worm="other"), worms[1]],
        [replace(worms[0], states=None), worms[1]],
    ]
    assert len({digest_of_recordings(variant) for variant in variants}) == len(variants)
    assert digest_of_recordings(worms) == digest_of_recordings(make_worms(2, n_frames=20, random_state=0))


def test_each_kind_of_fold_is_run_and_external_worms_are_scored_once(both_folds):
    table = both_folds.table
    assert set(table["n_neurons"]) == {3}
    assert {kind: set(part["evaluation"]) for kind, part in table.groupby("fold_by")} == {
        "shuffled_windows": {"held_out_windows", "unseen_worms", "theirs"},
        "contiguous_blocks": {"held_out_windows", "unseen_worms"},
    }
    fits = table.drop_duplicates(["fold_by", "model", "train_worms", "fold"])
    models, folds, kinds, worms = 4, 2, 2, 3
    assert len(fits) == models * folds * kinds * worms
    assert both_folds.models == ["svm", "mlp", "majority", "clock"]


def test_external_worms_without_some_neurons_get_fits_of_their_own(lab, tmp_path):
    ours, fewer = str(lab / "ours"), str(lab / "fewer_neurons")
    study = study_of(data=ours, external=fewer, **FEW)
    assert study.external_neurons == ("AVAL", "RID")
    scores = run(study, tmp_path)
    assert scores.table.groupby("evaluation")["n_neurons"].unique().map(list).to_dict() == {
        "held_out_windows": [3],
        "unseen_worms": [3],
        "fewer_neurons": [2],
    }
    directly = run(study_of(data=ours, external=fewer, **FEW | {"neurons": ("AVAL", "RID")}), tmp_path)
    pd.testing.assert_frame_equal(*(without_time(each, "fewer_neurons") for each in (scores, directly)))
    alone = run(study, tmp_path, external_on_fewer=False)
    assert set(alone.evaluations) == {"held_out_windows", "unseen_worms"}


def test_seven_states_are_scored_on_other_labs_that_have_no_more_than_these(lab):
    study = load_study(Settings(data=str(lab / "ours"), external=str(lab / "theirs")))
    assert study.scores_external("7")
    odd = [replace(worm, states=["turn"] * worm.n_frames) for worm in study.external]
    assert not replace(study, external=odd).scores_external("7")
    assert replace(study, external=odd).scores_external("4")
    assert not replace(study, external=[]).scores_external("4")


def test_a_second_run_fits_nothing(lab, tmp_path):
    study = study_of(data=str(lab / "ours"), **FEW)
    first = run(study, tmp_path)
    fits = {path: path.stat().st_mtime_ns for path in (tmp_path / "fits").iterdir()}
    second = run(study, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "fits").iterdir()} == fits
    pd.testing.assert_frame_equal(first.table, second.table)


def test_numbers_of_training_worms_leave_a_worm_to_score(lab):
    study = study_of(data=str(lab / "ours"), neurons=NEURONS)
    assert study.train_counts() == (1, 2)
    assert study.train_counts((2, 1, 2)) == (1, 2)
    with pytest.raises(ValueError, match="3 worms with 3 for training leave none unseen; train on fewer"):
        study.train_counts((1, 3))
    beside = study_of(data=str(lab / "ours"), external=str(lab / "theirs"), neurons=NEURONS)
    assert beside.train_counts((1, 3)) == (1, 3)
    with pytest.raises(ValueError, match="3 worms with 4 for training leave none unseen"):
        beside.train_counts((4,))


def test_blocks_are_named_after_states_and_several_numbers_of_worms(lab):
    study = study_of(data=str(lab / "ours"), neurons=NEURONS, states=("2", "4"))
    assert [arm.block for arm in study.arms("svm")] == [
        f"{states} states, {worms}" for states in (2, 4) for worms in ("1 training worm", "2 training worms")
    ]
    study = study_of(data=str(lab / "ours"), neurons=NEURONS, states=("2", "4"), n_train_worms=(1,))
    assert [arm.block for arm in study.arms("svm")] == ["2 states", "4 states"]


@pytest.mark.parametrize("n_train", [1, 2, 3, 4])
def test_few_combinations_train_every_worm_equally_often(n_train):
    worms = np.repeat(list("abcde"), 4)
    cv = SomeSplits(WormGroupKFold(2, n_train_worms=n_train, window=1, random_state=0), 1, few_combinations=True)
    trained = [split.train_worms for split in cv.split_worms(np.zeros((20, 1)), None, worms)]
    assert len(trained) == len(set(trained)) == 5
    assert set(trained) <= set(combinations("abcde", n_train))
    assert {sum(worm in combination for combination in trained) for worm in "abcde"} == {n_train}


def test_trajectories_look_and_leak_from_no_frame_ahead(lab):
    study = study_of(data=str(lab / "ours"), neurons=NEURONS)
    X, Y, labels = study.trajectories("4", NEURONS, 4, study.recordings)
    assert X.attrs["derivative_looks_ahead"] is False
    assert len(Y.columns) == 2 * len(NEURONS) * 16
    assert len(labels) == 3 * 400
    assert study._splitter(1, "contiguous_blocks", 4).cv.gap == 20
    assert study._splitter(1, "contiguous_blocks", 0).cv.gap == 0


def test_every_setting_has_an_option_of_the_command():
    from skworm.cli.reproduce import command_of
    from skworm.paper.declaration import _OPTIONS
    from skworm.paper.targets import TARGETS

    options = {option for parameter in command_of(TARGETS["table1"]).params for option in parameter.opts}
    names = set(inspect.signature(Settings).parameters)
    assert {_OPTIONS.get(name, f"--{name.replace('_', '-')}") for name in names} <= options
