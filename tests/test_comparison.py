from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.dummy import DummyClassifier

from skworm.model_selection import WormGroupKFold, WormScores, cross_validate_worms, describe_comparison
from skworm.model_selection.comparison import (
    bootstrap_over_worms,
    holm_correction,
    sign_flip_test,
    smallest_sign_flip_p,
)

WORMS = list("abcde")


def make_results(n_worms=5, models=("svm", "mlp", "gnn"), n_folds=2, seed=0, shift=0.05):
    """Scores on unseen worms of models that train on one worm, each model better than the one before."""
    rng = np.random.default_rng(seed)
    worms = WORMS[:n_worms]
    keys = pd.MultiIndex.from_product([models, worms, range(n_folds), worms])
    table = keys.to_frame(index=False, name=["model", "train_worms", "fold", "worm"])
    held_out = table["worm"] == table["train_worms"]
    table["evaluation"] = np.where(held_out, "held_out_windows", "unseen_worms")
    table["n_frames"] = np.where(held_out, 100, 200)
    table["accuracy"] = 0.6 + shift * table["model"].map(list(models).index) + rng.uniform(0, 0.2, len(table))
    table["mse"] = 1 - table["accuracy"]
    table["train_worms"] = [(name,) for name in table["train_worms"]]
    return table


def compare(results, **keywords):
    return WormScores(results).compare(**{"n_resamples": 200, **keywords}).set_index("model")


def test_all_numbers_against_a_calculation_by_hand():
    results = make_results()
    table = compare(results, reference="svm")
    unseen = results[results["evaluation"] == "unseen_worms"]
    by_worm = unseen.groupby(["model", "worm"])["accuracy"].mean().unstack("model")
    difference = by_worm["gnn"] - by_worm["svm"]
    row = table.loc["gnn"]
    assert (row["n_worms"], row["n_fits"]) == (5, 10)
    assert row["mean"] == pytest.approx(by_worm["gnn"].mean())
    assert row["difference"] == pytest.approx(difference.mean())
    assert row["wins"] == (difference > 0).sum()
    assert row["p_sign_flip"] == sign_flip_test(difference.to_numpy())
    assert list(table.index) == ["gnn", "mlp", "svm"]
    compared = table.loc[["gnn", "mlp"]]
    np.testing.assert_allclose(compared["p_adjusted"], holm_correction(compared["p_sign_flip"]))
    assert table.loc["svm", ["difference", "wins", "p_sign_flip", "p_adjusted"]].isna().all()


def test_rounding_is_not_a_difference():
    results = make_results(6, ("a", "b"), n_folds=3)
    results["accuracy"] = np.where(results["model"] == "a", 0.1 * results["fold"], 0.1 * (2 - results["fold"])) + 0.6
    row = compare(results, reference="b").loc["a"]
    assert (row["wins"], row["p_sign_flip"], row["difference"]) == (0, 1.0, 0.0)


def test_intervals_hold_their_means_and_grow_with_the_spread_over_worms():
    results = make_results()
    table = compare(results, reference="svm")
    assert ((table["mean_low"] < table["mean"]) & (table["mean"] < table["mean_high"])).all()
    compared = table.drop("svm")
    assert (compared["difference_low"] < compared["difference"]).all()
    assert (compared["difference"] < compared["difference_high"]).all()
    apart = results.assign(accuracy=results["accuracy"] + results["worm"].map(WORMS.index))
    wide = compare(apart, reference="svm")
    assert (wide["mean_high"] - wide["mean_low"] > 5 * (table["mean_high"] - table["mean_low"])).all()
    # What all models share on a worm is no difference between them.
    np.testing.assert_allclose(wide["difference_low"], table["difference_low"])


def test_the_bootstrap_draws_worms_then_fits():
    rng = np.random.RandomState(0)
    scores = [rng.normal(size=(n_fits, 1)) for n_fits in (3, 5, 8)]
    means = bootstrap_over_worms(scores, n_resamples=20_000, rng=rng)
    of_worms = np.array([worm.mean() for worm in scores])
    within = np.mean([worm.var() / len(worm) for worm in scores])
    assert means.mean() == pytest.approx(of_worms.mean(), abs=0.01)
    assert means.var() == pytest.approx((of_worms.var() + within) / 3, rel=0.05)


