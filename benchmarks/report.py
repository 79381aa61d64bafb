"""What a report costs: time to build, size, and time in a browser, beside Optuna's own figures.

    python benchmarks/report.py [--trials 60 400 2000] [--file NAME.study.zip ...] [--rounds 3]

Studies are simulated (random sampler, 6,480 configurations in 36 scenarios), or read from study
files. The peer is Optuna's visualization of the same trials on one page with the same script of
Plotly: Pareto front, importances and slices of both objectives, timeline. It draws 6 figures and no
sub-pages, so compare what grows with the trials. The browser is Chromium, if it is installed: time
until the document is ready, and until the first figure is drawn. Everything is the median of the
rounds.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import optuna
import optuna.visualization as peer
from optuna.distributions import CategoricalDistribution
from optuna.study import Study
from optuna.trial import create_trial
from playwright.sync_api import sync_playwright
from plotly.offline import get_plotlyjs

from tuner.backends.simulated import simulated_backend
from tuner.pages.report import report
from tuner.render.html import to_html
from tuner.results.study_file import FinishedStudy, read_study
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.study.loop import goal, run_study
from tuner.study.start import start_or_resume
from tuner.study.storage import finished_study

STUDY = """\
model: mnist
search_space:
  concurrency: {{role: scenario, type: int, choices: [1, 2, 4, 8, 16, 32], default: 4}}
  cpu: {{role: decision, type: float, choices: [0.1, 0.2, 0.25, 0.5, 1], default: 1}}
  memory: {{role: decision, type: int, choices: [48, 64, 96, 128, 256, 512], default: 256}}
  replicas: {{role: decision, type: int, choices: [1, 2, 3, 4, 6, 8], default: 1}}
  loss: {{role: scenario, type: float, choices: [0, 0.2, 0.5, 1, 2, 5], default: 0}}
load: {{max_seconds: 3}}
search: {{sampler: random, confirm: 0.1}}
budget: {{trials: {trials}}}
"""


def simulated(trials: int, place: Path) -> FinishedStudy:
    path = place / "big.yaml"
    path.write_text(STUDY.format(trials=trials))
    spec = load_study(str(path), Host.this())
    storage = optuna.storages.InMemoryStorage()
    study = start_or_resume(spec, storage, "simulated")
    run_study(spec, study, simulated_backend(spec), place, goal(spec, study, None, 0))
    return finished_study(spec.name, storage, place)


def as_optuna(study: FinishedStudy) -> Study:
    """The measured trials as a study in memory, for the peer."""
    record = study.record
    measured = [t for t in record.trials if not t.imputed]
    distributions = {
        p.name: CategoricalDistribution(sorted({t.configuration[p.name] for t in measured}))  # type: ignore[type-var]
        for p in record.search_space
    }
    made = optuna.create_study(directions=[o.direction for o in record.objectives])
    made.add_trials(
        [
            create_trial(
                params=dict(t.configuration),
                distributions=distributions,  # type: ignore[arg-type]
                values=list(t.values),
            )
            for t in measured
        ]
    )
    return made


def optunas_page(study: Study) -> str:
    targets: list[Callable[[optuna.trial.FrozenTrial], float]] = [
        lambda t: t.values[0],
        lambda t: t.values[1],
    ]
    figures = [peer.plot_pareto_front(study), peer.plot_timeline(study)]
    for name, target in zip(("ART", "CPU usage"), targets, strict=True):
        figures += [
            peer.plot_param_importances(study, target=target, target_name=name),
            peer.plot_slice(study, target=target, target_name=name),
        ]
    parts = [f.to_html(full_html=False, include_plotlyjs=False) for f in figures]
    return f"<!doctype html><script>{get_plotlyjs()}</script>{''.join(parts)}"


@contextmanager
def browser() -> Iterator[Callable[[Path], tuple[float, float]] | None]:
    """Opens a page: seconds until it is ready, and until a figure is drawn. None: no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        yield None
        return
    with sync_playwright() as driver:
        process = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def opened(path: Path) -> tuple[float, float]:
            page = process.new_page()
            began = time.perf_counter()
            page.goto(path.as_uri(), wait_until="domcontentloaded", timeout=120_000)
            ready = time.perf_counter() - began
            page.evaluate("document.querySelector('figure')?.scrollIntoView()")
            page.wait_for_selector(".main-svg", state="attached", timeout=120_000)
            drawn = time.perf_counter() - began
            page.close()
            return ready, drawn

        yield opened
        process.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--trials", type=int, nargs="*", default=[60, 400, 2000])
    parser.add_argument("--file", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    plotly = len(get_plotlyjs().encode()) / 1e6
    print(f"Plotly's script, in every page: {plotly:.1f} MB; sizes below are without it")
    print(
        f"{'trials':>7} {'page':8} {'build':>8} {'size':>9} {'a trial':>9}"
        f" {'ready':>8} {'drawn':>8}"
    )
    with tempfile.TemporaryDirectory() as directory, browser() as opened:
        place = Path(directory)
        studies = [read_study(path) for path in arguments.file]
        studies += [simulated(trials, place) for trials in arguments.trials]
        for study in studies:
            count, copy = len(study.record.trials), as_optuna(study)
            build = {}
            for name, made in (
                ("tune", lambda study=study: to_html(report(study))),
                ("optuna", lambda copy=copy: optunas_page(copy)),
            ):
                times, looks, text = [], [], ""
                for _ in range(arguments.rounds):
                    began = time.perf_counter()
                    text = made()
                    times.append(time.perf_counter() - began)
                    path = place / f"{name}.html"
                    path.write_text(text)
                    if opened is not None:
                        looks.append(opened(path))
                size = len(text.encode()) / 1e6 - plotly
                build[name] = median(times), size
                seen = [f"{median(x):6.2f} s" for x in zip(*looks, strict=True)] or ["-", "-"]
                print(
                    f"{count:7} {name:8} {median(times):6.2f} s {size:6.2f} MB"
                    f" {1e3 * size / count:6.1f} kB {seen[0]:>8} {seen[1]:>8}"
                )
            ratio = [a / b for a, b in zip(build["tune"], build["optuna"], strict=True)]
            print(f"{count:7} {'ratio':8} {ratio[0]:8.2f} {ratio[1]:9.2f}")


if __name__ == "__main__":
    main()
