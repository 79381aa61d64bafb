"""Bayesian design-space exploration of model serving; `tune` is its command line."""

__version__ = "0.1.0"
