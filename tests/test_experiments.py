import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from skworm.experiments import paper, report
from skworm.experiments.protocol import (
    BASELINES,
    DEFAULT_MODELS,
    MODELS,
    Protocol,
    count_fits,
    load_material,
    run_protocol,
)
from skworm.experiments.worms import digest_recordings

from skworm.datasets import make_worms, save_recordings
from skworm.frames import PAPER_NEURONS

FEW = {"models": ("svm",), "n_folds": 2, "neurons": ("AVAL", "AVAR", "RID"), "fold_by": ("shuffled_windows",)}


def run(out, **settings):
    protocol = Protocol(**settings)
    return run_protocol(protocol, load_material(protocol), out, n_jobs=1, verbose=0)


def without_time(scores):
    return scores.drop(columns="fit_seconds")


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


@pytest.fixture(scope="module")
def both_folds(lab, tmp_path_factory):
    protocol = Protocol(
        data=str(lab / "ours"),
        external=str(lab / "theirs"),
        models=("mlp", "svm", "diffusion-map"),
        max_epochs=3,
        n_folds=2,
        neurons=("AVAL", "AVAR", "RID"),
    )
    material = load_material(protocol)
    scores = run_protocol(protocol, material, tmp_path_factory.mktemp("out"), n_jobs=1, verbose=0)
    return protocol, material, scores


def test_models_stand_in_the_order_of_the_table():
    assert Protocol(models=("gnn-virtual-worms", "mlp", "svm")).models == ("svm", "mlp", "gnn-virtual-worms")
    assert Protocol().models == DEFAULT_MODELS
    assert set(MODELS) | set(BASELINES) <= set(paper.LABELS)


def test_models_are_the_readings_that_their_names_say():
    models = Protocol(models=MODELS, max_epochs=7, random_state=3).estimators()
    parameters = {name: model.get_params() for name, model in models.items()}
    neural = [values for name, values in parameters.items() if name not in ("diffusion-map", "svm")]
    assert {values["max_epochs"] for values in neural} == {7}
    assert {values["random_state"] for values in neural} == {3}
    assert parameters["gnn-dynamic"]["edges"] == "dynamic"
    assert parameters["gnn-free"]["edges"] == "free"
    assert parameters["gnn-connectome"]["graph"].index.tolist() == list(PAPER_NEURONS)
    assert parameters["gnn-published"]["residual"] is False
    assert parameters["mlp-published"]["batch_norm"] == "output"
    augmented = {name for name, values in parameters.items() if values.get("augmentation") is not None}
    assert augmented == {"mlp-virtual-worms", "gnn-virtual-worms"}


def test_defaults_follow_the_data():
    assert (Protocol().external, Protocol().n_folds) == ("simulated", 3)
    given = Protocol(data="my_worms")
    assert (given.external, given.n_folds) == ("none", 10)


def test_the_paper_preset_leaves_out_what_a_worm_lacks_and_says_so(lab):
    material = load_material(Protocol(data=str(lab / "fewer_neurons"), neurons="paper"))
    assert material.neurons_left_out == ("AVAR",)
    assert material.neurons == tuple(neuron for neuron in PAPER_NEURONS if neuron != "AVAR")
    assert "left out, not in every worm: AVAR" in report.describe_settings(Protocol(), material)


def test_worms_of_two_labs_are_told_apart_by_their_lab(lab):
    material = load_material(Protocol(data=str(lab / "ours"), external=str(lab / "theirs")))
    assert [worm.worm for worm in material.recordings] == ["worm-0", "worm-1", "worm-2"]
    assert [worm.worm for worm in material.external] == ["worm, lab 1/worm-0", "worm, lab 1/worm-1"]


def test_the_same_worms_are_refused_as_external(lab, tmp_path):
    with pytest.raises(ValueError, match=r"'ours' has worms .*worm-0.*, which X has too"):
        run(tmp_path, data=str(lab / "ours"), external=str(lab / "ours"), **FEW)


def test_file_derivatives_are_used_only_where_all_worms_have_them(lab):
    material = load_material(Protocol(data=str(lab / "ours"), external="simulated"))
    assert material.derivative == "central"
    ours = [replace(worm, derivatives=worm.traces) for worm in material.recordings]
    assert replace(material, recordings=ours).derivative == "central"
    theirs = [replace(worm, derivatives=worm.traces) for worm in material.external]
    assert replace(material, recordings=ours, external=theirs).derivative == "file"


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
    assert len({digest_recordings(variant) for variant in variants}) == len(variants)
    assert digest_recordings(worms) == digest_recordings(make_worms(2, n_frames=20, random_state=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"models": ("svm", "transformer")},
            "models has the unknown name 'transformer'; choose one or several of .*svm",
        ),
        ({"models": ()}, "models is empty; choose one or several of .*svm"),
        ({"fold_by": ("windows",)}, "fold_by has the unknown name 'windows'; choose .*contiguous_blocks"),
        ({"neurons": "some"}, "neurons='some' is no choice; pass 'shared', 'paper', or several names"),
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
        run(tmp_path, **settings | paths)


