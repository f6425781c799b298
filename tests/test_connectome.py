import fnmatch
import runpy
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path
from shutil import copytree, ignore_patterns
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from skworm import GNNStateClassifier, Messages
from skworm.datasets import load_connectome, make_worms
from skworm.frames import PAPER_NEURONS, SHARED_WITH_NICHOLS, make_frames

SOURCES = (
    *("white1986", "white1986_adult", "white1986_l4", "varshney2011", "cook2019"),
    *(f"witvliet2021_{number}" for number in range(1, 9)),
)
DOIS = {
    "white1986": "10.1098/rstb.1986.0056",
    "varshney2011": "10.1371/journal.pcbi.1001066",
    "cook2019": "10.1038/s41586-019-1352-7",
    "witvliet2021": "10.1038/s41586-021-03778-8",
}
TABLES = ("README.md", "LICENSE", "sources.csv", "neurons.csv.gz", *(f"{source}.csv.gz" for source in SOURCES))


def edges(connectome):
    return {(pre, post) for pre, row in connectome.iterrows() for post, weight in row.items() if weight}


@pytest.mark.parametrize(
    ("source", "kind", "n_entries", "total", "to_itself"),
    [
        ("white1986", "chemical", 27, 106, set()),
        ("white1986", "electrical", 27, 57, {"RID"}),
        ("cook2019", "chemical", 43, 378, {"AIBL", "RIML", "RMED", "RMER"}),
        ("cook2019", "electrical", 35, 195, {"RID"}),
        ("varshney2011", "chemical", 27, 106, set()),
        ("varshney2011", "electrical", 26, 56, set()),
    ],
)
def test_entries_among_the_neurons_of_the_paper(source, kind, n_entries, total, to_itself):
    kept = load_connectome(source, PAPER_NEURONS, kind=kind, self_loops="keep")
    assert (np.count_nonzero(kept), kept.to_numpy().sum()) == (n_entries, total)
    assert {pre for pre, post in edges(kept) if pre == post} == to_itself
    dropped = load_connectome(source, PAPER_NEURONS, kind=kind)
    assert edges(dropped) == {(pre, post) for pre, post in edges(kept) if pre != post}


@pytest.mark.parametrize(("source", "n_edges"), [("white1986", 46), ("varshney2011", 46), ("cook2019", 56)])
def test_edges_of_either_kind_among_the_neurons_of_the_paper(source, n_edges):
    assert np.count_nonzero(load_connectome(source, PAPER_NEURONS)) == n_edges


def test_strong_synapses_of_white():
    chemical = load_connectome("white1986", PAPER_NEURONS, kind="chemical")
    assert chemical.loc["AIBL", "RIMR"] == 13
    assert chemical.loc["AIBR", "RIML"] == 16
    assert chemical.loc["AVER", "AVAR"] == 16
    assert chemical.loc["AVAR", "AVER"] == 2


def test_three_neurons_of_the_paper_are_isolated_in_white():
    connectome = load_connectome(neurons=PAPER_NEURONS)
    has_edge = connectome.any(axis=0) | connectome.any(axis=1).to_numpy()
    assert has_edge.index[~has_edge].tolist() == ["RMED", "RMEL", "RMER"]


@pytest.mark.parametrize("source", SOURCES)
def test_the_neurons_shared_with_nichols_have_hardly_any_direct_edge(source):
    shared = load_connectome(source, SHARED_WITH_NICHOLS, missing="zero")
    expected = {("AIBR", "AVAL")} if source in ("white1986_l4", "witvliet2021_8") else set()
    assert edges(shared) == expected


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_a_labelled_table_of_counts(source):
    both, chemical, electrical = (
        load_connectome(source, kind=kind, self_loops="keep") for kind in ("both", "chemical", "electrical")
    )
    names = both.index.tolist()
    assert names == both.columns.tolist() == sorted(set(names))
    assert (both.index.name, both.columns.name) == ("pre", "post")
    pd.testing.assert_frame_equal(both, chemical + electrical)
    np.testing.assert_array_equal(electrical, electrical.T)
    assert not np.array_equal(chemical, chemical.T)
    for table in (chemical, electrical):
        assert (table.dtypes == np.float64).all()
        assert np.count_nonzero(table) > 100
        assert ((table >= 0) & (table % 1 == 0)).all(axis=None)
    assert both.attrs["doi"] == DOIS[source.split("_")[0]]
    assert (both.attrs["source"], both.attrs["kind"]) == (source, "both")
    assert both.attrs["reference"]
    assert both.attrs["weight"]