def test_with_an_mse_less_is_better():
    more, less = compare(make_results(), reference="mlp"), compare(make_results(), reference="mlp", metric="mse")
    assert list(less.index) == list(more.index)
    np.testing.assert_allclose(less.drop("mlp")["difference"], -more.drop("mlp")["difference"])
    for column in ("wins", "p_sign_flip"):
        assert (less.drop("mlp")[column] == more.drop("mlp")[column]).all()
    assert compare(make_results(), metric="mse")["reference"].unique() == ["gnn"]


@pytest.mark.parametrize("n_worms", [2, 5, 9])
def test_the_sign_flip_test_agrees_with_scipy(n_worms):
    differences = np.random.default_rng(n_worms).normal(0.3, 1, n_worms)
    expected = stats.permutation_test(
        (differences,), lambda x: x.sum(), permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    assert sign_flip_test(differences) == pytest.approx(expected.pvalue, rel=1e-12)


def test_random_flips_come_near_the_exact_p():
    differences = np.random.default_rng(1).normal(0.3, 1, 13)
    exact = sign_flip_test(differences)
    # A 14th worm without a difference changes no sum, and asks for random flips.
    random = sign_flip_test(np.append(differences, 0.0), n_resamples=10_000, random_state=0)
    assert random != exact
    assert random == pytest.approx(exact, abs=0.02)
    assert sign_flip_test(np.full(30, 0.1), n_resamples=999) == smallest_sign_flip_p(30, n_resamples=999) == 0.002


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=10), st.randoms(use_true_random=False))
def test_properties_of_the_sign_flip_p(values, random):
    # Hundredths, so that many sums are equal but for rounding.
    differences = np.array(values) / 100
    p = sign_flip_test(differences)
    sums = np.array(list(product([1, -1], repeat=len(values)))) @ values
    assert p == pytest.approx((abs(sums) >= abs(sum(values))).mean())
    assert smallest_sign_flip_p(len(values)) <= p <= 1
    assert sign_flip_test(-differences) == sign_flip_test(np.array(values)) == p
    random.shuffle(values)
    assert sign_flip_test(np.array(values) / 100) == p


@pytest.mark.slow
@settings(max_examples=20)
@given(st.integers(0, 2**16), st.integers(2, 5))
def test_swapping_models_mirrors_the_comparison(seed, n_worms):
    results = make_results(n_worms, models=("svm", "gnn"), seed=seed, shift=0.0)
    table = compare(results, reference="svm").loc["gnn"]
    mirrored = compare(results, reference="gnn").loc["svm"]
    for column in ("p_sign_flip", "p_adjusted"):
        assert 0 < table[column] <= 1
        assert mirrored[column] == pytest.approx(table[column], rel=1e-9)
    assert mirrored["difference"] == pytest.approx(-table["difference"], abs=1e-12)
    assert mirrored["difference_low"] == pytest.approx(-table["difference_high"], abs=1e-12)
    assert mirrored["wins"] + table["wins"] == n_worms


@pytest.mark.slow
@settings(max_examples=20)
@given(st.integers(0, 2**16))
def test_the_order_of_rows_does_not_matter(seed):
    results = make_results()
    shuffled = results.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(compare(results), compare(shuffled))


def test_the_seed_governs_the_intervals():
    results = make_results()
    pd.testing.assert_frame_equal(compare(results, random_state=3), compare(results, random_state=3))
    assert compare(results, random_state=4)["mean_low"].iloc[0] != compare(results, random_state=3)["mean_low"].iloc[0]


def test_equal_models_do_not_differ():
    one = make_results(models=("svm",))
    table = compare(pd.concat([one, one.assign(model="twin")]), reference="svm")
    row = table.loc["twin"]
    assert (row["difference"], row["wins"], row["p_sign_flip"], row["p_adjusted"]) == (0, 0, 1, 1)


def test_holm_by_hand():
    np.testing.assert_allclose(holm_correction([0.04, 0.01, 0.9, 0.03]), [0.09, 0.04, 0.9, 0.09])
    np.testing.assert_allclose(holm_correction([0.6, 0.7]), [1, 1])


