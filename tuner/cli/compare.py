"""`tune compare`: two studies side by side, or a study beside a recorded grid."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from rich.markup import escape

from tuner.cli import tables
from tuner.cli.grids import chosen_grid
from tuner.cli.two_studies_page import show_two
from tuner.errors import InputError
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.results.against import Comparison, Judged, against
from tuner.results.two_studies import TwoStudies, compare_studies, two_studies_document
from tuner.spec.metrics import title
from tuner.study.storage import open_storage, stored_record

_MOST_DOMINATED = 12
_CHANGED = 0.05
"""A host whose measurements differ by more than this share, and surely so, is said to differ."""


def side(name: str, named: Callable[[str], StudyRecord]) -> StudyRecord:
    """One of two studies: what `named` finds, or of a storage (URL#NAME). Raises InputError."""
    if "://" not in name:
        return named(name)
    url, _, study = name.partition("#")
    if not study:
        raise InputError(f"{name}: expected the study's name after #", f"such as {url}#mnist")
    return stored_record(study, open_storage(url, create=False))


def compare_two(a: StudyRecord, b: StudyRecord, *, as_json: bool) -> TwoStudies:
    """Print how two studies differ. Raises InputError where they cannot be compared."""
    found = compare_studies(a, b)
    if as_json:
        print(json.dumps(two_studies_document(found), indent=2, allow_nan=False))
    else:
        show_two(found)
    return found


def compare(study: StudyRecord, choice: str, backend: str, *, as_json: bool) -> None:
    """Print how `study` stands against the grid that `choice` names. Raises InputError."""
    found = against(study, chosen_grid(choice, study.name, backend))
    if as_json:
        print(json.dumps(found.to_json(), indent=2, allow_nan=False))
        return
    _show(study, found)


def _show(study: StudyRecord, found: Comparison) -> None:
    tables.warn_if_simulated(study)
    if found.grid_backend == "simulated" and "docker" in {t.backend for t in study.trials}:
        tables.console.print(f"[bold yellow]{tables.SIMULATED}[/]")
    passes = f"{found.passes} whole pass" + ("" if found.passes == 1 else "es")
    when = "" if found.recorded is None else f", {found.recorded[0]} to {found.recorded[1]}"
    tables.console.print(
        escape(
            f"Study {found.study} against the grid {found.grid}"
            f" ({found.grid_backend}, {passes}{when})"
        )
    )
    _show_cost(found)
    _show_scopes(study, found)
    _show_dominated(study, found)
    for metric, ratio in found.ratios.items():
        tables.console.print(_ratio(metric, ratio))


def _show_cost(found: Comparison) -> None:
    table = tables.plain("", "study", "one pass of the grid", "share")
    trials = str(found.trials), str(found.configurations), _percent(found.trials_share)
    table.add_row("trials", *trials)
    if found.seconds is not None and found.grid_seconds is not None:
        seconds = (tables.duration(s) for s in (found.seconds, found.grid_seconds))
        table.add_row("time, by deployment", *seconds, _percent(found.cost_share))
    tables.console.print(table)
    if found.seconds is None:
        tables.console.print("Simulated trials take no time, so costs are not compared.")
    if found.outside:
        tables.console.print(
            f"Configurations of the study that the grid does not have: {found.outside}."
            " They count for no front."
        )


def _show_scopes(study: StudyRecord, found: Comparison) -> None:
    names = study.scenario_parameters
    table = tables.plain(*(names or ["scenario"]), title="The study's fronts, as the grid has them")
    columns = (
        "trials",
        "front",
        "HV share",
        "predicted front",
        "HV share",
        "dominated",
        "of one pass",
    )
    for column in (*columns, "grid's"):
        table.add_column(column, justify="right", no_wrap=True)
    for scope in found.scopes:
        overall = ["overall", *[""] * (len(names) - 1)]
        where = scope.scenario and [_value(scope.scenario.get(name)) for name in names]
        table.add_row(
            *(where or overall),
            str(scope.trials),
            str(scope.study.points),
            _percent(scope.study.share),
            *_advised(scope.predicted_front),
            _span([judged.share for judged in scope.passes]),
            str(scope.grid_front),
        )
        if scope.scenario is None and len(found.scopes) > 1:
            table.add_section()
    tables.console.print(table)
    if (mean := found.scenarios_share) is not None:
        advice = found.scenarios_predicted
        words = [] if advice is None else [f"predicted front {_percent(advice)}"]
        words += [f"measured in the scenario itself {_percent(mean)}"]
        words += [f"one pass {_span(found.scenarios_passes)}"] if found.scenarios_passes else []
        tables.console.print(f"Mean HV share over scenarios: {', '.join(words)}")
    tables.console.print(
        "  HV share: of the hypervolume of the grid's own front, on logarithmic axes; of the front"
        "\n  of the trials, then of what the model predicts, measured in that scenario or not."
    )
    tables.console.print(
        "  Of one pass: the same of a single pass of the grid by all others: what noise allows."
        if any(scope.passes for scope in found.scopes)
        else "  The grid was measured once, so what noise allows is unknown."
    )


def _value(value: object) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _span(shares: Sequence[float]) -> str:
    if not shares:
        return "-"
    low, high = _percent(min(shares)), _percent(max(shares))
    return low if low == high else f"{low} to {high}"


def _advised(judged: Judged | None) -> tuple[str, str, str]:
    """Points of the predicted front, their share, and how many of them the grid refutes."""
    if judged is None:
        return "-", "-", "-"
    return str(judged.points), _percent(judged.share), _doubted(judged)


def _doubted(judged: Judged) -> str:
    infeasible = f", {len(judged.infeasible)} infeasible" if judged.infeasible else ""
    return f"{len(judged.dominated)}{infeasible}"


def _show_dominated(study: StudyRecord, found: Comparison) -> None:
    """Each point of a scenario's front that is none, and what the grid has instead."""
    inner = [s for s in found.scopes if s.scenario is not None] or list(found.scopes)
    judged = [scope.predicted_front or scope.study for scope in inner]
    bad = [c for one in judged for c in one.infeasible]
    worse = [d for one in judged for d in one.dominated]
    if not bad and not worse:
        tables.console.print("The grid clearly dominates none of the predicted points.")
        return
    table = tables.plain("predicted by the study", title="Clearly dominated in the grid")
    for objective in study.objectives:
        table.add_column(title(objective.metric), justify="right", no_wrap=True)
    table.add_column("of what the grid has instead")
    rows = [(str(c), *["-"] * len(study.objectives), "infeasible in the grid") for c in bad]
    for point in worse:
        factors = (f"x {factor:.2f}" for factor in point.factors)
        rows.append((str(point.configuration), *factors, str(point.by)))
    for row in rows[:_MOST_DOMINATED]:
        table.add_row(*row)
    tables.console.print(table)
    if len(rows) > _MOST_DOMINATED:
        tables.console.print(f"... and {len(rows) - _MOST_DOMINATED} more (--json has all)")


def _ratio(metric: str, ratio: Estimate) -> str:
    text = f"{title(metric)} where both measured: {ratio.value:.3f} times the grid's"
    if ratio.low is None or ratio.high is None:
        return text
    text += f" ({ratio.low:.3f} to {ratio.high:.3f})"
    if ratio.low <= 1 <= ratio.high or abs(ratio.value - 1) <= _CHANGED:
        return text
    return f"{text}: the host, or what else runs on it, has changed"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
