"""Bayesian design-space exploration of model serving; `tune` is its command line."""

import os

__version__ = "0.1.0"

# NumPy reads it when it is first imported. The sampler's matrices are small, and the threads of a
# BLAS would spin on the CPUs that the containers are measured on.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
