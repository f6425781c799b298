import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from skworm.datasets import load_connectome
from skworm.frames import PAPER_NEURONS
from skworm.inspection import compare_graphs
from skworm.inspection.graphs import rewire

N = 9
NAMES = [f"AV{letter}" for letter in "ABCDEFGHI"]


def graph_of(values, names=NAMES):
    return pd.DataFrame(values, index=pd.Index(names, name="pre"), columns=pd.Index(names, name="post"))


@pytest.fixture
def sparse():
    """A random weighted graph with a quarter of the edges, none to itself."""
    rng = np.random.default_rng(3)
    return graph_of(rng.uniform(1, 2, (N, N)) * (rng.random((N, N)) < 0.3) * (1 - np.eye(N)))


def compare(inferred, reference, **options):
    return compare_graphs(inferred, reference, **{"n_permutations": 99, "random_state": 0, **options})


def test_a_graph_agrees_with_itself(sparse):
    result = compare(sparse, sparse)
    assert result["value"].tolist() == pytest.approx([1, 1, 1, 1])
    assert result["p_value"].tolist() == [0.01] * 4
    assert result["n_pairs"].unique().tolist() == [N * (N - 1)]
    assert (result["n_edges"] == np.count_nonzero(sparse)).all()
    assert (result["null_mean"] < result["null_percentile_95"]).all()
    # The random graphs differ from the reference.
    assert (result["null_percentile_95"] < 1).all()


def test_a_transposed_graph_does_not(sparse):
    forward = graph_of(np.triu(sparse + sparse.T, 1))
    result = compare(graph_of(forward.to_numpy().T), forward)
    assert (result.query("statistic == 'auroc'")["value"] < 0.5).all()
    assert (result.query("statistic == 'spearman'")["value"] < 0).all()
    assert (result["p_value"] > 0.5).all()
    # The axes tell who sends: the same numbers by their names [post, pre] are the graph itself.
    turned = sparse.T
    assert (turned.index.name, turned.columns.name) == ("post", "pre")
    pd.testing.assert_frame_equal(compare(turned, sparse), compare(sparse, sparse))
    atlas = sparse.T.rename_axis(index="response", columns="stimulated")
    pd.testing.assert_frame_equal(compare(sparse, atlas), compare(sparse, sparse))
    with pytest.raises(ValueError, match=r"axes of reference are named \(None, None\), which does not tell who sends"):
        compare(sparse, sparse.rename_axis(index=None, columns=None))


def test_values_are_those_of_scipy_and_sklearn(sparse):
    inferred = graph_of(np.random.default_rng(0).random((N, N)).round(1))
    values = compare(inferred, sparse).set_index(["statistic", "null"])["value"]
    pairs = ~np.eye(N, dtype=bool)
    weights, reference = inferred.to_numpy()[pairs], sparse.to_numpy()[pairs]
    assert values["auroc"].unique().tolist() == [pytest.approx(roc_auc_score(reference > 0, weights))]
    assert values["spearman"].unique().tolist() == [pytest.approx(spearmanr(weights, reference).statistic)]


@pytest.mark.slow
def test_chance_finds_nothing_in_noise():
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(60):
        inferred = graph_of(rng.random((N, N)))
        reference = graph_of((rng.random((N, N)) < 0.3).astype(float))
        p_values.append(compare(inferred, reference, n_permutations=39, random_state=rng.integers(1000))["p_value"])
    small = (np.array(p_values) <= 0.1).mean(axis=0)
    assert (small < 0.25).all()
    assert (np.array(p_values) <= 0.9).mean(axis=0).min() > 0.7


def test_an_unknown_pair_does_not_count(sparse):
    inferred, unknown = sparse.copy(), sparse.copy()
    pairs = [("AVA", "AVB"), ("AVC", "AVD"), ("AVE", "AVA")]
    for pair in pairs:
        unknown.loc[pair] = np.nan
        inferred.loc[pair] = 1000
    result = compare(inferred, unknown)
    assert result["n_pairs"].unique().tolist() == [N * (N - 1) - 3]
    assert result["value"].tolist() == pytest.approx([1, 1, 1, 1])
    assert (compare(inferred, unknown.fillna(0))["value"] < 1).all()
    with pytest.raises(ValueError, match="knows no pair of the shared neurons"):
        compare(inferred, sparse * np.nan)
    with pytest.raises(ValueError, match="inferred holds NaN"):
        compare(unknown, sparse)


def test_neither_self_edges_nor_signs_count(sparse):
    signs = np.where(np.add.outer(range(N), range(N)) % 2, 1, -1)
    assert compare(sparse + np.diag(np.linspace(5, 9, N)), sparse * signs)["value"].tolist() == pytest.approx([1] * 4)


