"""Bayesian design-space exploration of model serving; `tune` is its command line."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuner.api import Study

__version__ = "0.1.0"
__all__ = ["Study", "__version__"]

# NumPy reads it when it is first imported. The sampler's matrices are small, and the threads of a
# BLAS would spin on the CPUs that the containers are measured on.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def __getattr__(name: str) -> object:
    # `from tuner import Study` without making every import of the package pay for it.
    if name == "Study":
        from tuner.api import Study  # noqa: PLC0415

        return Study
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
