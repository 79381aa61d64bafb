"""How soon a search finds what is worth knowing: the project's samplers, Optuna's, and peers.

    python benchmarks/search.py [--problems A B C D] [--samplers ...] [--seeds 10] [--trials 200]
        [--jobs 2] [--replay GRID.parquet ...] [--json FILE] [--figure FILE.html]
    python benchmarks/search.py --timing

Simulated hosts whose truth is known (`search_problems.py`), and grids recorded by `tune`. A search
is told noisy values and judged by the true ones. The first table is about the front over all
configurations, the second about what is recommended for each scenario: from the measured values,
and from the model that `tune show` uses, fitted to the trials of whatever sampler it was. Costs
count 5 s for each new deployment and 2 s for each burst, against a full grid ordered by deployment.
"""

# ruff: noqa: E402 -- the number of NumPy's threads is read when it is imported

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import sys
from pathlib import Path

# Each process works on one CPU: NumPy's threads would fight over those of the others.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from benchmarks.search_contenders import CONTENDERS
from benchmarks.search_figure import write_figure
from benchmarks.search_peers import PEERS
from benchmarks.search_problems import JUDGED, SETTINGS, problem
from benchmarks.search_runs import (
    Outcome,
    Source,
    Task,
    from_line,
    installed,
    outcomes,
    smoothed_grids,
    to_line,
)
from benchmarks.search_tables import (
    grouped,
    overall_table,
    problem_lines,
    scenarios_table,
)
from benchmarks.search_timing import timed
from tuner.errors import InputError

MODEL_AT = (30, 60, 100, 150, 200)
TIMED = (100, 1000, 5000)


def main() -> None:
    options = _options()
    present = [name for name in options.samplers if _present(name, options.peers_python)]
    if options.timing:
        timing([name for name in present if name in CONTENDERS])
        return
    sources = [Source(name) for name in options.problems]
    sources += [Source(path.stem, path, options.truth) for path in options.replay]
    try:
        problems = [dataclasses.replace(s.problem(), name=s.name) for s in sources]
    except InputError as error:
        sys.exit(str(error))
    print(problem_lines(problems, options.seeds), flush=True)
    model_at = tuple(sorted({*(n for n in MODEL_AT if n < options.trials), options.trials}))
    tasks = [
        Task(source, name, seed, options.trials, model_at, options.peers_python)
        for seed, source, name in itertools.product(range(options.seeds), sources, present)
    ]
    found, broken = searches(tasks, options.jobs, options.json)
    groups = grouped(found)
    print(f"\nMedian of {options.seeds} seeds; >: not reached. L95: every loss level's own front")
    print(overall_table(problems, present, groups))
    smoothed = smoothed_grids(sources, options.smooth, options.jobs) if options.smooth else {}
    print(scenarios_table(problems, present, groups, options.seeds, smoothed))
    if options.figure:
        write_figure(options.figure, problems, present, groups)
    if broken:
        sys.exit(f"{broken} searches broke and are not in the tables")


def searches(tasks: list[Task], jobs: int, kept: Path | None) -> tuple[list[Outcome], int]:
    """Outcomes of all tasks, and how many broke; those in the file `kept` are taken from there."""
    asked = {(t.source.name, t.contender, t.seed, t.trials): t for t in tasks}
    found: list[Outcome] = []
    if kept is not None and kept.exists():
        for outcome in map(from_line, kept.read_text().splitlines()):
            key = (outcome.problem, outcome.contender, outcome.seed, len(outcome.share))
            if asked.pop(key, None) is not None:
                found.append(outcome)
    broken = 0
    for new in outcomes(list(asked.values()), jobs):
        if isinstance(new, str):
            broken += 1
            print(new, file=sys.stderr, flush=True)
            continue
        found.append(new)
        if kept is not None:
            with kept.open("a") as file:
                print(to_line(new), file=file)
        if sys.stderr.isatty():
            print(f"\r{len(found)}/{len(tasks)}", end="", file=sys.stderr, flush=True)
    return found, broken


def timing(names: list[str]) -> None:
    """Prints the time per proposal against the number of trials."""
    at = problem("A")
    print("ms of a process's first proposal / of later ones, at so many trials")
    print(f"{'sampler':28}" + "".join(f"{n:>18,}" for n in TIMED))
    for name in names:
        found = [timed(CONTENDERS[name], at, trials) for trials in TIMED]
        cells = "".join(f"{1000 * t.first:>10,.0f} /{1000 * t.later:>6,.0f}" for t in found)
        print(f"{name:28}{cells}", flush=True)


def _present(name: str, python: str) -> bool:
    """Whether a contender can run here; says so where it cannot."""
    if name in PEERS:
        missing = None if installed(name, python) else name
    else:
        missing = CONTENDERS[name].missing
    if missing is not None:
        print(f"{name}: left out, {missing} is not installed")
    return missing is None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = (*CONTENDERS, *PEERS)
    parser.add_argument(
        "--problems",
        nargs="*",
        default=None,
        choices=SETTINGS,
        metavar="NAME",
        help=f"of {', '.join(SETTINGS)}; default {' '.join(JUDGED)}, none with --replay",
    )
    parser.add_argument(
        "--samplers",
        nargs="+",
        default=list(CONTENDERS),
        choices=names,
        metavar="NAME",
        help=f"of {'; '.join(names)}; default: all but the last {len(PEERS)}",
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=200, help="of each search")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--replay", nargs="+", type=Path, default=[], help="recorded grids")
    parser.add_argument(
        "--truth",
        choices=("mean", "smoothed"),
        default="mean",
        help="of recorded grids: the passes' mean, or the model of all passes",
    )
    parser.add_argument(
        "--peers-python",
        default=sys.executable,
        help="Python of an environment with pymoo, botorch or smac",
    )
    parser.add_argument(
        "--json",
        type=Path,
        help="lines of JSON: every outcome is added, and those in it are not "
        "searched for again (delete it when a sampler has changed)",
    )
    parser.add_argument("--figure", type=Path, help="write an HTML page; needs Plotly")
    parser.add_argument(
        "--smooth",
        type=int,
        default=0,
        metavar="SEEDS",
        help="so many grids measured once are smoothed by the model and judged, too (slow)",
    )
    parser.add_argument(
        "--timing",
        action="store_true",
        help="time per proposal at 100, 1,000 and 5,000 trials, and nothing else",
    )
    options = parser.parse_args()
    if options.problems is None:
        options.problems = [] if options.replay else list(JUDGED)
    return options


if __name__ == "__main__":
    main()
