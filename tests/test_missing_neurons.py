"""Worms that do not match: neurons that some lack, columns in another order, frames of another laboratory."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import skworm
from skworm import (
    GNNBehaviorRegressor,
    GNNStateClassifier,
    GNNTrajectoryRegressor,
    MLPBehaviorRegressor,
    MLPStateClassifier,
    SVMStateClassifier,
    VirtualWorms,
    WormGroupKFold,
)
from skworm.adaptation import adapt
from skworm.classification.missing import match_neurons
from skworm.datasets import make_worms
from skworm.frames import PAPER_NEURONS, WormMinMaxScaler, make_frames, make_trajectories
from skworm.layout import column_names
from skworm.model_selection import cross_validate_worms
from skworm.nn import DynamicGraph, EdgeEncoder, FixedGraph, GraphConvolution, Groups, MessagePassing, StaticGraph
from skworm.nn.convolutions import CONVOLUTIONS, HEADED
from skworm.nn.readouts import AttentionPooling, MissingNodes, Readout

N_FRAMES, N_NEURONS, N_NODE_FEATURES = 12, 5, 2
NEURONS = ["AVAL", "AVAR", "RID", "RIML", "AVBL"]
FEATURES = ["trace", "derivative"]
FAST = {"max_epochs": 25, "learning_rate": 0.02, "random_state": 0, "device": "cpu"}
VIRTUAL = VirtualWorms(n_groups=4, mixing=0.1, neuron_dropout=0.2)

NEURAL = [
    MLPStateClassifier(**FAST),
    MLPStateClassifier(aggregation="mean", **FAST),
    MLPStateClassifier(aggregation="attention", augmentation=VIRTUAL, **FAST),
    GNNStateClassifier(augmentation=VIRTUAL, **FAST),
    GNNStateClassifier(aggregation="attention", **FAST),
    GNNStateClassifier(edges="dynamic", message_normalization="row", aggregation="sum", **FAST),
    GNNStateClassifier(edges="free", **FAST),
    GNNStateClassifier.as_published(**FAST),
    *(GNNStateClassifier(convolution=name, **FAST) for name in ("gin", "sage", "gatv2")),
]
ALL = [SVMStateClassifier(), *NEURAL]
every_model = pytest.mark.parametrize("estimator", ALL, ids=str)
every_network = pytest.mark.parametrize("estimator", NEURAL, ids=str)


def columns_of(*neurons):
    return column_names(neurons, FEATURES)


@pytest.fixture(scope="module")
def frames():
    return make_frames(make_worms(3, n_frames=300, random_state=0), neurons=NEURONS, states="2")


@pytest.fixture(scope="module")
def lacking(frames):
    """Two training worms, of which the second lacks RID; and a third that lacks AVAR."""
    X, y = frames[0].copy(), frames[1]
    X.loc["simulated-1", columns_of("RID")] = np.nan
    X.loc["simulated-2", columns_of("AVAR")] = np.nan
    unseen = X.index.get_level_values("worm") == "simulated-2"
    return X[~unseen], y[~unseen], X[unseen]


class TestModules:
    """Neurons that are there are treated as if those that are missing did not exist."""

    MISSING = torch.tensor([False, True, False, False, True])

    @pytest.fixture
    def nodes(self):
        torch.manual_seed(1)
        nodes = torch.rand(N_FRAMES, N_NEURONS, N_NODE_FEATURES, dtype=torch.float64)
        nodes[:, self.MISSING] = 0
        return nodes

    @pytest.fixture
    def present(self):
        return (~self.MISSING).double().expand(N_FRAMES, -1)

    def encoder(self, neurons=None):
        torch.manual_seed(0)
        options = {"n_hidden": 4, "neuron_embedding": 3, "edge_aggregation": "concatenate", "temperature": 1.0}
        encoder = EdgeEncoder(N_NEURONS, N_NODE_FEATURES, **options, batch_norm=False).double()
        if neurons is not None:
            encoder.embedding = torch.nn.Parameter(encoder.embedding[neurons])
        return encoder

    def graph(self, name, neurons=None):
        if name == "fixed":
            torch.manual_seed(0)
            weights = torch.rand(N_NEURONS, N_NEURONS, dtype=torch.float64)
            return FixedGraph(weights if neurons is None else weights[neurons][:, neurons])
        encoder = self.encoder(neurons)
        return DynamicGraph(encoder) if name == "dynamic" else StaticGraph(encoder, name)

    @pytest.mark.parametrize("normalization", ["row", "mean", None])
    @pytest.mark.parametrize(
        "name", ["node_features", "hidden_neurons", "hidden_edges", "edge_weights", "dynamic", "fixed"]
    )
    def test_messages(self, name, normalization, nodes, present):
        options = {"self_edges": True, "message_normalization": normalization, "residual": True, "n_message_steps": 2}
        there, group = ~self.MISSING, Groups(torch.arange(N_FRAMES) % 3, 3)
        whole = MessagePassing(self.graph(name), **options)
        part = MessagePassing(self.graph(name, there), **options)
        received = whole(nodes, group, present=present)
        torch.testing.assert_close(received[:, there], part(nodes[:, there], group))
        assert not received[:, self.MISSING].any()
        graphs = whole.group_graphs(nodes, group, present)
        torch.testing.assert_close(graphs[:, there][:, :, there], part.group_graphs(nodes[:, there], group))
        assert graphs[:, self.MISSING].isnan().all() == (name != "fixed")
        if name != "dynamic":
            torch.testing.assert_close(whole(nodes, group, graphs.nan_to_num(), present), received)

    @pytest.mark.parametrize("name", CONVOLUTIONS)
    def test_convolutions(self, name, nodes, present):
        torch.manual_seed(0)
        heads = {"n_heads": 2} if name in HEADED else {}
        layer, there = CONVOLUTIONS[name](N_NODE_FEATURES, 4, **heads).double(), ~self.MISSING
        adjacency = (torch.rand(N_NEURONS, N_NEURONS) < 0.6).double()
        whole, part = GraphConvolution(layer, adjacency), GraphConvolution(layer, adjacency[there][:, there])
        group = Groups.one(N_FRAMES)
        convolved = whole(nodes, group, present=present)
        torch.testing.assert_close(convolved[:, there], part(nodes[:, there], group))
        assert not convolved[:, self.MISSING].any()
        graphs = whole.group_graphs(nodes, group, present)
        torch.testing.assert_close(graphs[:, there][:, :, there], part.group_graphs(nodes[:, there], group))

    @pytest.mark.parametrize("stage", ["node_features", "hidden_neurons", "hidden_edges", "edge_weights"])
    def test_a_graph_is_inferred_from_the_frames_in_which_both_neurons_are(self, stage):
        nodes = torch.rand(N_FRAMES, N_NEURONS, N_NODE_FEATURES, dtype=torch.float64)
        present = torch.ones(N_FRAMES, N_NEURONS, dtype=torch.float64)
        present[:8, 0] = 0
        graph, group = self.graph(stage), Groups.one(N_FRAMES)
        masked = graph(nodes * present.unsqueeze(-1), group, present)
        torch.testing.assert_close(masked[:, 1:, 1:], graph(nodes, group)[:, 1:, 1:])
        if stage in ("hidden_edges", "edge_weights"):
            torch.testing.assert_close(masked[0, 0], graph(nodes[8:], Groups.one(4))[0, 0])

    def test_what_is_typical_is_a_mean_over_frames_in_which_a_neuron_is_there(self):
        fill = MissingNodes(2, 1)
        nodes, present = torch.tensor([[[1.0], [3.0]], [[2.0], [0.0]]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
        assert fill(nodes, present)[1].flatten().tolist() == [2.0, 3.0]
        fill.eval()
        torch.testing.assert_close(fill(0 * nodes, 0 * present)[0].flatten(), torch.tensor([1.5, 3.0]))
        fill.train()
        fill(4 + 0 * nodes, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        torch.testing.assert_close(fill.typical.mean.flatten(), torch.tensor([2.75, 3.0]))

    @given(order=st.permutations(range(N_NEURONS)), missing=st.sets(st.integers(0, N_NEURONS - 1)))
    @settings(max_examples=25, deadline=None)
    def test_attention_knows_no_order(self, order, missing):
        torch.manual_seed(0)
        pooling = AttentionPooling(N_NEURONS, N_NODE_FEATURES, 4).double().eval()
        with torch.no_grad():
            for parameter in pooling.parameters():
                parameter.normal_()
            pooling.typical.mean.normal_()
        nodes = torch.rand(N_FRAMES, N_NEURONS, N_NODE_FEATURES, dtype=torch.float64)
        present = torch.ones(N_FRAMES, N_NEURONS, dtype=torch.float64)
        present[:, list(missing)] = 0
        expected = pooling(nodes, present)
        total = 0.0 if len(missing) == N_NEURONS else 1.0
        torch.testing.assert_close(pooling.attention(nodes, present).sum(1), torch.full((N_FRAMES,), total).double())
        for layer in (pooling.value, pooling.score):
            layer.weight.data, layer.bias.data = layer.weight.data[list(order)], layer.bias.data[list(order)]
        pooling.typical.mean.copy_(pooling.typical.mean[list(order)].clone())
        torch.testing.assert_close(pooling(nodes[:, list(order)], present[:, list(order)]), expected)

    def test_equal_attention_to_all_neurons_is_a_linear_layer(self):
        pooling = AttentionPooling(N_NEURONS, N_NODE_FEATURES, 4).eval()
        nodes = torch.rand(N_FRAMES, N_NEURONS, N_NODE_FEATURES)
        expected = nodes.flatten(1) @ pooling.value.weight.flatten(0, 1) + pooling.value.bias.sum((0, 1))
        torch.testing.assert_close(pooling(nodes, torch.ones(N_FRAMES, N_NEURONS)), expected)

    def test_the_mean_is_over_neurons_that_are_there(self, nodes, present):
        torch.manual_seed(0)
        shape = {"n_hidden": 4, "n_layers": 1, "batch_norm": None, "aggregation": "mean"}
        readout = Readout(N_NEURONS, N_NODE_FEATURES, 3, **shape).double()
        torch.testing.assert_close(readout(nodes, present), readout(nodes[:, ~self.MISSING]))


class TestVirtualWormsLackNeurons:
    def draw(self, **parameters):
        torch.manual_seed(1)
        X, group = torch.rand(400, 8), torch.zeros(400, dtype=torch.long)
        worms = VirtualWorms(n_groups=50, **parameters)
        return X, *worms(X, group, torch.Generator().manual_seed(0), n_node_features=2)

    def test_a_virtual_worm_lacks_whole_neurons_in_all_its_frames(self):
        _, changed, group = self.draw(neuron_dropout=0.3)
        missing = changed.isnan()
        assert torch.equal(missing[:, ::2], missing[:, 1::2])
        for worm in group.unique():
            own = missing[group == worm]
            assert torch.equal(own, own[:1].expand_as(own))
        assert 0.2 < missing.double().mean() < 0.4

    @pytest.mark.parametrize("mixing", [0.0, 0.2])
    def test_what_is_there_is_as_without(self, mixing):
        _, changed, _ = self.draw(neuron_dropout=0.3, mixing=mixing)
        _, without, _ = self.draw(mixing=mixing)
        there = ~changed.isnan()
        torch.testing.assert_close(changed[there], without[there])

    def test_missing_neurons_stay_missing_and_are_not_mixed_into_others(self):
        X = torch.rand(30, 8)
        X[:, :2] = torch.nan
        worms, group = VirtualWorms(mixing=0.3, n_groups=3), torch.zeros(30, dtype=torch.long)
        changed, _ = worms(X, group, torch.Generator().manual_seed(0), n_node_features=2)
        assert changed[:, :2].isnan().all()
        zeros, _ = worms(X.nan_to_num(), group, torch.Generator().manual_seed(0), n_node_features=2)
        torch.testing.assert_close(changed[:, 2:], zeros[:, 2:])

    @pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), "half"])
    def test_a_wrong_probability(self, value):
        with pytest.raises(ValueError, match=r"VirtualWorms: neuron_dropout=.* must be a probability"):
            VirtualWorms(neuron_dropout=value).check()


@every_network
@given(value=st.floats(-1e6, 1e6), frame=st.integers(0, 199))
@settings(max_examples=5, deadline=None)
def test_no_value_of_a_missing_neuron_has_any_influence(estimator, value, frame, fitted, lacking):
    model, X = fitted(estimator), lacking[2]
    expected = model.predict_proba(X)
    for row in (slice(None), frame):
        changed = X.copy()
        changed.iloc[row, changed.columns.get_loc("AVAR:derivative")] = value
        np.testing.assert_array_equal(model.predict_proba(changed), expected)


@pytest.fixture(scope="module")
def fitted(lacking):
    models = {}

    def fit(estimator):
        if str(estimator) not in models:
            models[str(estimator)] = clone(estimator).fit(*lacking[:2])
        return models[str(estimator)]

    return fit


@every_model
def test_single_frames_without_a_neuron_leave_the_others_alone(estimator, fitted, lacking):
    model, X = fitted(estimator), lacking[2].droplevel("worm")
    expected = model.predict(X)
    holed = X.copy()
    holed.iloc[5, :2] = np.nan
    others = np.arange(len(X)) != 5
    np.testing.assert_array_equal(model.predict(holed)[others], expected[others])


@every_model
def test_frames_are_matched_by_name(estimator, fitted, lacking):
    model, X = fitted(estimator), lacking[2]
    outcome = model.decision_function if isinstance(estimator, SVMStateClassifier) else model.predict_proba
    expected = outcome(X)
    X_shuffled = X.sample(frac=1, axis=1, random_state=0)
    np.testing.assert_array_equal(outcome(X_shuffled), expected)
    further = X_shuffled.assign(**{"SMDVL:trace": 9.0, "SMDVL:derivative": 9.0})
    np.testing.assert_array_equal(outcome(further), expected)
    with pytest.warns(UserWarning, match=r"X lacks 1 of the 5 neurons .* count as missing: \['AVAR'\]"):
        np.testing.assert_array_equal(outcome(further.drop(columns=columns_of("AVAR"))), expected)


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_matching_is_a_choice_of_columns(data):
    own = data.draw(st.lists(st.sampled_from([*NEURONS, "ALA", "RMEV"]), min_size=1, unique=True))
    columns = data.draw(st.permutations(columns_of(*own)))
    X = pd.DataFrame(np.random.default_rng(0).random((3, len(columns))), columns=columns)
    fitted_columns = columns_of(*NEURONS)
    if not set(own) & set(NEURONS):
        with pytest.raises(ValueError, match=r"X has none of the neurons that the model was trained on"):
            match_neurons(X, fitted_columns)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        matched = match_neurons(X, fitted_columns)
    assert bool(caught) == (not set(own) >= set(NEURONS))
    pd.testing.assert_frame_equal(matched, X.reindex(columns=fitted_columns))


def test_columns_that_name_no_neurons_are_for_scikit_learn_to_refuse(frames):
    X, y = frames
    plain = X.set_axis([f"c{number}" for number in range(X.shape[1])], axis=1)
    model = SVMStateClassifier().fit(plain, y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(plain[plain.columns[::-1]])
    with pytest.raises(ValueError, match="X has 8 features"):
        SVMStateClassifier().fit(plain.to_numpy(), y).predict(plain.to_numpy()[:, :8])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda X: X[["AVAL:trace", "RID:trace"]], r"X has the node features \['trace'\], but .* \['trace', 'deriv"),
        (lambda X: X[[*X.columns, "RID:trace"]], r"X has the column 'RID:trace' more than once"),
        (lambda X: X.rename(columns=lambda name: f"x{name}"), r"X has none of the neurons .*'AVAL'.* it has \['xAVAL'"),
        (lambda X: X * np.nan, r"worm 'simulated-2' has a value for none of the neurons AVAL, .*leave it out"),
        (
            lambda X: X.where(np.repeat(X.index.get_level_values("frame") != 150, X.shape[1]).reshape(X.shape)),
            r"worm 'simulated-2' .* none of the neurons AVAL.* in 1 of \d+ frames, first in frame 150; drop",
        ),
        (lambda X: X.replace(X.iloc[0, 0], np.inf), r"contains infinity"),
    ],
)
@pytest.mark.parametrize("estimator", [SVMStateClassifier(), NEURAL[0]], ids=str)
def test_frames_that_cannot_be_read_are_an_error(estimator, change, match, fitted, lacking):
    if isinstance(estimator, SVMStateClassifier):
        match = match.replace("AVAL", "AVAL:trace") if "worm '" in match else match
    with pytest.raises(ValueError, match=match):
        fitted(estimator).predict(change(lacking[2]))


@every_model
def test_a_neuron_that_no_training_frame_has_is_never_looked_at(estimator, frames):
    X, y = frames
    training = X.index.get_level_values("worm") == "simulated-0"
    without = X[training].assign(**dict.fromkeys(columns_of("RID"), np.nan))
    model = clone(estimator).fit(without, y[training])
    changed = X.assign(**dict.fromkeys(columns_of("RID"), 5.0))
    np.testing.assert_array_equal(model.predict(changed), model.predict(X))
    if isinstance(estimator, SVMStateClassifier):
        assert np.flatnonzero(np.isnan(model.fill_)).tolist() == [4, 5]
    else:
        assert model.neurons_without_data_ == ["RID"]
        others = columns_of(*(neuron for neuron in NEURONS if neuron != "RID"))
        alone = changed.loc[["simulated-1"]].assign(**dict.fromkeys(others, np.nan))
        with pytest.raises(ValueError, match=r"worm 'simulated-1' has a value for none"):
            model.predict(alone)


def test_a_training_worm_without_any_neuron_is_an_error(frames):
    X, y = frames[0].copy(), frames[1]
    X.loc["simulated-1"] = np.nan
    for estimator in (SVMStateClassifier(), NEURAL[0]):
        with pytest.raises(ValueError, match=r"worm 'simulated-1' has a value for none"):
            clone(estimator).fit(X, y)


def test_the_graph_of_a_worm_says_nothing_of_a_neuron_that_it_lacks(fitted):
    model = fitted(GNNStateClassifier(aggregation="attention", **FAST))
    assert model.graphs_["simulated-1"].loc["RID"].isna().all()
    assert model.graphs_["simulated-1"]["RID"].isna().all()
    assert model.graphs_["simulated-1"].drop(index="RID", columns="RID").notna().all(axis=None)
    assert model.graphs_["simulated-0"].notna().all(axis=None)
    assert model.graph_.notna().all(axis=None)


def test_an_svm_fills_in_means_of_training_frames(lacking):
    X, y, unseen = lacking
    model, pipeline = SVMStateClassifier(device="cpu"), make_pipeline(SimpleImputer(), SVC())
    np.testing.assert_array_equal(model.fit(X, y).predict(unseen), pipeline.fit(X, y).predict(unseen))
    np.testing.assert_allclose(model.fill_, X.mean(), rtol=1e-9)


def test_trajectories_need_every_neuron(frames):
    table, _ = make_frames(
        make_worms(2, n_frames=80, random_state=0), neurons=NEURONS, states=None, derivative="backward"
    )
    X, Y = make_trajectories(table)
    model = GNNTrajectoryRegressor(max_epochs=1, device="cpu", augmentation=VirtualWorms(neuron_dropout=0.1))
    with pytest.raises(ValueError, match=r"neuron_dropout=0.1, but GNNTrajectoryRegressor predicts every neuron"):
        model.fit(X, Y)
    with pytest.raises(ValueError, match="contains NaN"):
        model.set_params(augmentation=None).fit(X.where(X > 0), Y)


@pytest.mark.parametrize("kind", [MLPBehaviorRegressor, GNNBehaviorRegressor])
def test_behavior_regressors_need_every_neuron(kind, frames):
    X = frames[0]
    velocity = X.iloc[:, 0].rename("velocity")
    model = kind(max_epochs=1, device="cpu", augmentation=VirtualWorms(neuron_dropout=0.1))
    with pytest.raises(ValueError, match=rf"neuron_dropout=0.1, but {kind.__name__} needs every neuron"):
        model.fit(X, velocity)
    model.set_params(augmentation=None)
    with pytest.raises(ValueError, match="contains NaN"):
        model.fit(X.where(X > 0), velocity)
    with pytest.raises(ValueError, match="contains NaN"):
        model.fit(X, velocity).predict(X.where(X > 0))


@every_model
def test_a_model_file_keeps_what_is_missing(estimator, fitted, lacking, tmp_path):
    model = fitted(estimator)
    loaded = skworm.load(skworm.save(model, tmp_path / "model.skworm"))
    np.testing.assert_array_equal(loaded.predict(lacking[2]), model.predict(lacking[2]))


def test_a_network_adapts_to_a_worm_that_lacks_a_neuron(fitted, lacking):
    X = lacking[2]
    model = adapt(fitted(NEURAL[2]), X)
    changed = X.assign(**{"AVAR:derivative": 7.0})
    np.testing.assert_array_equal(model.predict_proba(changed), model.predict_proba(X))


class TestTables:
    @pytest.fixture
    def worms(self):
        worms = make_worms(3, n_frames=60, neurons=["AVAL", "RID", "AVBL", "ALA"], n_unidentified=1, random_state=0)
        names = (("AVAL", "RID"), ("AVAL", "AVBL"), ("RID", "AVAL", "AVBL"))
        return [
            dataclasses.replace(worm, neurons=[n if n in own else str(90 + i) for i, n in enumerate(worm.neurons)])
            for worm, own in zip(worms, names, strict=True)
        ]

    @pytest.mark.parametrize(
        ("min_worms", "neurons"), [(1, ["AVAL", "AVBL", "RID"]), (2, ["AVAL", "AVBL", "RID"]), (3, ["AVAL"])]
    )
    def test_the_union_of_neurons(self, worms, min_worms, neurons):
        X, _ = make_frames(worms, neurons="union", min_worms=min_worms, missing="nan")
        assert X.columns.tolist() == columns_of(*neurons)
        for worm in worms:
            own = X.loc[worm.worm].notna().all()
            assert {name.split(":")[0] for name in own[own].index} == set(neurons) & set(worm.identified)

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"neurons": "union"}, r"worm 'simulated-0' has no 'AVBL'; .*missing='nan'"),
            ({"neurons": "union", "min_worms": 4}, r"min_worms=4 must be .* between 1 and the 3 recordings"),
            ({"min_worms": 2}, r"neurons='union' alone"),
            ({"neurons": ["AVBL"], "missing": "nan"}, r"worm 'simulated-0' has none of the neurons \['AVBL'\]"),
        ],
    )
    def test_errors_name_worm_and_neuron(self, worms, changes, match):
        with pytest.raises(ValueError, match=match):
            make_frames(worms, **changes)

    def test_single_frames_stay_nan(self, worms):
        traces = worms[0].traces.copy()
        column = worms[0].neurons.index("RID")
        traces[7, column] = np.nan
        worm = dataclasses.replace(worms[0], traces=traces)
        with pytest.raises(ValueError, match=r"'RID' is NaN in 1 of 60 frames, first in frame 7; .*missing='nan'"):
            make_frames(worm, states=None)
        X, _ = make_frames(worm, states=None, missing="nan")
        assert np.flatnonzero(X["RID:trace"].isna()).tolist() == [7]
        assert X["RID:trace"].min() == 0
        assert X["AVAL:trace"].notna().all()

    def test_a_neuron_is_missing_wherever_its_context_is(self, worms):
        traces = worms[0].traces.copy()
        traces[7, worms[0].neurons.index("RID")] = np.nan
        worm = dataclasses.replace(worms[0], traces=traces)
        X, _ = make_frames(worm, states=None, missing="nan", node_features=["trace"], context=(-2, 0))
        assert np.flatnonzero(X["RID:trace@-2"].isna()).tolist() == [9]
        assert np.flatnonzero(X["RID:trace"].isna()).tolist() == [7]

    def test_scaling_keeps_what_is_missing_missing(self, worms):
        X, _ = make_frames(worms, neurons="union", missing="nan", fit_scope="train")
        scaled = WormMinMaxScaler().fit_transform(X)
        pd.testing.assert_frame_equal(scaled.isna(), X.isna())
        expected, _ = make_frames(worms, neurons="union", missing="nan")
        pd.testing.assert_frame_equal(scaled, expected, check_exact=False)


def test_real_worms_train_and_test_without_a_neuron(recordings_kato2015):
    X, y = make_frames(recordings_kato2015, neurons=PAPER_NEURONS, missing="nan", states="2")
    assert X.loc["worm_4", "VB01:trace"].isna().all()
    cv = WormGroupKFold(n_splits=10, n_train_worms=1, random_state=0)
    models = {"svm": SVMStateClassifier(), "mlp": MLPStateClassifier(augmentation=VIRTUAL, **FAST)}
    first = [split for split in cv.split_worms(X, y, X.index.get_level_values("worm")) if split.fold == 0]
    assert len(first) == 5
    for model in models.values():
        for split in (first[0], first[4]):
            model.fit(X.iloc[split.train], y.iloc[split.train])
            unseen = X.loc[["worm_4" if split is first[0] else "worm_2"]]
            assert model.score(unseen, y.loc[unseen.index]) > 0.85


def test_worms_that_do_not_match_cross_validate(lacking, frames):
    X, y = lacking[0], lacking[1]
    results = cross_validate_worms(
        {"gnn": NEURAL[3]}, X, y, cv=WormGroupKFold(n_splits=2, random_state=0), baselines=False, verbose=0
    )
    assert (results["accuracy"] > 0.5).all()
