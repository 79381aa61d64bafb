"""A reader who follows one trial passes few files."""

from __future__ import annotations

from benchmarks.files_of_a_trial import files_of_a_trial

MOST = 88
"""On the simulated host. Two are the seam to several hosts, a fifth read the specification."""


def test_a_trial_enters_few_files() -> None:
    files = files_of_a_trial()
    assert {"study/loop.py", "trial.py", "study/tell.py"} <= set(files)
    assert len(files) <= MOST, files
