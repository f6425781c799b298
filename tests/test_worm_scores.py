"""What a cross-validation returns: its parts, files and errors."""

import json

import numpy as np
import pandas as pd
import pytest

from skworm.model_selection import WormScores, read_runs, read_scores
from skworm.model_selection.store import FitStore

KEYS = {"train_worms": [("strain+1",), ("strain+1",)], "fold": 0, "evaluation": "unseen_worms", "worm": ["b", "c"]}


def table_of(**columns):
    return pd.DataFrame({"model": "svm", **KEYS, "accuracy": [0.5, 0.75], **columns})


def confusion_of(**columns):
    return pd.DataFrame(
        {"model": "svm", **KEYS, "state": "forward", "predicted": "reverse", "n_frames": [3, 4], **columns}
    )


def test_a_folder_gives_back_what_was_saved(tmp_path):
    # Thirds have no short decimal, and some programs would take these names for numbers or for missing values.
    table = table_of(train_worms=[("strain+1", "007"), ("nan",)], worm=["1e3", "NA"], accuracy=[1 / 3, np.nan])
    scores = WormScores(table, confusion_of(), {"task": "states", "fits": ["0a"]}, n_missing=2)
    scores.save(tmp_path / "new" / "folder")
    found = read_scores(tmp_path / "new" / "folder")
    pd.testing.assert_frame_equal(found.table, table, rtol=1e-14)
    pd.testing.assert_frame_equal(found.confusion, scores.confusion)
    assert (found.record, found.n_missing) == (scores.record, 2)
    assert pd.read_csv(tmp_path / "new" / "folder" / "summary.csv").equals(scores.summary())


