"""What was asked of a study, and how much of the search space it looked at."""

from __future__ import annotations

from tuner.measure.record import StudyRecord
from tuner.pages.blocks import Cell, Facts
from tuner.pages.environment import host_in_a_line
from tuner.results import in_words
from tuner.results.grid_cost import GridCost, Searched
from tuner.results.wording import duration, percent, plain
from tuner.spec.space import Parameter

_VALUES = 8


def question(record: StudyRecord) -> Facts:
    """What was asked, of what model, over which parameters and where."""
    specification = record.specification
    space = record.search_space
    about = str(specification.get("model", {}).get("description", ""))
    baseline = space.baseline()
    rows: list[tuple[str, Cell]] = [
        ("question", str(specification.get("description", "")) or "not said"),
        ("model", f"{record.model}: {about}" if about else record.model),
        ("objectives", in_words.wanted(record)),
        ("must hold", in_words.slo(record)),
        *((f"{p.role} {p.name}", parameter_values(p)) for p in space),
        ("baseline (all defaults)", str(baseline)),
        ("host", host_in_a_line(record)),
    ]
    return Facts(tuple(rows), "The question")


def parameter_values(p: Parameter) -> str:
    """The values that it can have, when, and what it means: `0 to 5 % of packets`."""
    values = p.values()
    if values is None:
        text = f"{p.low:g} to {p.high:g}"
    else:
        texts = list(map(plain, values))
        if len(texts) > _VALUES:
            texts = [*texts[:2], "...", f"{texts[-1]} ({len(texts)} values)"]
        text = ", ".join(texts)
    when = f", when {p.when}" if p.when else ""
    means = f": {p.description}" if p.description else ""
    return f"{text} {p.unit}".rstrip() + when + means


def cost(searched: Searched) -> Facts:
    """How many configurations were measured in what time, and the cost of the full grid."""
    estimated = searched.cost
    grid = (
        "endless (a parameter is continuous)" if estimated.grid is None else f"{estimated.grid:,}"
    )
    share = "" if searched.share is None else f", {percent(searched.share)} of the grid"
    infeasible = f", {searched.infeasible} of them infeasible" if searched.infeasible else ""
    failed = f"; {searched.failed} more failed" if searched.failed else ""
    trial_time, elapsed = duration(searched.trial_seconds), duration(searched.elapsed)
    rows: list[tuple[str, Cell]] = [
        ("configurations in the full grid", grid),
        ("configurations measured", f"{searched.configurations:,}{share}"),
        ("trials", f"{searched.trials:,}{infeasible}{failed}"),
        ("time of the trials", f"{trial_time}; first to last {elapsed} (no pauses)"),
    ]
    if estimated.grid_seconds is not None and searched.trials:
        rows.append(("time of the full grid, estimated", _grid_time(estimated)))
    if searched.of_grid is not None and searched.trials:
        rows.append(("time of the trials as a share of that", percent(searched.of_grid)))
    return Facts(tuple(rows), "What was searched")


def _grid_time(cost: GridCost) -> str:
    assert cost.grid_seconds is not None
    ordered = cost.ordered_seconds
    return (
        f"{duration(cost.grid_seconds)}: the {cost.evidence}, {cost.trial_seconds:.1f} s, times"
        f" {cost.grid:,}"
        + (
            ""
            if ordered is None or cost.deployments is None
            else f"; ordered by deployment {duration(ordered)}: {cost.deployments:,} deployments of"
            f" {cost.deploy_seconds:.1f} s and a burst of {cost.burst_seconds:.1f} s for each"
            " configuration"
        )
    )
