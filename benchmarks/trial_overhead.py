"""The time around the burst as a share of a trial, by number of replicas, from stored records.

    python benchmarks/trial_overhead.py --study mnist

Reads the finished trials of a study (run it first); medians over the trials of each row.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from tuner.measure.record import TrialRecord
from tuner.spec.load import results_directory
from tuner.study.storage import default_url, finished_trials

AROUND = ("deploy", "connect", "impair", "tear down")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="mnist")
    parser.add_argument("--storage", help="default: the study's own SQLite file")
    arguments = parser.parse_args()
    url = arguments.storage or default_url(results_directory(arguments.study, Path()), "docker")
    measured = [t for t in finished_trials(arguments.study, url) if t.outcome == "measured"]
    rows: dict[int, list[TrialRecord]] = {}
    for trial in measured:
        rows.setdefault(int(trial.configuration["replicas"]), []).append(trial)
    head = "".join(f"{name:>11}" for name in (*AROUND, "burst"))
    print(f"{'replicas':>8}{'trials':>8}{head}{'around / trial':>16}   (seconds, medians)")
    for replicas, trials in sorted(rows.items()):
        phases = "".join(
            f"{median(t.phases[name] for t in trials):11.2f}" for name in (*AROUND, "burst")
        )
        share = median(sum(t.phases[name] for name in AROUND) / t.seconds for t in trials)
        print(f"{replicas:8}{len(trials):8}{phases}{share:15.0%} ")


if __name__ == "__main__":
    main()