def test_a_confusion_of_earlier_scores_does_not_stay(tmp_path):
    WormScores(table_of(), confusion_of()).save(tmp_path)
    paths = WormScores(table_of()).save(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert read_scores(tmp_path).confusion is None


def test_a_worm_with_a_plus_in_its_name_is_one_worm():
    rows = [
        {"model": model, "train_worms": train, "fold": 0, "evaluation": "unseen_worms", "worm": worm, "accuracy": score}
        for model, score in (("svm", 0.5), ("gnn", 0.75))
        for train, worm in ((("strain+1",), "strain"), (("strain", "1"), "strain+1"))
    ]
    scores = WormScores(pd.DataFrame(rows))
    assert repr(scores) == "WormScores(states: 2 models, 2 worms, 4 fits)"
    assert scores.summary()[["n_worms", "n_fits"]].to_numpy().tolist() == [[2, 2]] * 2
    assert scores.compare("svm")[["n_worms", "n_fits"]].to_numpy().tolist() == [[2, 2]] * 2
    assert scores.where(train_worms=("strain", "1")).table["worm"].tolist() == ["strain+1"] * 2
    assert len(scores.where(train_worms=[("strain", "1"), ("strain+1",)]).table) == 4


def test_parts_have_their_own_rows_and_confusion():
    tables = [table_of(states=states) for states in ("2", "4")]
    counts = [confusion_of(states=states) for states in ("2", "4")]
    scores = WormScores(pd.concat(tables), pd.concat(counts))
    for (part, own), table, confusion in zip(scores.parts("unseen_worms"), tables, counts, strict=True):
        assert part == {"states": table["states"].iloc[0]}
        pd.testing.assert_frame_equal(own.table, table)
        pd.testing.assert_frame_equal(own.confusion, confusion)


def test_rows_without_a_value_are_a_part_of_their_own():
    both = pd.concat([table_of(), table_of(burn_in=4, accuracy=[0.25, 0.25])])
    scores = WormScores(pd.concat([both, both.assign(model="gnn")]))
    assert scores.summary()["accuracy_mean"].tolist() == [0.625, 0.25] * 2
    assert [len(own.table) for _, own in scores.parts("unseen_worms")] == [4, 4]
    assert scores.compare("svm")["mean"].tolist() == [0.625] * 2 + [0.25] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns=["fold", "worm"]), "lacks the columns fold, worm; pass the table of"),
        (lambda table: table.drop(columns="accuracy"), "none of the metrics accuracy, mse, r2"),
        (lambda table: table.assign(accuracy=["high", "low"]), "the column accuracy of the table holds no numbers"),
        (lambda table: table.assign(train_worms="a+b"), r"train_worms of the table holds 'a\+b'; .* such as \('a',\)"),
        (lambda table: table.assign(train_worms=[["a"], ["b"]]), r"train_worms of the table holds \['a'\]"),
        (lambda table: table.to_dict("records"), "the table is a list; pass the table of cross_validate_worms"),
    ],
)
def test_other_tables_are_refused(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        WormScores(change(table_of()))


def test_a_skill_is_that_of_mean_errors_and_worms_without_transitions_stay_out_of_those():
    errors = {"mse": [1.0, 4.0], "persistence_mse": [2.0, 16.0], "mse_transition": [1.0, np.nan]}
    table = table_of(**errors, persistence_mse_transition=[2.0, np.nan]).drop(columns="accuracy")
    row = WormScores(table).summary(n_resamples=100).iloc[0]
    assert (row["skill"], row["skill_worst"]) == (1 - 2.5 / 9, 0.5)
    assert (row["mse_transition_low"], row["mse_transition_high"], row["skill_transition"]) == (1, 1, 0.5)


def test_intervals_follow_the_seed_and_one_worm_has_none():
    scores = WormScores(pd.concat([table_of(fold=n, accuracy=[n / 7, n * n / 60]) for n in range(6)]))
    lows = [scores.summary(n_resamples=100, random_state=seed)["accuracy_low"].item() for seed in (0, 1)]
    assert lows[0] != lows[1]
    assert scores.where(worm="b").summary()[["accuracy_low", "accuracy_high"]].isna().all(axis=None)


def test_worms_without_a_scored_frame_are_not_compared():
    both = pd.concat([table_of(model=model, n_frames=5) for model in ("svm", "gnn")])
    nothing = both[both["worm"] == "b"].assign(worm="d", n_frames=0, accuracy=np.nan)
    found = WormScores(pd.concat([both, nothing])).compare("svm", n_resamples=100)
    pd.testing.assert_frame_equal(found, WormScores(both).compare("svm", n_resamples=100))


@pytest.mark.parametrize("n_resamples", [0, 99, 1e4])
def test_too_few_resamples_are_refused(n_resamples):
    with pytest.raises(ValueError, match=f"n_resamples={n_resamples} must be an integer of at least 100"):
        WormScores(table_of()).summary(n_resamples=n_resamples)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scores.csv", b"", "scores.csv cannot be read as a table"),
        ("scores.csv", b"\xff\xfe\x00", "scores.csv cannot be read as a table"),
        ("scores.csv", b"model,train_worms\nsvm,b+c", "scores.csv cannot be read as a table"),
        ("scores.csv", b"model,accuracy\nsvm,1", "scores.csv: .*lacks the columns train_worms, fold"),
        ("scores.csv", b"model,train_worms,fold,evaluation,worm,accuracy\n", "scores.csv holds no scores"),
        (
            "scores.csv",
            b'model,train_worms,fold,evaluation,worm,accuracy\na,["b"],0,c,d,high',
            "scores.csv: .*no numbers",
        ),
        ("confusion.csv", b"a,b\n1", "confusion.csv is damaged"),
        ("run.json", b"[1]", "run.json is damaged"),
        ("run.json", b'{"record": 5}', "run.json is damaged"),
        ("run.json", b'{"n_missing": "x"}', "run.json is damaged"),
        ("run.json", b"[" * 100_000, "run.json is damaged"),
        ("run.json", b"\xff", "run.json is damaged"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    WormScores(table_of(), confusion_of()).save(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_scores(tmp_path)


def test_paths_without_scores_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent does not exist"):
        read_scores(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"holds no scores: neither scores.csv nor finished fits"):
        read_scores(tmp_path)


def test_fits_whose_run_has_lost_its_record_are_told(tmp_path):
    FitStore(tmp_path).write("0a", [{**table_of().iloc[0].to_dict(), "train_worms": ["a"], "fold": 0}])
    with pytest.raises(ValueError, match="keeps fits, but no complete record of a run; make the same call again"):
        read_scores(tmp_path)


def test_half_written_files_are_no_runs_and_no_fits(tmp_path):
    row = {**table_of().iloc[0].to_dict(), "train_worms": ["strain+1"], "fold": 0}
    FitStore(tmp_path).write("0a", [row])
    FitStore(tmp_path).write_run({"called": "1", "fits": ["0a", "0b"]})
    # What a process that is killed while it writes leaves behind.
    (tmp_path / "fits" / ".0b-123.json").write_text(json.dumps([row])[:10])
    (tmp_path / "runs" / ".0c-123.json").write_text("{")
    (scores,) = read_runs(tmp_path)
    assert scores.table["train_worms"].tolist() == [("strain+1",)]
    assert scores.n_missing == 1
