import asyncio
import sys
from time import perf_counter_ns

import pytest

from tuner.load.alarm import NEVER, KernelAlarm, LoopAlarm

MILLISECOND = 1_000_000

kernel = pytest.param(
    KernelAlarm,
    marks=pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux'"),
)
both = pytest.mark.parametrize("kind", [kernel, LoopAlarm])
Kind = type[KernelAlarm] | type[LoopAlarm]


class Bell:
    """An alarm, and the moments at which it rang."""

    def __init__(self, kind: Kind) -> None:
        self.rang: list[int] = []
        self.once = asyncio.Event()
        self.alarm = kind(self._ring)

    def _ring(self) -> None:
        self.rang.append(perf_counter_ns())
        self.alarm.set(NEVER)
        self.once.set()


@both
@pytest.mark.parametrize("ahead", [20 * MILLISECOND, 0, -MILLISECOND])
def test_it_rings_once(kind: Kind, ahead: int) -> None:
    async def main() -> None:
        bell = Bell(kind)
        at = perf_counter_ns() + ahead
        bell.alarm.set(at)
        async with asyncio.timeout(5):
            await bell.once.wait()
        await asyncio.sleep(0.005)
        bell.alarm.close()
        assert len(bell.rang) == 1
        if kind is KernelAlarm:
            assert bell.rang[0] >= at

    asyncio.run(main())


@both
def test_what_it_was_set_to_before_is_forgotten(kind: Kind) -> None:
    async def main() -> None:
        never, moved = Bell(kind), Bell(kind)
        for bell in (never, moved):
            bell.alarm.set(perf_counter_ns() + 20 * MILLISECOND)
        never.alarm.set(NEVER)
        later = perf_counter_ns() + 50 * MILLISECOND
        moved.alarm.set(later)
        async with asyncio.timeout(5):
            await moved.once.wait()
        assert not never.rang
        assert moved.rang[0] >= later - MILLISECOND
        for bell in (never, moved):
            bell.alarm.close()

    asyncio.run(main())


@both
def test_a_closed_alarm_is_silent(kind: Kind) -> None:
    async def main() -> None:
        bell = Bell(kind)
        bell.alarm.set(perf_counter_ns() + 5 * MILLISECOND)
        bell.alarm.close()
        await asyncio.sleep(0.02)
        assert not bell.rang

    asyncio.run(main())