def test_neurons_are_matched_by_name(sparse):
    motor = dict(zip(NAMES, ["VB1", "VB2", *NAMES[2:]], strict=True))
    reference = sparse.rename(index=motor, columns=motor).iloc[::-1]
    inferred = sparse.rename(index={"AVA": "VB01", "AVB": "VB02"}, columns={"AVA": "VB01", "AVB": "VB02"})
    inferred = inferred.drop(index="AVI", columns="AVI")
    result = compare(inferred, reference)
    assert result["value"].tolist() == pytest.approx([1, 1, 1, 1])
    assert result["n_neurons"].unique().tolist() == [N - 1]
    with pytest.raises(ValueError, match=r"share 3 neurons, \['AVA', 'AVB', 'AVC'\]; at least 4 are needed"):
        compare(sparse.iloc[:3, :3], sparse)
    twice = graph_of(np.eye(5), ["VB1", "VB01", "AVA", "AVB", "AVC"])
    with pytest.raises(ValueError, match=r"names \['VB01'\] more than once"):
        compare(twice, sparse)
    with pytest.raises(ValueError, match="must be a DataFrame with the same neurons"):
        compare(sparse.to_numpy(), sparse)


def test_nothing_to_compare_is_nan(sparse):
    result = compare(sparse, graph_of(np.ones((N, N))))
    assert result[["value", "p_value"]].isna().all(axis=None)
    with pytest.raises(ValueError, match="n_permutations=0 must be a whole number"):
        compare(sparse, sparse, n_permutations=0)


def test_a_random_graph_without_a_statistic_counts_against_the_observed_one():
    # Only the pairs of four neurons are known: most permutations leave nothing but zeros there.
    inferred, reference = graph_of(np.zeros((N, N))), graph_of(np.full((N, N), np.nan))
    reference.iloc[:4, :4] = 0
    inferred.iloc[0, 1] = reference.iloc[0, 1] = 1
    result = compare(inferred, reference).set_index(["statistic", "null"])
    assert result.loc[("spearman", "permuted_labels"), "p_value"] > 0.5


def test_the_same_seed_gives_the_same_table():
    inferred = load_connectome("white1986", PAPER_NEURONS, kind="electrical")
    reference = load_connectome("cook2019")
    pd.testing.assert_frame_equal(compare(inferred, reference), compare(inferred, reference))
    assert not compare(inferred, reference).equals(compare(inferred, reference, random_state=1))


squares = st.integers(2, 8).flatmap(
    lambda n: arrays(np.float64, (n, n), elements=st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 3.5]))
)


@given(squares, st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_rewiring_keeps_degrees_weights_and_what_it_may_not_touch(graph, seed, random):
    allowed = np.array([[random.random() < 0.8 for _ in row] for row in graph])
    rewired = rewire(graph, allowed, np.random.RandomState(seed))
    assert ((rewired != 0).sum(axis=0) == (graph != 0).sum(axis=0)).all()
    # A sender keeps the weights of its edges.
    np.testing.assert_array_equal(np.sort(rewired, axis=1), np.sort(graph, axis=1))
    kept = ~allowed | np.eye(len(graph), dtype=bool)
    np.testing.assert_array_equal(rewired[kept], graph[kept])


@given(squares, st.integers(0, 2**32 - 1))
def test_a_symmetric_graph_stays_symmetric(half, seed):
    graph = np.maximum(half, half.T)
    rewired = rewire(graph, np.ones(graph.shape, dtype=bool), np.random.RandomState(seed), symmetric=True)
    np.testing.assert_array_equal(rewired, rewired.T)
    np.testing.assert_array_equal((rewired != 0).sum(axis=0), (graph != 0).sum(axis=0))
    np.testing.assert_array_equal(np.sort(rewired, axis=None), np.sort(graph, axis=None))
    np.testing.assert_array_equal(np.diag(rewired), np.diag(graph))


def test_rewiring_reaches_every_graph_of_the_same_degrees():
    # A directed cycle of four: the graphs of in- and out-degree 1 without self edges are the 9 derangements.
    cycle = np.roll(np.eye(4), 1, axis=1)
    rng = np.random.RandomState(0)
    seen = []
    for _ in range(900):
        cycle = rewire(cycle, np.ones((4, 4), dtype=bool), rng)
        seen.append(tuple(cycle.argmax(axis=1)))
    counts = pd.Series(seen).value_counts()
    assert len(counts) == 9
    assert counts.between(60, 145).all()
