"""What a killed run left beside the storage, removed when the study is run again."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from optuna.study import Study

from tuner.files import remove_abandoned
from tuner.measure.record import ATTRIBUTE
from tuner.study.storage import samples_directory

_SAMPLES = re.compile(r"trial-(\d{4,})\.parquet")

_EARLIER = r"\.trial-\d+\.parquet\.[a-z0-9_]{8}"
"""Temporary files of earlier versions."""

_log = logging.getLogger(__name__)


def remove_leftovers(study: Study, results: Path) -> None:
    """Remove temporary files of killed processes, and samples that no record names.

    A trial that was killed after its samples were written and before it was told is measured again,
    as another trial. Call it when the trials of dead processes were told as failed. What live
    processes write stays.
    """
    directory = samples_directory(study, results)
    removed = [*remove_abandoned(results), *remove_abandoned(directory, _EARLIER)]
    for path in list(_unnamed(study, results, directory)):
        path.unlink(missing_ok=True)
        removed.append(path)
    if removed:
        files = "a file" if len(removed) == 1 else f"{len(removed)} files"
        _log.warning("tune: removed %s that a killed run left in %s", files, results)


def _unnamed(study: Study, results: Path, directory: Path) -> Iterator[Path]:
    """The samples of ended trials whose records do not name them."""
    # In this order: what is written from now on belongs to a trial that runs below.
    paths = sorted(directory.iterdir()) if directory.is_dir() else []
    trials = {t.number: t for t in study.get_trials(deepcopy=False)}
    for path in paths:
        found = _SAMPLES.fullmatch(path.name)
        trial = trials.get(int(found[1])) if found else None
        if trial is None or not trial.state.is_finished():
            continue
        record = trial.user_attrs.get(ATTRIBUTE)
        if record is None or record.get("samples") != str(path.relative_to(results)):
            yield path
