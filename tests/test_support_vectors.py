import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC

from skworm.training import decision_values, fit_support_vectors, one_thread

KERNELS = ["rbf", "linear", "poly", "sigmoid"]


@pytest.fixture(autouse=True)
def a_single_thread():
    with one_thread():
        yield


def blobs(n_samples=120, n_features=4, seed=0):
    """Two classes that overlap."""
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n_samples) % 3 == 0, -1, 1)
    return rng.normal(size=(n_samples, n_features)) + 0.4 * y[:, None], y


def kernel_matrix(X, kernel, gamma):
    if kernel == "linear":
        return X @ X.T
    others = {"rbf": {}, "poly": {"coef0": 0.0, "degree": 3}, "sigmoid": {"coef0": 0.0}}[kernel]
    return pairwise_kernels(X, metric=kernel, gamma=gamma, **others)


def libsvm(X, y, **parameters):
    """Libsvm's machine, whose class +1 is the first one in sorted order."""
    return SVC(**{"tol": 1e-6, **parameters}).fit(X, -y)


def libsvm_decisions(X, y, X_new, **parameters):
    return -libsvm(X, y, **parameters).decision_function(X_new)


@pytest.mark.parametrize("C", [0.05, 1.0, 10.0])
@pytest.mark.parametrize(
    "kernel",
    [
        {"kernel": "rbf"},
        {"kernel": "linear"},
        {"kernel": "poly", "coef0": 0.5, "degree": 2},
        {"kernel": "poly"},
        {"kernel": "sigmoid", "coef0": -1.0},
    ],
    ids=str,
)
def test_agrees_with_libsvm(kernel, C):
    (X, y), (X_new, _) = blobs(), blobs(seed=1)
    solved = fit_support_vectors(X, y[None], np.ones((1, len(y)), bool), C, 0.1, tol=1e-6, **kernel)
    ours = decision_values(X_new, X, solved.dual_coef, solved.rho, 0.1, **kernel)[0]
    np.testing.assert_allclose(ours, libsvm_decisions(X, y, X_new, C=C, gamma=0.1, **kernel), atol=1e-4)