def test_each_kind_of_fold_is_run_and_external_worms_are_scored_once(both_folds):
    protocol, material, scores = both_folds
    assert set(scores["n_neurons"]) == {3}
    runs = {kind: set(part["evaluation"]) for kind, part in scores.groupby("fold_by")}
    assert runs == {
        "shuffled_windows": {"held_out_windows", "unseen_worms", "theirs"},
        "contiguous_blocks": {"held_out_windows", "unseen_worms"},
    }
    fits = scores.drop_duplicates(["fold_by", "model", "train_worms", "fold"])
    assert len(fits) == count_fits(protocol, material) == 5 * 3 * 2 * 2


def test_external_worms_without_some_neurons_get_fits_of_their_own(lab, tmp_path):
    ours = str(lab / "ours")
    protocol = Protocol(data=ours, external=str(lab / "fewer_neurons"), **FEW)
    material = load_material(protocol)
    assert material.external_neurons == ("AVAL", "RID")
    scores = run_protocol(protocol, material, tmp_path, n_jobs=1, verbose=0)
    assert count_fits(protocol, material) == 2 * 3 * 3 * 2
    assert scores.groupby("evaluation")["n_neurons"].unique().map(list).to_dict() == {
        "held_out_windows": [3],
        "unseen_worms": [3],
        "fewer_neurons": [2],
    }
    directly = run(tmp_path, data=ours, external=protocol.external, **FEW | {"neurons": ("AVAL", "RID")})
    external = [without_time(part[part["evaluation"] == "fewer_neurons"]) for part in (scores, directly)]
    pd.testing.assert_frame_equal(*(part.reset_index(drop=True) for part in external))
    table = paper.table_1(scores, paper.table_1_columns(protocol, material))
    assert "fits on 2 neurons that all worms share" in report.describe_reading(protocol, material, table)
    assert "by fits on the shared neurons AVAL, RID" in report.describe_settings(protocol, material)


def test_turns_without_a_side_are_said_to_be_merged(lab, tmp_path):
    protocol = Protocol(data=str(lab / "ours"), external=str(lab / "theirs"), **FEW | {"states": "4"})
    material = load_material(protocol)
    turns = {"dorsal_turn": "turn", "ventral_turn": "turn"}
    unsided = [replace(w, states=[turns.get(state, state) for state in w.states]) for w in material.external]
    material = replace(material, external=unsided)
    scores = run_protocol(protocol, material, tmp_path, n_jobs=1, verbose=0)
    table = paper.table_1(scores, paper.table_1_columns(protocol, material), with_paper=False)
    assert "dorsal and ventral turns count as one state" in report.describe_reading(protocol, material, table)


def test_columns_follow_the_settings(both_folds):
    protocol, material, _ = both_folds
    columns = paper.table_1_columns(protocol, material)
    assert [column[:3] for column in columns] == [
        ("same worm, shuffled windows", "shuffled_windows", "held_out_windows"),
        ("same worm, contiguous blocks", "contiguous_blocks", "held_out_windows"),
        ("unseen worms", "shuffled_windows", "unseen_worms"),
        ("external: theirs", "shuffled_windows", "theirs"),
    ]
    all_train = replace(protocol, n_train_worms=3, fold_by=("contiguous_blocks",))
    titles = [column.title for column in paper.table_1_columns(all_train, replace(material, external=[]))]
    assert titles == ["same worm, contiguous blocks"]


def test_the_table_takes_worms_as_the_unit(both_folds):
    protocol, material, scores = both_folds
    table = paper.table_1(scores, paper.table_1_columns(protocol, material)).set_index(["model", "column"])
    rows = scores.query("model == 'mlp' and fold_by == 'shuffled_windows' and evaluation == 'unseen_worms'")
    by_worm = 100 * rows.groupby("worm")["accuracy"].mean()
    cell = table.loc[("mlp", "unseen worms")]
    assert (cell["n_worms"], cell["n_fits"]) == (3, 6)
    np.testing.assert_allclose(cell[["mean", "std"]].astype(float), [by_worm.mean(), by_worm.std(ddof=1)])
    assert cell["mean_low"] < cell["mean"] < cell["mean_high"]
    assert table.index.unique("model").tolist() == [
        "diffusion-map",
        "svm",
        "mlp",
        "clock",
        "majority",
    ]


