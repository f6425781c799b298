import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC

from skworm.training.process import one_thread
from skworm.training.support_vectors import Problems, SupportVectorJob, decision_values, fit_support_vectors

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


def job(X, y, C=1.0, gamma=1.0, device="cpu", kernel="rbf"):
    """A job of two classes, the first for +1."""
    return SupportVectorJob(X, (y < 0).astype(int), np.broadcast_to(C, len(y)), gamma, kernel, device)


def decisions_of(one, machines, X_new):
    """Decision values of the only machine of a job."""
    return decision_values(
        X_new, one.X, machines.dual_coef, machines.rho, one.gamma, kernel=one.kernel, device=one.device
    )[0]


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


@pytest.mark.slow
@pytest.mark.parametrize("C", [0.05, 1.0, 10.0])
@pytest.mark.parametrize("kernel", KERNELS)
def test_agrees_with_libsvm(kernel, C):
    (X, y), (X_new, _) = blobs(), blobs(seed=1)
    one = job(X, y, C, 0.1, kernel=kernel)
    ours = decisions_of(one, *fit_support_vectors([one], tol=1e-6), X_new)
    np.testing.assert_allclose(ours, libsvm_decisions(X, y, X_new, C=C, gamma=0.1, kernel=kernel), atol=1e-4)


