"""Models that come with the package, and what they say of a recording."""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import skworm
from skworm.cli import main
from skworm.datasets import load_recordings, make_worms, save_recordings
from skworm.estimators.prediction import decode_states, expected_accuracy
from skworm.pretrained import NAMES, card, path_of
from skworm.recording import map_states

real = pytest.mark.skipif("SKWORM_DATA" not in os.environ, reason="$SKWORM_DATA names no real recordings")


@pytest.fixture(scope="module")
def worm():
    return load_recordings(os.path.join(os.environ["SKWORM_DATA"], "kato2015", "worm_0.npz"))[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_model_loads_and_is_small(name):
    model, about = skworm.load(name), card(name)
    assert path_of(name).stat().st_size < 300_000
    assert model.classes_.tolist() == about["states"]
    assert len(about["neurons"]) * (2 if about["looks_ahead"] else 4) == model.n_features_in_
    assert about["looks_ahead"] == (not name.endswith("causal"))
    assert set(about) >= {"data", "licence", "citation", "not_for", "recipe", "scores", "recordings_sha256"}


def test_another_name_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="kato2015-4-states"):
        card("kato2015-5-states")
    with pytest.raises(FileNotFoundError):
        skworm.load("kato2015-5-states")


@pytest.mark.slow
def test_loading_needs_neither_network_nor_pickle():
    code = (
        "import socket, pickle, sys\n"
        "def refuse(*args, **kwargs): raise RuntimeError('no')\n"
        "import skworm, skworm.persistence\n"
        "socket.socket.connect = refuse; pickle.load = pickle.loads = refuse\n"
        "print(skworm.load('kato2015-4-states').classes_, 'torch._dynamo' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "['dorsal_turn' 'forward' 'reverse' 'ventral_turn'] False", run.stderr


def test_fewer_neurons_are_expected_to_read_fewer_frames_and_too_few_are_refused():
    about = card("kato2015-4-states")
    leading = about["leading"]
    all_of_them, few = (expected_accuracy(about, names) for names in (about["neurons"], leading[:2]))
    assert few.accuracy < all_of_them.accuracy <= about["accuracy"][0] + 1e-9
    for expected in (few, all_of_them):
        assert expected.low <= expected.accuracy <= expected.high
    assert expected_accuracy(about, []).accuracy < about["floor"]


@real
@pytest.mark.parametrize("name", NAMES)
def test_a_training_worm_is_read_without_a_warning(name, worm):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "worm 'worm_0' has no", UserWarning)
        table = decode_states(skworm.load(name), [worm])
    known = table[table["annotated"].isin(card(name)["states"])]
    assert (known["state"] == known["annotated"]).mean() > card(name)["accuracy"][2]
    assert table.attrs["expected"]["worm_0"].n_present == len(set(worm.identified) & set(card(name)["neurons"]))


@real
def test_shuffled_names_are_warned_of(worm):
    known = [name for name in worm.neurons if name in worm.identified]
    order = iter(np.random.RandomState(0).permutation(known).tolist())
    shuffled = replace(worm, neurons=tuple(next(order) if name in known else name for name in worm.neurons))
    with pytest.warns(UserWarning, match="likeness of the correlations"):
        table = decode_states(skworm.load("kato2015-4-states"), [shuffled])
    assert table.attrs["unlike"] == ["worm_0"]


@real
def test_too_few_neurons_are_refused(worm):
    names = ("ASKL", "ASKR")
    columns = [worm.neurons.index(name) for name in names]
    few = replace(worm, neurons=names, traces=worm.traces[:, columns], derivatives=None)
    model = skworm.load("kato2015-4-states")
    with pytest.raises(ValueError, match=r"2 of the 58 neurons.*AVA"):
        decode_states(model, [few])
    with pytest.warns(UserWarning, match=r"left out: worm 'few' has 2 of the 58 neurons"):
        table = decode_states(model, [replace(few, worm="few"), worm])
    assert table["worm"].unique().tolist() == [worm.worm]
    assert list(table.attrs["expected"]) == [worm.worm]


@real
def test_the_command_prints_what_to_expect(worm, tmp_path):
    unlabelled = replace(worm, states=None, behavior={})
    save_recordings([unlabelled], tmp_path)
    out = tmp_path / "states.csv"
    words = ["predict", "kato2015-2-states", str(tmp_path / "worm_0.npz"), "--out", str(out)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "expected accuracy" in result.output
    assert (tmp_path / "states_ethogram.png").stat().st_size > 10_000
    assert out.read_text().splitlines()[0].split(",")[:5] == ["worm", "frame", "time", "state", "probability:forward"]


@real
def test_states_of_a_left_out_worm_are_those_of_the_card():
    about = card("kato2015-4-states")
    assert set(about["scores"]) == {f"worm_{number}" for number in range(5)}
    assert about["accuracy"][2] == min(row["accuracy"] for row in about["scores"].values())
    assert set(map_states(np.array(["slowing", "reverse_2"]), "4")) <= set(about["states"])


def test_the_command_says_which_worms_look_unlike(tmp_path):
    # Worms of a simulation have the names of neurons, and neither their levels nor their correlations.
    names = card("kato2015-4-states")["neurons"][:40]
    save_recordings(make_worms(1, 600, neurons=names, n_unidentified=0, random_state=0), tmp_path)
    out, model = tmp_path / "states.csv", "kato2015-4-states"
    result = CliRunner().invoke(main, ["predict", model, str(tmp_path / "simulated-0.npz"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "it looks unlike them, so fewer frames will be right" in result.stdout
    words = ["predict", model, str(tmp_path / "simulated-0.npz"), "--out", str(out), "--overwrite", "--json"]
    found = json.loads(CliRunner().invoke(main, words).stdout)["expected"]["simulated-0"]
    assert (found["unlike"], found["n_present"]) == (True, 40)
    assert found["low"] < found["accuracy"] < found["high"]