@pytest.mark.parametrize("C", [1.0, 10.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_takes_the_steps_of_libsvm(C, seed):
    X, y = blobs(seed=seed)
    machine = libsvm(X, y, C=C, gamma=0.1, tol=1e-3, shrinking=False)
    solved = fit_support_vectors(X, y[None], np.ones((1, len(y)), bool), C, 0.1)
    assert solved.n_iter.tolist() == machine.n_iter_.tolist()
    assert np.flatnonzero(solved.dual_coef[0]).tolist() == np.sort(machine.support_).tolist()
    decisions = decision_values(X, X, solved.dual_coef, solved.rho, 0.1)[0]
    np.testing.assert_allclose(decisions, -machine.decision_function(X), atol=1e-9)


def test_penalties_of_single_samples():
    X, y = blobs()
    weight = np.random.default_rng(0).uniform(0.1, 3.0, len(y))
    C = 2.0 * np.stack([weight, np.ones(len(y))])
    solved = fit_support_vectors(X, np.stack([y, y]), np.ones((2, len(y)), bool), C, 0.5, tol=1e-6)
    ours = decision_values(X, X, solved.dual_coef, solved.rho, 0.5)
    weighted = SVC(C=2.0, gamma=0.5, tol=1e-6).fit(X, y, sample_weight=weight).decision_function(X)
    np.testing.assert_allclose(ours[0], weighted, atol=1e-4)
    np.testing.assert_allclose(ours[1], libsvm_decisions(X, y, X, C=2.0, gamma=0.5), atol=1e-4)


def test_a_batch_of_folds_and_grid_points_equals_solving_one_by_one():
    X, y = blobs()
    fold = np.arange(len(y)) % 4
    grid = [(f, C, gamma) for f in range(4) for C in (0.1, 50.0) for gamma in (0.02, 2.0)]
    mask = np.array([fold != f for f, _, _ in grid])
    # Of uneven size, and solved after an uneven number of steps.
    mask[:4, ::2] = False
    C, gamma = (np.array(values) for values in list(zip(*grid, strict=True))[1:])
    classes = np.where(mask, y, 7)
    together = fit_support_vectors(X, classes, mask, C, gamma, tol=1e-6)
    decisions = decision_values(X, X, together.dual_coef, together.rho, gamma)
    assert together.n_iter.max() > 5 * together.n_iter.min()
    for k in range(len(grid)):
        alone = fit_support_vectors(
            X[mask[k]], y[None, mask[k]], np.ones((1, mask[k].sum()), bool), *grid[k][1:], tol=1e-6
        )
        own = decision_values(X, X[mask[k]], alone.dual_coef, alone.rho, gamma[k])[0]
        np.testing.assert_allclose(decisions[k], own, atol=1e-4)
        theirs = libsvm_decisions(X[mask[k]], y[mask[k]], X, C=C[k], gamma=gamma[k])
        np.testing.assert_allclose(decisions[k], theirs, atol=1e-4)
    assert not together.dual_coef[~mask].any()


def test_problems_that_are_solved_are_left_alone():
    X, y = blobs()
    mask = np.ones((2, len(y)), bool)
    mask[0, 6:] = False
    both = fit_support_vectors(X, np.stack([y, y]), mask, 100.0, 0.01)
    one = fit_support_vectors(X, y[None], mask[:1], 100.0, 0.01)
    assert both.n_iter[1] > 100 > both.n_iter[0] == one.n_iter[0]
    np.testing.assert_allclose(both.dual_coef[0], one.dual_coef[0], atol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_duplicates_with_contradictory_classes(kernel):
    X = np.repeat([[0.0, 1.0], [1.0, 0.5]], 6, axis=0)
    y = np.array([1, 1, 1, 1, -1, -1] + [-1, -1, -1, -1, -1, 1])
    solved = fit_support_vectors(X, y[None], np.ones((1, 12), bool), 1.0, 1.0, kernel=kernel, tol=1e-6)
    ours = decision_values(X, X, solved.dual_coef, solved.rho, 1.0, kernel=kernel)[0]
    np.testing.assert_allclose(ours, libsvm_decisions(X, y, X, kernel=kernel, gamma=1.0), atol=1e-4)


def test_one_sample_a_class():
    X = np.array([[0.0], [9.0], [2.0]])
    solved = fit_support_vectors(X, np.array([[-1, 0, 1]]), np.array([[True, False, True]]), 10.0, kernel="linear")
    np.testing.assert_allclose(solved.dual_coef, [[-0.5, 0, 0.5]])
    np.testing.assert_allclose(decision_values(X, X, *solved[:2], kernel="linear"), [[-1, 8, 1]])
    assert solved.n_iter.tolist() == [1]


def test_one_sample_that_is_in_both_classes():
    X = np.ones((2, 3))
    solved = fit_support_vectors(X, np.array([[-1, 1]]), np.ones((1, 2), bool), 10.0)
    np.testing.assert_allclose(solved.dual_coef, [[-10, 10]])
    np.testing.assert_allclose(decision_values(X, X, *solved[:2]), [[0, 0]])


@st.composite
def problems(draw):
    n_samples, n_features = draw(st.integers(2, 14)), draw(st.integers(1, 3))
    values = st.integers(-2, 2).map(float) | st.floats(-2, 2, allow_subnormal=False)
    X = np.array(draw(st.lists(values, min_size=n_samples * n_features, max_size=n_samples * n_features)))
    n_problems = draw(st.integers(1, 3))
    y = np.array(
        draw(st.lists(st.sampled_from([-1, 1]), min_size=n_problems * n_samples, max_size=n_problems * n_samples))
    )
    mask = np.array(draw(st.lists(st.booleans(), min_size=len(y), max_size=len(y))))
    y, mask = y.reshape(n_problems, n_samples), mask.reshape(n_problems, n_samples)
    y[:, 0], y[:, 1], mask[:, :2] = 1, -1, True
    C = np.array(draw(st.lists(st.floats(0.01, 10), min_size=len(y.flat), max_size=len(y.flat)))).reshape(y.shape)
    gamma = np.array(draw(st.lists(st.floats(0, 1), min_size=n_problems, max_size=n_problems)))
    return X.reshape(n_samples, n_features), y, mask, C, gamma


@settings(max_examples=60, deadline=None, derandomize=True)
@given(problems(), st.sampled_from(KERNELS), st.sampled_from([1e-3, 1e-5]))
def test_solutions_meet_the_conditions_of_optimality(problem, kernel, tol):
    X, y, mask, C, gamma = problem
    solved = fit_support_vectors(X, y, mask, C, gamma, kernel=kernel, tol=tol)
    for k, coef in enumerate(solved.dual_coef):
        multiplier = coef * y[k]
        assert not coef[~mask[k]].any()
        assert (multiplier >= 0).all()
        assert (multiplier <= C[k]).all()
        K = kernel_matrix(X, kernel, gamma[k])
        scale = 1e-7 * (1 + np.abs(K).max() * C[k].sum())
        assert abs(coef.sum()) < scale
        decision = K @ coef - solved.rho[k]
        # Chang & Lin 2011, equation 4: all that can grow is at most tol above all that can shrink.
        residual = y[k] - decision
        grows, shrinks = (coef < np.maximum(y[k] * C[k], 0)) & mask[k], (coef > np.minimum(y[k] * C[k], 0)) & mask[k]
        assert residual[grows].max() - residual[shrinks].min() < tol + scale
        # The intercept stands between them: samples inside the margin are at their bound, samples outside it at 0.
        assert residual[grows].max() < tol + scale
        assert residual[shrinks].min() > -tol - scale


def test_too_few_steps_are_said():
    X, y = blobs()
    with pytest.warns(ConvergenceWarning, match=r"1 of 1 support vector machines are not solved.*after 40 steps"):
        solved = fit_support_vectors(X, y[None], np.ones((1, len(y)), bool), 100.0, max_iter=40)
    assert solved.n_iter.tolist() == [40]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"y": np.ones(6)}, r"y and mask \(n_problems, n_samples\).*\(6,\)"),
        ({"mask": np.ones((2, 6))}, r"mask is float64"),
        ({"mask": np.ones((2, 5), bool)}, r"shapes \(6, 2\), \(2, 6\) and \(2, 5\)"),
        ({"y": np.ones((2, 6))}, r"mask must hold samples of both classes, but is not in problems \[0, 1\]"),
        ({"y": np.array([[1, -1] * 3, [1, -1, 0] * 2])}, r"y must be \+1 or -1 within mask.*problems \[1\]"),
        ({"X": np.full((6, 2), np.nan)}, r"X holds NaN"),
        ({"C": [1.0, 0.0]}, r"C must be positive and finite within mask, but is not in problems \[1\]"),
        ({"C": np.ones(6)}, r"C has the shape \(6,\), but must be a number, or have \(2,\) or \(2, 6\)"),
        ({"gamma": [np.inf, 1.0]}, r"gamma must be 0 or greater, and finite, but is not in problems \[0\]"),
        ({"gamma": np.ones((2, 6))}, r"gamma has the shape \(2, 6\), but must be a number, or have \(2,\)"),
        ({"kernel": "cosine"}, r"kernel='cosine' must be one of \['rbf', 'linear', 'poly', 'sigmoid'\]"),
        ({"tol": 0}, r"tol=0 must be greater than 0"),
        ({"X": 1e60 * np.arange(12.0).reshape(6, 2), "kernel": "poly"}, r"poly kernel of problem 0 overflows; scale"),
    ],
)
def test_bad_input(change, match):
    arguments = {"X": np.arange(12.0).reshape(6, 2), "y": np.array([[1, -1] * 3] * 2), "mask": np.ones((2, 6), bool)}
    with pytest.raises(ValueError, match=match):
        fit_support_vectors(**{**arguments, **change})


@pytest.mark.gpu
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_gpu_finds_what_the_cpu_finds(kernel):
    X, y = blobs(400)
    fold = np.arange(len(y)) % 5
    classes, mask = np.tile(y, (5, 1)), np.array([fold != f for f in range(5)])
    decisions = {}
    for device in ("cpu", "cuda"):
        solved = fit_support_vectors(X, classes, mask, 10.0, 0.1, kernel=kernel, tol=1e-6, device=device)
        decisions[device] = decision_values(X, X, *solved[:2], 0.1, kernel=kernel, device=device)
    np.testing.assert_allclose(decisions["cuda"], decisions["cpu"], atol=1e-4)
