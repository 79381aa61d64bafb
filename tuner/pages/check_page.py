"""Whether everything is there that a run needs: the answer of `tune check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuner.pages.blocks import Block, Commands, Facts, Points, Words
from tuner.study.check_line import Check


def check_blocks(study: str, checks: Sequence[Check], selecting: str) -> Iterator[Block]:
    """What was looked at, then what to do about what is missing.

    `selecting` are the options that select the study, its backend and its storage.
    """
    yield Facts(tuple((f"{_mark(check)} {check.name}", check.found) for check in checks))
    missing = [check for check in checks if not check.ok]
    if missing:
        yield Points(
            f"Study {study} cannot run yet. What to do:",
            tuple(f"{check.name}: {check.mend}" for check in missing),
        )
    else:
        yield Words(f"Study {study} can run:", "lead")
        yield Commands("", f"tune run {selecting}")


def _mark(check: Check) -> str:
    return "ok" if check.ok else "no"
