"""The support vector machine on its two paths: libsvm, and the batched solver that a GPU runs."""

import pickle
from unittest import mock

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from skworm import SVMStateClassifier
from skworm.datasets import make_worms
from skworm.estimators.svm import PairwiseSVC
from skworm.frames import PAPER_NEURONS, make_frames
from skworm.training.process import one_thread

pytestmark = pytest.mark.slow

DEFAULTS = {"C": 1.0, "kernel": "rbf", "gamma": "scale", "class_weight": None}


class SolvedInTorch(SVMStateClassifier):
    """The estimator as it is on a GPU, but for where its tensors live."""

    def _solver_device(self):
        return "cpu"


@pytest.fixture(autouse=True)
def a_single_thread():
    with one_thread():
        yield


def assert_same_machine(X, y, X_new, **parameters):
    """Compare labels, decisions of every pair and of every class with scikit-learn's."""
    parameters = {**DEFAULTS, **parameters}
    model = SolvedInTorch(**parameters).fit(X, y)
    ours = model.svc_
    theirs = SVC(**parameters, shrinking=False).fit(X, y)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(X_new), theirs.predict(X_new))
    np.testing.assert_allclose(ours.decision_function(X_new), theirs.decision_function(X_new), atol=1e-6)
    assert model.n_iter_.shape == theirs.n_iter_.shape
    # Shrinking may end at another solution within the tolerance, which moves a frame on the boundary now and then.
    default = SVC(**parameters, decision_function_shape="ovo").fit(X, y)
    sign = -1 if len(ours.classes_) == 2 else 1
    pairs = sign * default.decision_function(X_new).reshape(len(X_new), -1)
    np.testing.assert_allclose(ours._decisions(X_new), pairs, atol=1e-3)
    assert (ours.predict(X_new) == default.predict(X_new)).mean() > 0.999


def known_frames(recordings, states, exclude=()):
    X, y = make_frames(
        recordings, neurons=PAPER_NEURONS, exclude=exclude, states=states, derivative="central", percentiles=(0, 100)
    )
    known = (y != "unknown").to_numpy()
    return X[known], y[known]


@pytest.mark.parametrize("C", [1.0, 100.0])
@pytest.mark.parametrize("worm", [0, 3])
@pytest.mark.parametrize("states", ["2", "4", "7"])
def test_real_worms_are_read_as_libsvm_reads_them(recordings_kato2015, states, worm, C):
    X, y = known_frames(recordings_kato2015, states, exclude=["VB01"])
    training = X.index.get_level_values("worm") == f"worm_{worm}"
    X, y = X.to_numpy(), y.to_numpy(str)
    assert_same_machine(X[training][::4], y[training][::4], X, C=C)


@pytest.fixture(scope="module")
def simulated():
    X, y = known_frames(make_worms(n_worms=2, n_frames=900, random_state=0), "4")
    training = X.index.get_level_values("worm") == "simulated-0"
    return X.to_numpy()[training], y.to_numpy(str)[training], X.to_numpy()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"C": 100.0},
        {"gamma": "auto"},
        {"gamma": 3.0},
        {"gamma": 0.0},
        {"kernel": "linear"},
        {"kernel": "poly"},
        {"kernel": "sigmoid"},
        {"class_weight": "balanced"},
        {"class_weight": {"forward": 0.2, "ventral_turn": 5.0}},
    ],
    ids=str,
)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_simulated_worms_are_read_as_libsvm_reads_them(simulated, n_classes, parameters):
    X, y, X_new = simulated
    if isinstance(parameters.get("class_weight"), dict) and n_classes == 2:
        parameters = {"class_weight": {"forward": 0.2}}
    rows = np.isin(y, ["forward", "reverse"]) if n_classes == 2 else slice(None)
    assert_same_machine(X[rows], y[rows], X_new, **parameters)


def test_an_unknown_kernel_is_an_error():
    with pytest.raises(ValueError, match=r"kernel='cosine' is not known; choose one of"):
        PairwiseSVC("cosine", "cpu")


def test_degenerate_frames():
    X = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    assert_same_machine(X, np.array(["a", "a", "b", "b", "c"]), X)
    assert_same_machine(X[::2], np.array(["a", "b", "c"]), X, C=100.0)
    constant = np.ones((4, 2))
    assert_same_machine(constant, np.array([0, 1, 0, 2]), constant)


