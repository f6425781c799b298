import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from skworm import AsymmetricDiffusionMap
from skworm.datasets import make_worms
from skworm.frames import make_frames

ESTIMATORS = [AsymmetricDiffusionMap(n_components=1), AsymmetricDiffusionMap(n_components=1, n_delays=0)]
_REASON = "rows follow each other in time; see test_rows_may_come_in_any_order and test_stretches_stand_by_themselves"
EXCUSED = dict.fromkeys(("check_methods_sample_order_invariance", "check_methods_subset_invariance"), _REASON)
PERIOD = 37


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: EXCUSED)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_every_excused_check_exists():
    names = {getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(ESTIMATORS[0])}
    assert names >= set(EXCUSED)
    assert len(names) > 35


def table(values, worm="a", frames=None):
    frames = np.arange(len(values)) if frames is None else frames
    index = pd.MultiIndex.from_arrays([np.full(len(values), worm), frames], names=["worm", "frame"])
    return pd.DataFrame(values, index=index).rename(columns=str)


def cycle(n_frames=700, direction=1, seed=0, worm="a"):
    """A noisy limit cycle in five dimensions, and its phase."""
    rng = np.random.default_rng(seed)
    phase = direction * (2 * np.pi * np.arange(n_frames) / PERIOD + np.cumsum(rng.normal(0, 0.02, n_frames)))
    plane = np.random.default_rng(1).normal(size=(2, 5))
    values = np.column_stack([np.cos(phase), np.sin(phase)]) @ plane + rng.normal(0, 0.05, (n_frames, 5))
    return table(values, worm), phase


@pytest.fixture(scope="module")
def worms():
    return make_frames(make_worms(2, n_frames=600, random_state=0), states="2", unknown="keep")


@pytest.mark.parametrize("direction", [1, -1])
def test_a_noisy_limit_cycle_is_a_loop_in_the_order_of_time(direction):
    X, phase = cycle(direction=direction)
    loop = AsymmetricDiffusionMap(n_components=2).fit(X)
    np.testing.assert_allclose(loop.periods_, PERIOD, rtol=0.03)
    z = loop.embedding_ @ [1, 1j]
    assert np.abs(z).min() > 0.3 * np.abs(z).max()
    # The angle grows with time, whichever way the cycle runs in phase space, and only its start is arbitrary.
    offset = np.exp(1j * (np.angle(z) - direction * phase))
    assert np.abs(offset.mean()) > 0.98


def test_a_cycle_of_a_new_worm_takes_its_phase_from_the_old_one():
    loop = AsymmetricDiffusionMap(n_components=2).fit(cycle()[0])
    z = [loop.transform(X) @ [1, 1j] * np.exp(-1j * phase) for X, phase in (cycle(), cycle(seed=2, worm="b"))]
    offsets = [np.angle(np.exp(1j * np.angle(part)).mean()) for part in z]
    assert abs(offsets[0] - offsets[1]) < 0.1


def test_training_rows_fall_on_their_own_coordinates(worms):
    X, _ = worms
    manifold = AsymmetricDiffusionMap(n_components=4).fit(X)
    np.testing.assert_allclose(manifold.transform(X), manifold.embedding_, atol=1e-8)
    alone = manifold.transform(X.loc[["simulated-1"]])
    np.testing.assert_allclose(alone, manifold.embedding_[600:], atol=1e-8)


def test_coordinates_are_eigenvectors_of_the_transitions(worms):
    X, _ = worms
    manifold = AsymmetricDiffusionMap(n_components=5, diffusion_time=3).fit(X)
    np.testing.assert_allclose(manifold.transitions_.sum(axis=1), 1)
    real = manifold.eigenvalues_.imag == 0
    psi = manifold.embedding_[:, real]
    np.testing.assert_allclose(manifold.transitions_ @ psi, psi * manifold.eigenvalues_[real].real, atol=1e-6)
    X, _ = cycle(400)
    manifold = AsymmetricDiffusionMap(n_components=2, diffusion_time=3).fit(X)
    psi = manifold.embedding_ @ [1, 1j]
    np.testing.assert_allclose(manifold.transitions_ @ psi, psi * manifold.eigenvalues_[0], atol=1e-6)
    assert manifold.eigenvalues_[0] == manifold.eigenvalues_[1]


def test_the_dense_and_the_sparse_solver_agree(monkeypatch):
    X, _ = cycle(280)
    dense = AsymmetricDiffusionMap(n_components=2).fit(X)
    monkeypatch.setattr("skworm.estimators.manifold._LARGEST_DENSE", 10)
    sparse = AsymmetricDiffusionMap(n_components=2).fit(X)
    np.testing.assert_allclose(sparse.eigenvalues_, dense.eigenvalues_, atol=1e-7)
    np.testing.assert_allclose(sparse.embedding_, dense.embedding_, atol=1e-5)


def test_signs_are_the_same_in_every_fit_and_the_largest_entry_is_positive(worms):
    X, _ = worms
    first, again = (AsymmetricDiffusionMap(n_components=3).fit(X) for _ in range(2))
    np.testing.assert_array_equal(first.embedding_, again.embedding_)
    modes = first._modes
    assert (modes[np.abs(modes).argmax(axis=0), np.arange(3)].real > 0).all()