def test_sentences_name_the_worms_and_the_smallest_p():
    sentences = describe_comparison(WormScores(make_results()).compare("svm"))
    assert len(sentences) == 2
    assert sentences[0].startswith("gnn has an accuracy of 0.")
    assert "is better on 5 of 5 worms" in sentences[0]
    assert "5 worms allow no p below 0.0625, so that this test cannot reject at 0.05" in sentences[0]
    with pytest.raises(ValueError, match=r"lacks the columns \['reference'\]; pass what WormScores.compare"):
        describe_comparison(WormScores(make_results()).compare().drop(columns="reference"))


def test_the_table_of_a_cross_validation_goes_straight_in():
    rng = np.random.default_rng(0)
    y = np.tile(np.repeat(["forward", "reverse"], 20), 3)
    X, worm = rng.normal(size=(120, 2)), np.repeat(["a", "b", "c"], 40)
    scores = cross_validate_worms(
        {"dummy": DummyClassifier()}, X, y, groups=worm, cv=WormGroupKFold(2, window=4, random_state=0), verbose=0
    )
    for evaluation in ("unseen_worms", "held_out_windows"):
        table = scores.compare("majority", evaluation=evaluation, n_resamples=200).set_index("model")
        assert set(table.index) == {"dummy", "majority", "clock"}
        assert (table["n_worms"] == 3).all()
        # All fits of these two predict the majority of the same training rows.
        assert table.loc["dummy", "p_sign_flip"] == 1


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        (lambda t: t.drop(columns="worm"), {}, r"lacks the columns worm; pass the table of"),
        (lambda t: t.drop(columns=["accuracy", "mse"]), {}, r"none of the metrics accuracy, mse, r2"),
        (lambda t: t, {"metric": "f1"}, r"there is no metric 'f1'; choose one of accuracy"),
        (lambda t: t, {"metric": "n_frames"}, r"there is no metric 'n_frames'"),
        (lambda t: t, {"metric": "rmse"}, r"metric='rmse' is not among those of the scores: accuracy, mse"),
        (lambda t: t, {"evaluation": "nichols"}, r"'nichols' is not among .*: held_out_windows, unseen_worms"),
        (lambda t: t, {"reference": "svn"}, r"reference='svn' has no scores on unseen_worms; choose one of .*svm"),
        (lambda t: t, {"n_resamples": 10}, r"n_resamples=10 must be an integer of at least 100"),
        (lambda t: t[t["model"] == "gnn"], {}, r"only the model 'gnn'; a comparison needs two"),
        (lambda t: t[t["worm"] == "a"], {}, r"scores only the worm 'a'; a comparison needs at least two"),
        (
            lambda t: t[(t["model"] != "gnn") | ~t["worm"].isin(["b", "d"])],
            {},
            r"model 'gnn' lacks 16 scores that other models have, first on worm 'b'",
        ),
        (
            lambda t: t[(t["model"] != "gnn") | (t["train_worms"] != ("c",))],
            {},
            r"model 'gnn' lacks 8 scores that other models have, first on worm 'a' with training worms c, fold 0",
        ),
        (
            lambda t: t.assign(accuracy=t["accuracy"].where(t["worm"] != "b")),
            {},
            r"accuracy is nan in 24 rows, first for model 'svm', worm 'b', training worms a, fold 0; leave",
        ),
        (lambda t: t.assign(worm=t["worm"].where(t["fold"] > 0)), {}, r"missing values in the columns \['worm'\]"),
        (lambda t: pd.concat([t, t]), {}, r"fold 0 is scored in several rows; drop the rows that repeat others"),
    ],
)
def test_bad_input_is_named(change, keywords, message):
    with pytest.raises(ValueError, match=message):
        compare(change(make_results()), **keywords)


def test_parts_are_compared_separately():
    parts = [make_results().assign(step=1), make_results(seed=1).assign(step=8)]
    both = WormScores(pd.concat(parts)).compare("svm", metric="mse", n_resamples=200)
    assert both["step"].tolist() == [1] * 3 + [8] * 3
    for step, part in zip((1, 8), parts, strict=True):
        alone = WormScores(part).compare("svm", metric="mse", n_resamples=200)
        found = both[both["step"] == step].drop(columns="step").reset_index(drop=True)
        pd.testing.assert_frame_equal(found, alone)
