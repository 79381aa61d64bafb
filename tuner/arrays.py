"""Names of NumPy array types. Their shapes are said where they are used."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
"""Whole numbers: counts, and times in nanoseconds."""
Indices = npt.NDArray[np.intp]
"""Rows or positions in another array."""
Mask = npt.NDArray[np.bool_]