@pytest.mark.parametrize("C", [1.0, 10.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_takes_the_steps_of_libsvm(C, seed):
    X, y = blobs(seed=seed)
    machine = libsvm(X, y, C=C, gamma=0.1, tol=1e-3, shrinking=False)
    one = job(X, y, C, 0.1)
    (solved,) = fit_support_vectors([one])
    assert solved.n_iter.tolist() == machine.n_iter_.tolist()
    assert np.flatnonzero(solved.dual_coef[0]).tolist() == np.sort(machine.support_).tolist()
    np.testing.assert_allclose(decisions_of(one, solved, X), -machine.decision_function(X), atol=1e-9)


def test_penalties_of_single_samples():
    X, y = blobs()
    weight = np.random.default_rng(0).uniform(0.1, 3.0, len(y))
    jobs = [job(X, y, 2.0 * weight, 0.5), job(X, y, 2.0, 0.5)]
    ours = [decisions_of(*each, X) for each in zip(jobs, fit_support_vectors(jobs, tol=1e-6), strict=True)]
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
    jobs = [job(X[own], y[own], C, gamma) for own, (_, C, gamma) in zip(mask, grid, strict=True)]
    together = fit_support_vectors(jobs, tol=1e-6)
    n_iter = [machines.n_iter[0] for machines in together]
    assert max(n_iter) > 5 * min(n_iter)
    for one, machines in zip(jobs, together, strict=True):
        decisions = decisions_of(one, machines, X)
        np.testing.assert_allclose(decisions, decisions_of(one, *fit_support_vectors([one], tol=1e-6), X), atol=1e-4)
        classes = np.where(one.codes, -1, 1)
        theirs = libsvm_decisions(one.X, classes, X, C=one.C[0], gamma=one.gamma)
        np.testing.assert_allclose(decisions, theirs, atol=1e-4)


def test_problems_that_are_solved_are_left_alone():
    X, y = blobs()
    small, large = job(X[:6], y[:6], 100.0, 0.01), job(X, y, 100.0, 0.01)
    early, late = fit_support_vectors([small, large])
    (alone,) = fit_support_vectors([small])
    assert late.n_iter > 100 > early.n_iter == alone.n_iter
    np.testing.assert_allclose(early.dual_coef, alone.dual_coef, atol=1e-9)


def test_jobs_of_other_kernels_and_features_are_batches_of_their_own():
    (X, y), (other, classes) = blobs(40), blobs(50, n_features=2)
    jobs = [job(X, y), job(other, classes), job(X, y, kernel="linear"), job(X, y)]
    for one, machines in zip(jobs, fit_support_vectors(jobs), strict=True):
        (alone,) = fit_support_vectors([one])
        np.testing.assert_allclose(machines.dual_coef, alone.dual_coef, atol=1e-9)


def test_a_batch_that_memory_cannot_hold_is_divided(monkeypatch):
    jobs = [job(*blobs(seed=seed)) for seed in range(3)]
    whole = fit_support_vectors(jobs)
    batches, start = [], Problems.start
    monkeypatch.setattr(Problems, "start", lambda pairs: batches.append(len(pairs)) or start(pairs))
    monkeypatch.setattr("skworm.training.support_vectors._SHARE_OF_MEMORY", 1e-9)
    divided = fit_support_vectors(jobs)
    assert batches == [1, 1, 1]
    for machines, same in zip(whole, divided, strict=True):
        np.testing.assert_allclose(machines.dual_coef, same.dual_coef, atol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_duplicates_with_contradictory_classes(kernel):
    X = np.repeat([[0.0, 1.0], [1.0, 0.5]], 6, axis=0)
    y = np.array([1, 1, 1, 1, -1, -1] + [-1, -1, -1, -1, -1, 1])
    one = job(X, y, kernel=kernel)
    ours = decisions_of(one, *fit_support_vectors([one], tol=1e-6), X)
    np.testing.assert_allclose(ours, libsvm_decisions(X, y, X, kernel=kernel, gamma=1.0), atol=1e-4)


def test_one_sample_a_class():
    one = job(np.array([[0.0], [2.0]]), np.array([-1, 1]), 10.0, kernel="linear")
    (solved,) = fit_support_vectors([one])
    np.testing.assert_allclose(solved.dual_coef, [[-0.5, 0.5]])
    np.testing.assert_allclose(decisions_of(one, solved, np.array([[0.0], [9.0], [2.0]])), [-1, 8, 1])
    assert solved.n_iter.tolist() == [1]


def test_one_sample_that_is_in_both_classes():
    X = np.ones((2, 3))
    one = job(X, np.array([-1, 1]), 10.0)
    (solved,) = fit_support_vectors([one])
    np.testing.assert_allclose(solved.dual_coef, [[-10, 10]])
    np.testing.assert_allclose(decisions_of(one, solved, X), [0, 0])


@st.composite
def jobs_of_two_classes(draw):
    kernel, n_features = draw(st.sampled_from(KERNELS)), draw(st.integers(1, 3))
    values = st.integers(-2, 2).map(float) | st.floats(-2, 2, allow_subnormal=False)
    jobs = []
    for _ in range(draw(st.integers(1, 3))):
        n_samples = draw(st.integers(2, 14))

        def drawn(strategy, size):
            return np.array(draw(st.lists(strategy, min_size=size, max_size=size)))

        X = drawn(values, n_samples * n_features).reshape(n_samples, n_features)
        y = np.concatenate([[1, -1], drawn(st.sampled_from([-1, 1]), n_samples - 2)])
        C = drawn(st.floats(0.01, 10), n_samples)
        jobs.append(job(X, y, C, draw(st.floats(0, 1)), kernel=kernel))
    return jobs


@pytest.mark.slow
@settings(max_examples=60, derandomize=True)
@given(jobs_of_two_classes(), st.sampled_from([1e-3, 1e-5]))
def test_solutions_meet_the_conditions_of_optimality(jobs, tol):
    for one, solved in zip(jobs, fit_support_vectors(jobs, tol=tol), strict=True):
        (coef,), y, C = solved.dual_coef, np.where(one.codes, -1, 1), one.C
        multiplier = coef * y
        assert (multiplier >= 0).all()
        assert (multiplier <= C).all()
        K = kernel_matrix(one.X, one.kernel, one.gamma)
        scale = 1e-7 * (1 + np.abs(K).max() * C.sum())
        assert abs(coef.sum()) < scale
        decision = K @ coef - solved.rho[0]
        # Chang & Lin 2011, equation 4: all that can grow is at most tol above all that can shrink.
        residual = y - decision
        grows, shrinks = coef < np.maximum(y * C, 0), coef > np.minimum(y * C, 0)
        assert residual[grows].max() - residual[shrinks].min() < tol + scale
        # The intercept stands between them: samples inside the margin are at their bound, samples outside it at 0.
        assert residual[grows].max() < tol + scale
        assert residual[shrinks].min() > -tol - scale


def test_too_few_steps_of_the_solver_are_warned_of():
    X, y = blobs()
    with pytest.warns(ConvergenceWarning, match=r"1 of 1 support vector machines are not solved.*after 40 steps"):
        (solved,) = fit_support_vectors([job(X, y, 100.0)], max_iter=40)
    assert solved.n_iter.tolist() == [40]


@pytest.mark.slow
def test_a_kernel_that_overflows_is_an_error_of_its_own_job():
    X, y = blobs()
    fine, overflown = fit_support_vectors([job(X, y, kernel="poly"), job(1e60 * X, y, kernel="poly")])
    assert np.isfinite(fine.dual_coef).all()
    assert isinstance(overflown, ValueError)
    assert "poly kernel overflows; scale" in str(overflown)


@pytest.mark.gpu
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_gpu_finds_what_the_cpu_finds(kernel):
    X, y = blobs(400)
    decisions = {}
    for device in ("cpu", "cuda"):
        folds = [np.arange(len(y)) % 5 != fold for fold in range(5)]
        jobs = [job(X[own], y[own], 10.0, 0.1, kernel=kernel, device=device) for own in folds]
        fitted = fit_support_vectors(jobs, tol=1e-6)
        decisions[device] = [decisions_of(*each, X) for each in zip(jobs, fitted, strict=True)]
    np.testing.assert_allclose(decisions["cuda"], decisions["cpu"], atol=1e-4)


def test_machines_without_free_vectors_come_out_alike_beside_larger_ones():
    rng, jobs = np.random.default_rng(0), []
    for n_samples in (10, 30):
        codes = np.arange(n_samples) % 2
        X = rng.normal(size=(n_samples, 2)) + codes[:, np.newaxis]
        jobs.append(SupportVectorJob(X, codes, np.full(n_samples, 0.01), 0.5, "rbf", "cpu"))
    (alone,), (beside, _) = fit_support_vectors(jobs[:1]), fit_support_vectors(jobs)
    assert (np.abs(alone.dual_coef) == 0.01).all()
    np.testing.assert_allclose(beside.rho, alone.rho, rtol=1e-5)