@pytest.mark.parametrize(
    ("source", "n_neurons", "has_pharynx"),
    [("white1986", 300, True), ("cook2019", 302, True), ("varshney2011", 280, False)],
)
def test_sources_hold_neurons_only(source, n_neurons, has_pharynx):
    names = set(load_connectome(source).index)
    assert len(names) == n_neurons
    assert ({"M4", "I1L", "NSML"} <= names) == has_pharynx
    assert names <= set(load_connectome("cook2019").index)


def test_neurons_come_in_the_order_and_by_the_names_given():
    asked = ("VB2", "AVAL", "DA9", "AVBL", "VB11")
    names = ["VB02", "AVAL", "DA09", "AVBL", "VB11"]
    connectome = load_connectome("cook2019", iter(asked))
    assert connectome.index.tolist() == connectome.columns.tolist() == names
    pd.testing.assert_frame_equal(connectome, load_connectome("cook2019").loc[names, names])


def test_unweighted_edges_are_ones():
    weighted, unweighted = (
        load_connectome("cook2019", weighted=weighted, self_loops="keep") for weighted in (True, False)
    )
    np.testing.assert_array_equal(unweighted, weighted.to_numpy() > 0)


def test_symmetric_adds_up_both_directions_of_chemical_synapses_only():
    options = {"neurons": PAPER_NEURONS, "self_loops": "keep"}
    chemical, electrical = (load_connectome("cook2019", kind=kind, **options) for kind in ("chemical", "electrical"))
    symmetric = load_connectome("cook2019", symmetric=True, **options)
    np.testing.assert_array_equal(symmetric, symmetric.T)
    expected = chemical.loc["AVER", "AVAR"] + chemical.loc["AVAR", "AVER"] + electrical.loc["AVER", "AVAR"]
    assert symmetric.loc["AVER", "AVAR"] == expected
    assert symmetric.loc["RMED", "RMED"] == chemical.loc["RMED", "RMED"] + electrical.loc["RMED", "RMED"]
    pd.testing.assert_frame_equal(load_connectome("cook2019", kind="electrical", symmetric=True, **options), electrical)


@pytest.mark.parametrize("weighted", [True, False])
def test_self_loops_stand_on_every_neuron_with_weight_1(weighted):
    options = {"source": "cook2019", "neurons": PAPER_NEURONS, "weighted": weighted}
    without, with_loops = (load_connectome(self_loops=self_loops, **options) for self_loops in (False, True))
    np.testing.assert_array_equal(with_loops - without, np.eye(len(PAPER_NEURONS)))
    assert not np.diag(without).any()


