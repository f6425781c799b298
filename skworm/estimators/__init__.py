"""Estimators: state classifiers, behaviour and trajectory regressors, their baselines, and wrappers."""