def test_the_paper_stands_beside_its_own_models_only(both_folds):
    protocol, material, scores = both_folds
    columns = paper.table_1_columns(protocol, material)
    table = paper.table_1(scores, columns)
    cells = table.set_index(["model", "column"])
    assert cells.loc[("svm", "unseen worms"), ["paper_mean", "paper_std"]].tolist() == [82.8, 7.6]
    assert cells.loc[("mlp", "external: theirs"), "paper_mean"] == 88.9
    assert cells.loc[("diffusion-map", "same worm, shuffled windows"), "paper_mean"] == 83
    assert np.isnan(cells.loc["clock", "paper_mean"]).all()
    assert np.isnan(cells.xs("same worm, contiguous blocks", level="column")["paper_mean"]).all()
    assert table["mean"].notna().sum() == 5 * 4
    for other in (replace(protocol, states="4"), replace(protocol, n_train_worms=2)):
        assert not other.is_of_table_1
    assert paper.table_1(scores, columns, with_paper=False)["paper_mean"].isna().all()


def test_cells_read_mean_plus_minus_deviation():
    scores = pd.DataFrame(
        {"model": "svm", "train_worms": "a", "fold": 0, "evaluation": "unseen_worms", "worm": ["b", "c"],
         "accuracy": [0.9, 1.0], "balanced_accuracy": 0.5, "macro_f1": 0.5, "fold_by": "shuffled_windows"}
    )  # fmt: skip
    column = paper.Column("unseen worms", "shuffled_windows", "unseen_worms", "unseen_worms")
    cells = report.cell_texts(paper.table_1(scores, [column]))
    text = report.lay_out(cells)
    assert text.splitlines()[-2:] == ["SVM     95.0 ± 7.1 [82.8 ± 7.6]", "        (90.0 to 100.0)"]
    assert "| SVM | 95.0 ± 7.1 [82.8 ± 7.6] (90.0 to 100.0) |" in report.markdown(cells)
    one_worm = paper.table_1(scores.head(1), [column], with_paper=False)
    assert report.lay_out(report.cell_texts(one_worm)).splitlines()[-1] == "SVM     90.0"


def test_the_reading_tells_worms_clock_and_simulation(both_folds):
    protocol, material, scores = both_folds
    table = paper.table_1(scores, paper.table_1_columns(protocol, material))
    clock = table.query("model == 'clock' and fold_by == 'contiguous_blocks'")["mean"].iloc[0]
    reading = report.describe_reading(protocol, material, table)
    assert f"{clock:.1f} in 'same worm, contiguous blocks'" in reading
    assert "3 in 'unseen worms', 2 in 'external: theirs'" in reading
    assert "With 3 worms, the smallest two-sided p of a sign-flip test across worms is 1/4." in reading
    assert "simulated" not in reading
    simulated = report.describe_reading(replace(protocol, data="simulated"), material, table)
    assert "They are for real worms, and these worms are simulated." in simulated


def test_files_hold_what_is_needed_to_redraw_and_repeat(both_folds, tmp_path):
    protocol, material, scores = both_folds
    paths = paper.outcome_of_table_1(protocol, material, scores, tmp_path / "new" / "folder").files
    assert [path.name for path in paths] == [
        "scores.csv",
        "table.csv",
        "table.md",
        "settings.json",
        "table1.png",
        "table1.pdf",
    ]
    assert all(path.stat().st_size > 0 for path in paths)
    pd.testing.assert_frame_equal(pd.read_csv(paths[0]), scores)
    settings = json.loads(paths[3].read_text())
    assert settings["protocol"]["models"] == ["diffusion-map", "svm", "mlp"]
    assert settings["recordings_sha256"] == digest_recordings(material.recordings)
    assert settings["external_worms"] == {"worm, lab 1/worm-0": 400, "worm, lab 1/worm-1": 400}
    assert {"skworm", "torch", "scikit-learn"} <= set(settings["versions"])
    assert "| SVM |" in paths[2].read_text(encoding="utf-8")


def test_the_figure_has_a_panel_a_column(both_folds):
    protocol, material, scores = both_folds
    columns = paper.table_1_columns(protocol, material)
    display = paper.table_1_figure(scores, paper.table_1(scores, columns), columns)
    assert len(display.axes_) == len(columns)
    assert list(display.baselines_) == [column.title for column in columns]
    assert len(display.references_) == 2 + 2 * 3
    assert list(display.models.values()) == ["Asymmetric diffusion map", "SVM", "MLP"]
