"""What a memory limit does, in rising, falling and random order, for both owners of the page cache.

    python benchmarks/memory.py [--limits 48 64 96 128 256 512] [--ready 15]

mnist on one real replica, 4 connections. Each cell is the time until the replica answered and its
ART, or why there is none. If limits mean the same whatever ran before, the three orders agree: the
last column is the largest ART of a row over the smallest. `private` drops the host's page cache
before each deployment and needs root. Needs the Docker Engine, serving image and mnist model.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace

from tuner.backends.docker import docker_backend
from tuner.errors import SetupError
from tuner.spec.host import Host
from tuner.spec.settings import only_configuration, study_of_model
from tuner.spec.study import PageCache
from tuner.trial import TrialRequest, TrialResult, run_trial

OWNERS: tuple[PageCache, ...] = ("shared", "private")


def row(limits: list[int], owner: PageCache, ready: float) -> dict[int, TrialResult]:
    """What each limit gave, measured in this order by one run of the deployer."""
    base = study_of_model("mnist", ["concurrency=4"], Host.this())
    serving = replace(base.serving, page_cache=owner, ready_seconds=ready)
    backend = docker_backend(replace(base, serving=serving))
    found = {}
    with backend:
        for limit in limits:
            spec = study_of_model("mnist", ["concurrency=4", f"memory={limit}"], Host.this())
            spec = replace(spec, serving=serving)
            request = TrialRequest(only_configuration(spec), f"memory-{limit}")
            found[limit] = run_trial(spec, request, backend.rig)
    return found


def cell(result: TrialResult) -> str:
    if result.measurement is None:
        assert result.infeasible is not None
        return result.infeasible.kind
    found = result.measurement.metrics
    return (
        f"{result.phases['deploy']:5.1f} s {found['art_ms'].value:7.2f} ms"
        f" {found['memory_peak_mib'].value:4.0f} MiB"
    )


def agreement(results: list[TrialResult]) -> str:
    arts = [r.measurement.metrics["art_ms"].value for r in results if r.measurement is not None]
    if len(arts) == len(results):
        return f"{max(arts) / min(arts):.2f}"
    return "same" if not arts else "DIFFERENT"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--limits", type=int, nargs="+", default=[48, 64, 96, 128, 256, 512])
    parser.add_argument("--ready", type=float, default=15, help="seconds that a replica may take")
    arguments = parser.parse_args()
    rising = sorted(arguments.limits)
    orders = {
        "rising": rising,
        "falling": rising[::-1],
        "random": random.Random(7).sample(rising, len(rising)),  # noqa: S311 -- no secret
    }
    print(f"{'owner':8} {'limit':>8}" + "".join(f" {name:>26}" for name in orders) + "   max/min")
    for owner in OWNERS:
        try:
            columns = {name: row(order, owner, arguments.ready) for name, order in orders.items()}
        except SetupError as error:
            print(f"{owner:8} left out: {error.message}")
            continue
        for limit in rising:
            results = [column[limit] for column in columns.values()]
            cells = "".join(f" {cell(result):>26}" for result in results)
            print(f"{owner:8} {limit:4} MiB{cells}   {agreement(results)}", flush=True)


if __name__ == "__main__":
    main()