def test_a_neuron_that_the_source_lacks_is_an_error_or_zeros():
    with pytest.raises(
        ValueError, match=r"'white1986_adult' lacks the neurons \['VB01', 'VB02'\].*missing='zero'"
    ) as e:
        load_connectome("white1986_adult", PAPER_NEURONS)
    assert "['white1986', 'varshney2011', 'cook2019']" in str(e.value)
    connectome = load_connectome("white1986_adult", PAPER_NEURONS, missing="zero")
    assert connectome.index.tolist() == list(PAPER_NEURONS)
    assert not connectome.loc["VB01"].any()
    assert not connectome["VB02"].any()
    with pytest.raises(ValueError, match=r"lacks the neurons \['CANL'\]"):
        load_connectome("white1986", ["CANL", "AVAL"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "white"}, r"source='white' is not known; choose one of \('white1986', .*'witvliet2021_8'\)"),
        ({"kind": "gap"}, r"kind='gap' is not known; choose one of \('both', 'chemical', 'electrical'\)"),
        ({"weighted": "yes"}, r"weighted='yes' is not known; choose one of \(True, False\)"),
        ({"symmetric": None}, r"symmetric=None is not known"),
        ({"self_loops": "drop"}, r"self_loops='drop' is not known; choose one of \(True, False, 'keep'\)"),
        ({"missing": "nan"}, r"missing='nan' is not known; choose one of \('raise', 'zero'\)"),
        ({"neurons": "AVAL"}, r"neurons='AVAL' is one string; pass a sequence"),
        ({"neurons": []}, r"neurons is empty; name at least one"),
        ({"neurons": ["VB1", "AVAL", "VB01"]}, r"neurons names \['VB01'\] more than once"),
        ({"neurons": ["RIMLL"]}, r"has no neurons 'RIMLL' \(did you mean 'RIML'.*\?\); correct their names"),
        ({"neurons": ["AVA"]}, r"has no neurons 'AVA' \(did you mean .*'AVAL'.*\?\)"),
        ({"neurons": ["AVALL"]}, r"has no neurons 'AVALL' \(did you mean 'AVAL'"),
        # Zeros for a misspelt name would pass unnoticed.
        ({"neurons": ["AVAL", "17", "MDL01"], "missing": "zero"}, r"has no neurons '17', 'MDL01'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_connectome(**arguments)


@pytest.fixture(scope="module")
def frames():
    return make_frames(make_worms(n_worms=2, n_frames=300, random_state=0), states="2")


def classifier(connectome, **parameters):
    return GNNStateClassifier(graph=connectome, max_epochs=5, learning_rate=1e-2, random_state=0, **parameters)


@pytest.mark.slow
def test_a_connectome_is_the_graph_of_a_classifier(frames):
    X, y = frames
    connectome = load_connectome(neurons=PAPER_NEURONS)
    model = classifier(connectome).fit(X, y)
    pd.testing.assert_frame_equal(model.graph_, connectome[model.neurons_].loc[model.neurons_], check_dtype=False)
    everywhere = classifier(load_connectome()).fit(X, y)
    np.testing.assert_array_equal(everywhere.predict_proba(X), model.predict_proba(X))
    shuffled = classifier(load_connectome(neurons=PAPER_NEURONS[::-1])).fit(X, y)
    np.testing.assert_array_equal(shuffled.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    ("self_loops", "residual", "is_seen"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_isolated_neurons_are_seen_with_self_loops_or_residual_only(frames, self_loops, residual, is_seen):
    X, y = frames
    connectome = load_connectome(neurons=PAPER_NEURONS, self_loops=self_loops)
    model = classifier(connectome, messages=Messages(residual=residual)).fit(X, y)
    changed = X.assign(**{"RMED:trace": 1 - X["RMED:trace"]})
    assert np.array_equal(model.predict_proba(X), model.predict_proba(changed)) != is_seen


def test_every_neuron_of_the_real_worms_has_a_place(recordings_kato2015):
    for recording in recordings_kato2015:
        assert load_connectome(neurons=recording.identified).index.tolist() == list(recording.identified)


def test_the_tables_are_part_of_the_package():
    shipped = {entry.name for entry in files("skworm.datasets").joinpath("connectomes").iterdir()}
    assert set(TABLES) <= shipped
    assert "OpenWorm" in files("skworm.datasets").joinpath("connectomes", "LICENSE").read_text(encoding="utf-8")


def test_a_wheel_holds_the_tables(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    root = Path(__file__).parents[1]
    copytree(root / "skworm", tmp_path / "skworm", ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    build = "from setuptools import build_meta; build_meta.build_wheel('wheel')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("wheel/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = archive.namelist()
    folder = "skworm/datasets/connectomes/"
    assert {name for name in held if name.startswith(folder)} == {folder + name for name in TABLES}
    assert fnmatch.filter(held, "*.dist-info/licenses/skworm/datasets/connectomes/LICENSE")


def test_tables_are_made_of_the_neurons_alone():
    dataset = SimpleNamespace(
        nodes=["VB2", "BWM", "AVAL"],
        connections={
            "Generic_CS": np.array([[0, 9, 3], [0, 0, 0], [0, 4, 0.0]]),
            "Generic_GJ": np.array([[1, 0, 2], [0, 0, 0], [2, 0, 0.0]]),
        },
    )
    script = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "make_connectome_tables.py"))
    edges_between_neurons = script["edges_between_neurons"]
    table = edges_between_neurons(dataset, {"AVAL", "VB2", "RID"})
    assert table.to_numpy().tolist() == [["AVAL", "VB02", 0, 2], ["VB02", "AVAL", 3, 0], ["VB02", "VB02", 0, 1]]
    dataset.connections["Generic_GJ"][0, 2] = 5
    with pytest.raises(ValueError, match="gap junctions are not symmetric"):
        edges_between_neurons(dataset, {"AVAL", "VB2"})