def test_of_classes_with_equally_many_votes_the_first_wins():
    # Three classes at the corners of a triangle: its centre is as far from each, and every pair votes as it rounds.
    machine = SolvedInTorch().fit(np.eye(3), np.array(["a", "b", "c"])).svc_
    machine.rho_ = np.array([-1.0, 1.0, -1.0])
    assert (np.sign(machine._decisions(np.ones((1, 3)) / 3)) == [[1, -1, 1]]).all()
    assert machine.predict(np.ones((1, 3)) / 3) == ["a"]


@parametrize_with_checks([SolvedInTorch(), SolvedInTorch(class_weight="balanced")])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_both_paths_of_the_estimator_agree(simulated):
    X, y, X_new = simulated
    y = np.where(np.arange(len(y)) % 7, y, "unknown")
    libsvm, batched = SVMStateClassifier(device="cpu").fit(X, y), SolvedInTorch().fit(X, y)
    assert isinstance(libsvm.svc_, SVC)
    assert isinstance(batched.svc_, PairwiseSVC)
    np.testing.assert_array_equal(libsvm.predict(X_new), batched.predict(X_new))
    np.testing.assert_allclose(libsvm.decision_function(X_new), batched.decision_function(X_new), atol=1e-3)
    assert libsvm.score(X, y) == batched.score(X, y)
    assert libsvm.n_iter_.shape == batched.n_iter_.shape == (6,)


def test_what_a_gpu_fitted_loads_and_predicts_without_one(simulated, monkeypatch):
    X, y, X_new = simulated
    model = SolvedInTorch(device="cuda").fit(X, y)
    model.svc_.device = "cuda"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    pickled = pickle.dumps(model)
    assert b"torch" not in pickled.replace(b"SolvedInTorch", b"")
    np.testing.assert_array_equal(pickle.loads(pickled).predict(X_new), model.predict(X_new))
    assert len(pickled) < X.nbytes + model.svc_.dual_coef_.nbytes + 5_000


def test_without_a_gpu_auto_is_libsvm_and_cuda_an_error(simulated, monkeypatch):
    X, y, _ = simulated
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert isinstance(SVMStateClassifier().fit(X, y).svc_, SVC)
    with pytest.raises(ValueError, match=r"device='cuda', but torch finds no CUDA GPU"):
        SVMStateClassifier(device="cuda").fit(X, y)
    with pytest.raises(ValueError, match=r"'device' parameter.*'auto'"):
        SVMStateClassifier(device="gpu").fit(X, y)


def test_a_class_weight_of_zero_is_an_error(simulated):
    X, y, _ = simulated
    with pytest.raises(ValueError, match=r"class_weight gives 0.0 to 'forward'; weights must be positive"):
        SolvedInTorch(class_weight={"forward": 0.0}).fit(X, y)


@pytest.mark.gpu
@pytest.mark.parametrize("parameters", [{}, {"C": 100.0}, {"kernel": "linear"}, {"class_weight": "balanced"}], ids=str)
def test_a_gpu_reads_simulated_worms_as_libsvm_does(simulated, parameters):
    X, y, X_new = simulated
    libsvm, cuda, auto = (
        SVMStateClassifier(**parameters, device=device).fit(X, y) for device in ("cpu", "cuda", "auto")
    )
    assert isinstance(auto.svc_, PairwiseSVC)
    np.testing.assert_array_equal(cuda.predict(X_new), libsvm.predict(X_new))
    np.testing.assert_array_equal(auto.predict(X_new), cuda.predict(X_new))
    np.testing.assert_allclose(cuda.decision_function(X_new), libsvm.decision_function(X_new), atol=1e-3)
    model = pickle.loads(pickle.dumps(cuda))
    model.svc_.device = "cpu"
    np.testing.assert_allclose(model.decision_function(X_new), cuda.decision_function(X_new), atol=1e-9)


@pytest.mark.parametrize("kind", [SVMStateClassifier, SolvedInTorch])
def test_a_refit_that_is_interrupted_leaves_no_model_of_two_fits(simulated, kind, monkeypatch):
    X, y, X_new = simulated
    model = kind(device="cpu").fit(X, y)
    for solver in ("SVC.fit", "fit_support_vectors"):
        monkeypatch.setattr(f"skworm.estimators.svm.{solver}", mock.Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, np.char.add("other ", y))
    with pytest.raises(NotFittedError):
        model.predict(X_new)
