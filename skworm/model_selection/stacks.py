"""Networks and support vector machines trained together: fits of a cross-validation, candidates of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_random_state, get_tags, indexable

_MOST_FITS = 320


def network_of(model: Any) -> Any:
    """Return the estimator of a model whose fits can be trained together; None where there is none."""
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    return model if hasattr(model, "training_job") else None


def fits_at_a_time(model: Any, n_fits: int, n_processes: int) -> int:
    """Return how many fits of a model make up one task: more than one where a GPU trains them as a stack."""
    network = network_of(model)
    if network is None:
        return 1
    from skworm.training.process import resolve_device

    if resolve_device(network.device) == "cpu":
        return 1
    return max(1, min(_MOST_FITS, -(-n_fits // n_processes)))


def fit_together(model: Any, samples: Sequence[tuple[Any, Any]], n_processes: int) -> list[Any | Exception]:
    """Fit clones of a model, each to samples of its own, and train them together."""
    from skworm.training.stack import train_together

    models: list[Any] = [clone(model) for _ in samples]
    jobs: dict[int, Any] = {}
    for number, (own, (X, y)) in enumerate(zip(models, samples, strict=True)):
        try:
            jobs[number] = training_job(own, X, y)
        except Exception as error:
            models[number] = error
    nets = train_together(list(jobs.values()), n_processes=n_processes)
    for (number, job), net in zip(jobs.items(), nets, strict=True):
        if isinstance(net, Exception):
            models[number] = net
        else:
            network_of(models[number]).take_training(job, net)
    return models


def training_job(model: Any, X: Any, y: Any) -> Any:
    """Fit all steps of a model before its last, and make what trains the last."""
    while isinstance(model, Pipeline):
        if len(model.steps) > 1:
            X = model[:-1].fit_transform(X, y)
        model = model.steps[-1][1]
    return model.training_job(X, y)


class FusedGridSearchCV(GridSearchCV):
    """``sklearn.model_selection.GridSearchCV`` that trains all candidates on all splits as stacks.

    Candidates whose networks have the same structure, because they differ in learning rate, decay, strength of
    augmentation or seed, make up one stack; others have a stack for each structure. Models without a network of skworm,
    and fits with metadata other than `groups`, are fitted one by one. Results are those of ``GridSearchCV``, but for
    rounding, which training, above all of GIN, can amplify; ``mean_fit_time`` and ``std_fit_time`` leave out the
    training that was done together.

    Parameters
    ----------
    estimator, param_grid, scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        See ``sklearn.model_selection.GridSearchCV``. `n_jobs` holds for what is fitted one by one. Where the
        network's `random_state` is None, one seed is drawn for the whole search, so that candidates differ by their
        parameters alone.

    Examples
    --------
    >>> from skworm import MLPStateClassifier, WormGroupKFold
    >>> from skworm.datasets import make_worms
    >>> from skworm.frames import make_frames
    >>> from skworm.model_selection import FusedGridSearchCV
    >>> X, y = make_frames(make_worms(n_worms=3, n_frames=200, random_state=0), states="2")
    >>> mlp = MLPStateClassifier(max_epochs=30, random_state=0)
    >>> cv = WormGroupKFold(n_splits=2, random_state=0)
    >>> search = FusedGridSearchCV(mlp, {"learning_rate": [1e-4, 1e-2]}, cv=cv)
    >>> search.fit(X, y, groups=X.index.get_level_values("worm")).best_params_
    {'learning_rate': 0.01}
    """

    def fit(self, X: Any, y: Any = None, **params: Any) -> FusedGridSearchCV:
        """Search the grid; parameters and result as those of ``GridSearchCV.fit``."""
        network = network_of(self.estimator)
        if network is None or set(params) - {"groups"}:
            return super().fit(X, y, **params)
        from skworm.training.stack import trained_beforehand

        X, y = indexable(X, y)
        estimator = clone(self.estimator)
        if getattr(network, "random_state", 0) is None:
            network_of(estimator).random_state = check_random_state(None).randint(np.iinfo(np.int32).max)
        # An infinite target is told by the error that follows.
        with np.errstate(invalid="ignore"):
            cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        # Once, since a splitter may draw other splits when asked again.
        splits = list(cv.split(X, y, **params))
        # In this process, where the outcomes are.
        own = {"estimator": estimator, "cv": splits, "n_jobs": None}
        search = GridSearchCV(**{**self.get_params(deep=False), **own})
        with trained_beforehand(self._jobs(estimator, X, y, splits)):
            search.fit(X, y)
        self.__dict__.update({name: value for name, value in vars(search).items() if name.endswith("_")})
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = get_tags(self.estimator).input_tags.allow_nan
        return tags

    def _jobs(self, estimator: Any, X: Any, y: Any, splits: list[Any]) -> list[Any]:
        jobs = []
        for parameters in ParameterGrid(self.param_grid):
            for rows, _ in splits:
                try:
                    model = clone(estimator).set_params(**clone(parameters, safe=False))
                    if network_of(model) is not None:
                        jobs.append(training_job(model, _safe_indexing(X, rows), _safe_indexing(y, rows)))
                except Exception:  # the search meets the same error, and `error_score` says what then
                    continue
        return jobs