def test_transitions_lead_to_the_surroundings_of_the_next_frame():
    X, phase = cycle()
    manifold = AsymmetricDiffusionMap(n_components=2).fit(X)
    expected = np.angle(manifold.transitions_ @ np.exp(1j * phase) / np.exp(1j * phase))
    step = 2 * np.pi / PERIOD
    assert expected[20:-1].mean() == pytest.approx(step, rel=0.1)
    assert abs(expected[-1]) < step / 2


def test_neighbours_of_a_point_are_of_different_passages():
    X, _ = cycle()
    manifold = AsymmetricDiffusionMap(n_components=2, n_neighbors=8, min_separation=10).fit(X)
    for row in range(0, 700, 50):
        places = np.sort(manifold.transitions_[[row]].indices)
        assert len(places) == 8
        assert np.diff(places).min() >= 10


def test_delays_repeat_the_first_frame_and_cross_neither_worms_nor_gaps():
    values = np.arange(9.0)[:, None]
    X = pd.concat([table(values[:3]), table(values[3:6], frames=[5, 6, 7]), table(values[6:], worm="b")])
    manifold = AsymmetricDiffusionMap(n_components=1, n_delays=2, delay=1).fit(X)
    expected = [[0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 3, 3], [4, 3, 3], [5, 4, 3], [6, 6, 6], [7, 6, 6], [8, 7, 6]]
    np.testing.assert_array_equal(manifold._points, expected)
    following = manifold._phase_space(X.to_numpy(), *map(np.asarray, zip(*X.index, strict=True)))[1]
    np.testing.assert_array_equal(following[:, 0], [1, 2, 2, 4, 5, 5, 7, 8, 8])


def test_stretches_stand_by_themselves(worms):
    X, _ = worms
    manifold = AsymmetricDiffusionMap(n_components=3).fit(X)
    frame = X.index.get_level_values("frame")
    stretches = X[(frame < 100) | (frame >= 150)]
    apart = [
        manifold.transform(stretches.loc[[worm]][part(stretches.loc[[worm]].index.get_level_values("frame"))])
        for worm in ("simulated-0", "simulated-1")
        for part in (lambda frame: frame < 100, lambda frame: frame >= 150)
    ]
    np.testing.assert_allclose(manifold.transform(stretches), np.concatenate(apart), atol=1e-8)


def test_rows_may_come_in_any_order(worms):
    X, _ = worms
    order = np.random.default_rng(0).permutation(len(X))
    sorted_fit = AsymmetricDiffusionMap(n_components=2).fit(X)
    np.testing.assert_allclose(sorted_fit.transform(X.iloc[order]), sorted_fit.embedding_[order], atol=1e-8)
    shuffled = AsymmetricDiffusionMap(n_components=2).fit(X.iloc[order])
    np.testing.assert_allclose(shuffled.eigenvalues_, sorted_fit.eigenvalues_, atol=1e-6)
    np.testing.assert_allclose(shuffled.embedding_, sorted_fit.embedding_[order], atol=1e-4)


def test_worms_may_be_passed_beside_plain_arrays(worms):
    X, _ = worms
    named = AsymmetricDiffusionMap(n_components=2).fit(X)
    worm = X.index.get_level_values("worm")
    plain = AsymmetricDiffusionMap(n_components=2).fit(X.to_numpy(), worm=worm)
    np.testing.assert_array_equal(plain.embedding_, named.embedding_)
    np.testing.assert_array_equal(plain.transform(X.to_numpy(), worm=worm), named.transform(X))


def test_states_are_read_from_the_manifold_of_another_worm(worms):
    X, y = worms
    known = y != "unknown"
    train, test = (known & (X.index.get_level_values("worm") == worm) for worm in ("simulated-0", "simulated-1"))
    model = make_pipeline(AsymmetricDiffusionMap(n_components=8), KNeighborsClassifier(20)).fit(X[train], y[train])
    assert model.score(X[test], y[test]) > y[test].value_counts(normalize=True).max() + 0.15


def test_constant_rows_give_finite_coordinates():
    assert np.isfinite(AsymmetricDiffusionMap(n_components=1).fit_transform(np.ones((40, 2)))).all()


@pytest.mark.parametrize(
    ("parameters", "X", "message"),
    [
        ({"n_components": 0}, table(np.ones((9, 1))), "'n_components' parameter .* must be an int"),
        ({"delay": 0}, table(np.ones((9, 1))), "'delay' parameter .* must be an int"),
        (
            {"n_components": 9},
            table(np.ones((9, 1))),
            r"n_components=9 is too large for n_samples=9 rows; pass",
        ),
        (
            {},
            table(np.ones((5, 1)), frames=[0, 1, 2, 2, 3]),
            r"worm 'a' has frame 2 more than once \(row 3\); drop",
        ),
    ],
)
def test_bad_input_is_refused(parameters, X, message):
    with pytest.raises(ValueError, match=message):
        AsymmetricDiffusionMap(**parameters).fit(X)


def test_real_worms_run_round_a_loop_from_reversal_over_turn_to_forward(recordings_kato2015):
    X, y = make_frames(recordings_kato2015[:1], states="4", unknown="keep")
    manifold = AsymmetricDiffusionMap().fit(X)
    centres = pd.DataFrame(manifold.embedding_).groupby(y.to_numpy()).mean()
    spread = np.linalg.norm(centres.loc["reverse"] - centres.loc["forward"])
    assert spread > 1
    assert np.linalg.norm(centres.loc["dorsal_turn"] - centres.loc["reverse"]) > spread / 4
