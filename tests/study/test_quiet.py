from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.study.small import FEASIBLE, checked, opened, run, specification
from tests.study.worlds import in_turn, untrusted
from tuner.backends.bench import Repeating
from tuner.backends.quiet import LOOK_SECONDS, MOST_SECONDS, HostBusy, HostQuiet, Quiet, too_busy
from tuner.errors import TuneError
from tuner.measure.host_use import HostUse
from tuner.pages.run_page import waiting_line
from tuner.study.loop import Event, Finished, Started
from tuner.study.storage import records

QUIET, BUSY, STOLEN = HostUse(3, 0), HostUse(62, 0), HostUse(3, 40)
FOREIGN = "other processes use 62 % of its CPU time (limit 25 %)"


@dataclass
class Looks:
    """Says what is next in `uses`, later that the host is quiet, in no time."""

    uses: Iterator[HostUse | None]
    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> HostUse | None:
        self.seconds.append(seconds)
        return next(self.uses, QUIET)


def waits(*uses: HostUse | None, left: float = MOST_SECONDS) -> tuple[Sequence[object], Quiet]:
    events: list[HostBusy | HostQuiet] = []
    quiet = Quiet(Looks(iter(uses)), 25.0, left)
    quiet.wait(events.append)
    return events, quiet


@pytest.mark.parametrize("use", [QUIET, HostUse(25, 10), None])
def test_a_quiet_host_is_not_waited_for(use: HostUse | None) -> None:
    events, quiet = waits(use)
    assert not events
    assert quiet.left == MOST_SECONDS


def test_a_busy_host_is_waited_for_and_said_with_what_was_seen() -> None:
    events, quiet = waits(BUSY, STOLEN, BUSY, QUIET)
    waited = 3 * LOOK_SECONDS
    assert events == [HostBusy(FOREIGN, MOST_SECONDS), HostQuiet(waited)]
    assert quiet.left == MOST_SECONDS - waited


def test_the_wait_is_bounded_in_a_whole_run() -> None:
    look = Looks(repeat(BUSY))
    quiet = Quiet(look, 25.0)
    events: list[HostBusy | HostQuiet] = []
    quiet.wait(events.append)
    assert events == [HostBusy(FOREIGN, MOST_SECONDS), HostQuiet(MOST_SECONDS, FOREIGN)]
    looked = len(look.seconds)
    assert sum(look.seconds) == MOST_SECONDS + LOOK_SECONDS
    quiet.wait(events.append)
    assert len(look.seconds) == looked, "a run that has no time left does not look again"
    assert len(events) == 2


def test_what_a_hypervisor_withholds_counts_too() -> None:
    assert too_busy(STOLEN, 25).startswith("the hypervisor gives 40 %")
    assert too_busy(BUSY, 70) == ""


def test_a_wait_is_said_in_one_line_each() -> None:
    assert waiting_line(HostBusy(FOREIGN, 300)) == (
        f"the host is busy: {FOREIGN}; waiting for quiet, at most 5 min"
    )
    assert waiting_line(HostQuiet(42)) == "the host is quiet after 42 s"
    assert waiting_line(HostQuiet(300, FOREIGN)).endswith("CPU time (limit 25 %); measuring anyway")


def test_a_run_waits_before_it_begins_and_before_it_repeats_what_was_invalid() -> None:
    spec = specification(FEASIBLE, ("trials: 8", "trials: 3"))
    events: list[Event] = []
    look = Looks(iter([BUSY, QUIET, BUSY, BUSY, QUIET]))
    backend = replace(untrusted(spec, in_turn([False, True])), watch=look)
    study = run(spec, backend=backend, observe=events.append)
    assert len(records(study)) == 3
    kinds = [type(e) for e in events if not isinstance(e, str)]
    assert kinds == [
        HostBusy, HostQuiet, Started, Finished,
        Started, Repeating, HostBusy, HostQuiet, Finished, Started, Finished,
    ]  # fmt: skip
    assert len(look.seconds) == 5, "what was measured and is trusted costs no look"


def test_a_host_that_stays_busy_ends_the_run_in_the_end() -> None:
    spec = specification(FEASIBLE)
    look = Looks(repeat(BUSY))
    backend = replace(untrusted(spec, in_turn(repeat(True))), watch=look)
    with pytest.raises(TuneError) as caught:
        run(spec, backend=backend)
    assert sum(look.seconds) == MOST_SECONDS + LOOK_SECONDS
    assert "load.max_foreign_percent" in caught.value.mend


def test_what_only_judges_may_change_in_a_study_that_has_begun() -> None:
    spec = specification(FEASIBLE, ("trials: 8", "trials: 2"))
    run(spec)
    more = replace(spec, load=replace(spec.load, max_foreign_percent=60.0))
    study = opened(more)
    assert study.user_attrs["specification"]["load"]["max_foreign_percent"] == 60.0
    # A study of an earlier version kept the setting among what must stay.
    stored = study.user_attrs["comparable"]
    old = {**stored, "load": {**stored["load"], "max_foreign_percent": 25.0}}
    study.set_user_attr("comparable", old)
    assert len(records(opened(more))) == 2


@pytest.mark.parametrize(
    ("uses", "words"),
    [
        (QUIET, "other processes use 3 % of the host's CPU time, other machines 0 %"),
        (BUSY, "62 % of the host's CPU time, other machines 0 %: too busy now. A run waits"),
        (None, "not known"),
    ],
)
def test_check_says_how_busy_the_host_is(
    uses: HostUse | None, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    spec = specification(FEASIBLE)
    quiet = checked(spec, Looks(chain([uses])))["quiet"]
    assert quiet.ok, "it is no reason not to run: a run waits"
    assert words in quiet.found
