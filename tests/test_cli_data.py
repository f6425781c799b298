import json
import os
from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import skworm
from skworm.cli import main
from skworm.datasets import load_recordings, make_worms, save_recordings
from skworm.estimators.prediction import accuracy_on_annotated, bouts_in_seconds, decode_states, frames_for_model
from skworm.frames import WormMinMaxScaler, make_frames
from skworm.recording import VOCABULARIES, Recording, map_states

NEURONS = ("AVAL", "RID", "VB02")


def worms(n_worms=2, n_frames=200, seed=0, **others):
    return make_worms(n_worms, n_frames, neurons=NEURONS, n_unidentified=1, random_state=seed, **others)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "worms"
    save_recordings(worms(), path)
    return path


@pytest.fixture(scope="module")
def model_file(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "mlp.skworm"
    result = call("train", "--data", folder, "--model", "mlp", "--states", "2", "--epochs", 60, "--out", path)
    assert result.exit_code == 0, result.output
    return path


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.mark.parametrize("command", ["train", "predict", "inspect", "datasets"])
def test_every_command_has_help(command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 110
    assert command in call("--help").output


def test_train_writes_a_model_that_a_script_can_load(folder, model_file):
    recordings = load_recordings(folder)
    X, y = make_frames(recordings, states="2")
    model = skworm.load(model_file)
    assert type(model) is skworm.MLPStateClassifier
    assert model.score(X, y) > 0.7
    about = json.loads(call("inspect", model_file, "--json").stdout)
    assert (about["class"], about["training"]["worms"]) == ("MLPStateClassifier", ["simulated-0", "simulated-1"])
    assert about["training"]["states"] == y.value_counts().to_dict()
    assert "class: MLPStateClassifier" in call("inspect", model_file).stdout


@pytest.mark.parametrize("model", ["svm", "gnn", "diffusion-map"])
def test_train_knows_the_models_of_the_registry(model, folder, tmp_path):
    result = call(
        *("train", "--data", folder, "--model", model, "--states", "4", "--epochs", 2, "--fps", 2, "--json"),
        *("--neurons", "AVAL, RID", "--description", "a test", "--out", tmp_path / "m.skworm"),
    )
    assert result.exit_code == 0, result.output
    about = json.loads(result.stdout)
    assert (about["neurons"], about["description"], about["training"]["frames"]["fps"]) == (
        ["AVAL", "RID"],
        "a test",
        2,
    )
    assert 0 < about["accuracy_on_training_frames"] <= 1
    again = call("train", "--data", folder, "--model", model, "--out", tmp_path / "m.skworm")
    assert (again.exit_code, "pass --overwrite" in again.stderr) == (2, True)


def test_predict_writes_frames_bouts_and_a_picture(model_file, tmp_path):
    new = worms(2, seed=5, worm_prefix="new")
    save_recordings(new, tmp_path / "new")
    result = call("predict", model_file, tmp_path / "new", "--out", tmp_path / "out" / "states.csv", "--json")
    assert result.exit_code == 0, result.output
    about = json.loads(result.stdout)
    frames, bouts = (pd.read_csv(path) for path in about["files"][:2])
    expected = decode_states(skworm.load(model_file), new)
    pd.testing.assert_frame_equal(frames, expected)
    np.testing.assert_allclose(frames.filter(like="probability:").sum(axis=1), 1)
    X, _ = make_frames(new, states=None)
    assert frames["state"].tolist() == skworm.load(model_file).predict(X).tolist()
    assert bouts["n_frames"].sum() == len(frames) == 400
    np.testing.assert_allclose(bouts.groupby("worm")["duration"].sum(), 200 / 2.9)
    known = frames[frames["annotated"] != "unknown"]
    assert about["accuracy_on_annotated_frames"] == pytest.approx(
        (known["state"] == known["annotated"]).mean(), abs=1e-4
    )
    with open(about["files"][2], "rb") as picture:
        assert picture.read(4) == b"\x89PNG"
    again = call("predict", model_file, tmp_path / "new", "--out", tmp_path / "out" / "states.csv")
    assert (again.exit_code, "pass --overwrite" in again.stderr) == (2, True)


def test_predict_says_what_does_not_fit(model_file, folder, tmp_path):
    (worm,) = worms(1)
    fewer = Recording("w", worm.traces[:, :1], ["RID"], fps=2.9)
    save_recordings(fewer, tmp_path / "fewer")
    for arguments, message in [
        ((model_file, tmp_path / "fewer"), "worm 'w' lacks ['AVAL', 'VB02']"),
        ((tmp_path / "none.skworm", folder), "none.skworm does not exist"),
        ((model_file, tmp_path / "none"), "none does not exist"),
        ((folder / "simulated-0.npz", folder), "this cannot be read as a model of skworm"),
    ]:
        result = call("predict", *arguments, "--out", tmp_path / "states.csv")
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "states.csv").exists()


def test_recordings_are_brought_to_the_model(model_file):
    model = skworm.load(model_file)
    (fast,) = worms(1, fps=9.0)
    X, (slow,) = frames_for_model(model, [fast])
    assert (round(slow.fps, 6), X.columns.tolist()) == (2.9, model.feature_names_in_.tolist())
    (alike,) = worms(1, fps=3.2)
    assert frames_for_model(model, [alike])[1] == [alike]
    with pytest.raises(ValueError, match="does not know its neurons by name"):
        frames_for_model(skworm.SVMStateClassifier().fit(X.to_numpy(), np.arange(len(X)) % 2), [fast])
    with pytest.raises(ValueError, match="PersistenceRegressor reads no states"):
        decode_states(skworm.PersistenceRegressor(), [fast])


def test_a_model_that_forgot_its_frames_is_told_or_refused():
    X, y = make_frames(worms(1), states="2", context=(-3, 0), resample_to=2.0)
    settings = dict(X.attrs)
    X.attrs.clear()
    model = skworm.SVMStateClassifier().fit(X, y)
    frames, slower = frames_for_model(model, worms(1), settings=settings)
    assert list(frames) == list(X)
    assert slower[0].fps == pytest.approx(2.0)
    with pytest.raises(ValueError, match=r"does not know how its training frames were made.*settings=X\.attrs"):
        frames_for_model(model, worms(1))
    X, y = make_frames(worms(1), states="2", fit_scope="train")
    lost = make_pipeline(MinMaxScaler(), skworm.SVMStateClassifier()).set_output(transform="pandas").fit(X, y)
    with pytest.raises(ValueError, match="WormMinMaxScaler keeps them"):
        decode_states(lost, worms(1))
    kept = make_pipeline(WormMinMaxScaler(unseen="own"), skworm.SVMStateClassifier()).fit(X, y)
    assert len(decode_states(kept, worms(1))) == worms(1)[0].n_frames


def test_frames_without_values_are_unknown():
    X, y = make_frames(worms(1), states="2")
    (new,) = worms(1)
    traces = new.traces.copy()
    traces[30:40] = np.nan
    traces[60:70, 0] = np.nan
    lost = replace(new, traces=traces)
    for model, lacking in (
        (skworm.SVMStateClassifier(), 10),
        (make_pipeline(StandardScaler(), LogisticRegression()), 20),
    ):
        table = decode_states(model.fit(X, y), [lost], settings=X.attrs)
        assert (table["state"] == "unknown").sum() == lacking
        assert (table["state"].iloc[30:40] == "unknown").all()
        assert len(table) == new.n_frames


def test_a_smooth_derivative_replaces_the_one_of_the_file(folder):
    recordings = [replace(worm, derivatives=np.gradient(worm.traces, axis=0)) for worm in load_recordings(folder)]
    model = skworm.SVMStateClassifier().fit(*make_frames(recordings, states="2"))
    assert model.frame_settings_["derivative"] == "file"
    assert frames_for_model(model, recordings)[0].attrs["derivative"] == "file"
    assert frames_for_model(model, worms(1))[0].attrs["derivative"] == "smooth"
    table = decode_states(model, worms(1))
    assert list(table) == ["worm", "frame", "time", "state", "annotated"]


def test_a_bout_ends_with_its_frames_where_a_gap_follows():
    table = pd.DataFrame({"worm": "a", "time": [0.0, 1, 2, 10, 11], "state": ["forward"] * 3 + ["reverse"] * 2})
    assert bouts_in_seconds(table)["end"].tolist() == [3, 12]


def test_bouts_of_one_frame_and_of_gaps_in_time():
    table = pd.DataFrame({"worm": list("aabb"), "time": [0.0, 2.0, 0.0, 1.0], "state": list("xyzz")})
    bouts = bouts_in_seconds(table)
    backwards = bouts_in_seconds(table[::-1])
    pd.testing.assert_frame_equal(
        *(each.sort_values(["worm", "start"], ignore_index=True) for each in (backwards, bouts))
    )
    assert bouts["state"].tolist() == ["x", "y", "z"]
    assert bouts["duration"].tolist() == [2.0, 2.0, 2.0]
    assert bouts["worm"].tolist() == ["a", "a", "b"]


def test_inspect_tells_what_is_there_and_what_is_wrong(tmp_path):
    traces = np.random.default_rng(0).normal(size=(10, 3))
    traces[3:5, 0], traces[:, 1] = np.nan, 1.0
    time = np.arange(10.0)
    time[6:] += 5
    states = ["forward"] * 4 + ["roaming"] * 2 + ["unknown"] * 4
    behavior = {"velocity": np.r_[np.nan, np.zeros(9)]}
    save_recordings(
        [
            Recording("a", traces, ["AVAL", "RID", "3"], 1.0, time=time, states=states, behavior=behavior),
            Recording("b", traces[:, 2:], ["1"], 2.0, time=np.arange(10.0)),
        ],
        tmp_path,
    )
    (tmp_path / "c.csv").write_text("AVAL,AVAL\n1,2\n")
    result = call("inspect", tmp_path, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    first, second = found["worms"]
    assert (first["n_frames"], first["duration"], first["identified"]) == (10, 15.0, ["AVAL", "RID"])
    assert first["unidentified"] == ["3"]
    assert first["states"]["forward"] == {"percent": 40.0, "bouts": 1, "median_duration": 4.0}
    expected = [
        "1 traces hold NaN (0 nothing else): AVAL",
        "1 traces are constant: RID",
        "time has 1 gaps, steps over 1.5 times the median of 1 s, the longest 6 s after frame 5",
        "behaviour 'velocity' is NaN in 1 frames",
        "skworm does not know the states roaming",
        "expected neurons are not identified: AIBL, AIBR",
    ]
    assert len(first["problems"]) == len(expected)
    assert all(problem.startswith(text) for problem, text in zip(first["problems"], expected, strict=True))
    assert "no neuron is identified, so worms cannot be compared" in second["problems"]
    assert any("given as 2 a second, but the time stamps have 1" in text for text in second["problems"])
    assert any("there are no states" in problem for problem in second["problems"])
    assert found["shared_neurons"] == []
    assert any(text.startswith("cannot be read") and "columns ['AVAL'] repeat" in text for text in found["problems"])
    text = call("inspect", tmp_path).stdout
    assert "forward            40.0 % in 1 bouts, median 4.0 seconds" in text
    assert all(problem in text for problem in [*first["problems"], *second["problems"]])


def test_inspect_of_sound_recordings_ends_well(folder):
    result = call("inspect", folder)
    assert result.exit_code == 0
    assert "2 worms, 3 neurons identified in each" in result.stdout
    assert "problem: expected neurons are not identified: AIBL, AIBR, ALA" in result.stdout
    absent = call("inspect", folder / "none")
    assert (absent.exit_code, "does not exist" in absent.stderr) == (2, True)


def test_columns_of_tables_can_be_named(tmp_path):
    (worm,) = worms(1)
    table = pd.DataFrame(worm.traces, columns=worm.neurons).assign(seconds=worm.time, behaviour=worm.states)
    table.to_csv(tmp_path / "w.csv", index=False)
    naming = ("--column", "time=seconds", "--column", "state=behaviour")
    (found,) = json.loads(call("inspect", tmp_path, *naming, "--json").stdout)["worms"]
    assert set(found["states"]) == set(worm.states)
    wrong = call("inspect", tmp_path, "--column", "seconds")
    assert (wrong.exit_code, "not of the form ROLE=COLUMN" in wrong.stderr) == (2, True)


def test_datasets_can_be_fetched(tmp_path):
    save_recordings(worms(5), tmp_path / "kato2015")
    result = call("datasets", "fetch", "kato2015", "--data-home", tmp_path)
    assert result.exit_code == 0, result.output
    assert "kato-1: 200 frames, 3 neurons identified" in result.stdout
    assert call("datasets", "fetch", "elegans").exit_code == 2


def test_real_worms_are_decoded(recordings_kato2015, tmp_path):
    training, new = recordings_kato2015[:3], recordings_kato2015[3:]
    X, y = make_frames(training, neurons=["AVAL", "AVAR", "RID", "RIML", "RMED", "VB02"], states="2")
    model = skworm.load(skworm.save(skworm.SVMStateClassifier().fit(X, y), tmp_path / "svm.skworm", X=X, y=y))
    table = decode_states(model, new)
    known = table[table["annotated"] != "unknown"]
    assert (known["state"] == known["annotated"]).mean() > 0.8


def test_frames_around_the_labelled_one_are_made_as_in_training():
    X, y = make_frames(worms(), states="2", context=(-3, 0))
    model = skworm.SVMStateClassifier().fit(X, y)
    new = worms(1, seed=5)
    table = decode_states(model, new)
    expected = model.predict(make_frames(new, neurons=NEURONS, states=None, context=(-3, 0))[0])
    assert table["state"].tolist() == expected.tolist()


def test_a_worm_that_lacks_a_neuron_is_decoded_by_a_model_that_takes_it():
    X, y = make_frames(worms(), states="2")
    model = skworm.MLPStateClassifier(max_epochs=3, device="cpu", random_state=0).fit(X, y)
    (new,) = worms(1, seed=5)
    lacking = replace(new, neurons=("1", *new.neurons[1:]))
    with pytest.warns(UserWarning, match=new.neurons[0]):
        assert len(decode_states(model, [lacking])) == new.n_frames


@pytest.mark.parametrize("vocabulary", ["4", "2", "nichols"])
def test_accuracy_is_of_the_states_that_worms_are_annotated_with(vocabulary):
    fine = worms(1, 900, seed=3)
    model = skworm.SVMStateClassifier().fit(*make_frames(fine, states="7"))
    coarse = [replace(worm, states=map_states(worm.states, vocabulary)) for worm in fine]
    table = decode_states(model, coarse)
    predicted = map_states(table["state"], vocabulary)
    known = table["annotated"] != "unknown"
    accuracy = accuracy_on_annotated(table, list(model.classes_))
    assert accuracy == pytest.approx((predicted == table["annotated"])[known].mean())
    assert accuracy > 0.6
    own = [replace(worm, states=np.where(worm.states == "unknown", "unknown", "fed")) for worm in fine]
    assert accuracy_on_annotated(decode_states(model, own), list(model.classes_)) is None


@pytest.mark.parametrize(
    ("classes", "annotated", "predicted", "expected"),
    [
        (
            ["forward", "reverse"],
            ["forward", "forward", "reverse", "egg"],
            ["forward", "reverse", "reverse", "x"],
            2 / 3,
        ),
        (["roam", "dwell"], ["roam", "dwell", "egg", "unknown"], ["roam", "roam", "roam", "roam"], 1 / 2),
        # A worm that only goes forward tells no level of its own.
        (
            [state for state, own in VOCABULARIES["7"].items() if own != "unknown"],
            ["forward", "forward", "forward", "reverse"],
            ["slowing", "forward", "reverse_1", "reverse_2"],
            3 / 4,
        ),
        (["forward", "reverse"], ["unknown"] * 4, ["forward"] * 4, None),
    ],
)
def test_frames_whose_annotation_has_no_counterpart_are_left_out(classes, annotated, predicted, expected):
    table = pd.DataFrame({"worm": list("aabb"), "state": predicted, "annotated": annotated})
    assert accuracy_on_annotated(table, classes) == (None if expected is None else pytest.approx(expected))


def test_what_is_read_is_not_replaced(folder, model_file, tmp_path):
    recording = tmp_path / "worm.csv"
    pd.DataFrame({"time": np.arange(40) / 3, "AVAL": np.arange(40.0)}).to_csv(recording, index=False)
    before = recording.read_bytes(), model_file.read_bytes()
    for out, message in (
        (recording, "worm.csv is read, and would be replaced"),
        (tmp_path / "x.txt", "let it end in .csv"),
    ):
        result = call("predict", model_file, recording, "--out", out, "--overwrite")
        assert (result.exit_code, message in result.stderr) == (2, True)
    assert (recording.read_bytes(), model_file.read_bytes()) == before


def test_what_cannot_be_written_is_told_before_any_work(folder, model_file, tmp_path):
    (tmp_path / "taken.csv").mkdir()
    (tmp_path / "file.txt").touch()
    train = ("train", "--data", folder, "--model", "svm", "--overwrite", "--out")
    predict = ("predict", model_file, folder, "--overwrite", "--out")
    for command in (train, predict):
        result = call(*command, tmp_path / "taken.csv")
        assert (result.exit_code, "taken.csv is a folder; pass the name of a file" in result.stderr) == (2, True)
        result = call(*command, tmp_path / "file.txt" / "x.csv")
        assert (result.exit_code, "file.txt is a file, where --out needs a folder" in result.stderr) == (2, True)
    with mock.patch("os.access", side_effect=lambda path, mode: mode != os.W_OK):
        for command, name in ((train, "new.skworm"), (predict, "new.csv"), (("report", folder, "--out"), "new.html")):
            result = call(*command, tmp_path / name)
            assert (result.exit_code, f"the folder {tmp_path} cannot be written to" in result.stderr) == (2, True)


def test_options_about_files_mean_nothing_for_a_data_set(tmp_path):
    result = call("train", "--rename-state", "fwd=forward", "--model", "svm", "--out", tmp_path / "svm.skworm")
    assert result.exit_code == 2
    assert "--rename-state 'fwd=forward' is about files, and simulated is a data set" in result.stderr


def test_neurons_are_named_as_recordings_name_them(folder):
    found = json.loads(call("inspect", folder, "--neurons", "aval,VB2", "--json").stdout)
    assert not any("expected neurons" in problem for worm in found["worms"] for problem in worm["problems"])


def test_states_are_renamed_in_all_files_of_a_folder(tmp_path):
    for name, states in (("a", ["go", "Omega"]), ("b", ["go", "rest"])):
        save_recordings(replace(worms(1)[0], worm=name, states=states * 100), tmp_path)
    result = call("inspect", tmp_path, "--rename-state", "go=forward", "--rename-state", "Omega=ventral_turn")
    assert (result.exit_code, "2 worms" in result.stdout) == (0, True)
    result = call("inspect", tmp_path, "--rename-state", "gone=forward")
    assert (result.exit_code, "names ['gone'], which no recording has" in result.stdout) == (1, True)
