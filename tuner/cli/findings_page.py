"""What a model of a study predicts: scenario fronts, decisions, what is open and may settle it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table

from tuner.cli.tables import WIDE, console, estimate, two_lines, value
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.results import in_words
from tuner.results.findings import Findings, FrontFindings
from tuner.results.pooled import Pooled
from tuner.results.predicted_front import Predicted
from tuner.results.summary import Summary
from tuner.spec.space import Configuration

_SHOWN = 4


def show_predicted(study: StudyRecord, summary: Summary, found: Findings) -> None:
    """A block per scenario: what to choose from by the model, beside what was measured.

    Listed are the predicted front, and those on the front as measured.
    """
    fronts = found.scenarios or (found.overall,)
    names = [
        p.name
        for p in study.search_space
        if not found.scenarios or p.name in study.decision_parameters
    ]
    header = [*names, "trials"]
    for objective in study.objectives:
        header += [two_lines(objective.metric), "predicted"]
    header.append("P")
    blocks = [list(_rows(study, summary, front, names)) for front in fronts]
    widths = _widths([header, *(row for block in blocks for row in block)])
    console.print(
        ("Front of each scenario" if found.scenarios else "Front")
        + f", as measured and as predicted (of {found.candidates:,} configurations"
        + ("" if found.whole else ": those measured, in every scenario")
        + ")",
        style="italic",
    )
    for number_, (front, rows) in enumerate(zip(fronts, blocks, strict=True)):
        if number_ == 0:
            console.print(_table(header, widths, len(names), rows=[], headed=True))
        if front.scenario is not None:
            open_ = f"; hypervolume known to {100 * front.uncertainty:.0f} % (standard deviation)"
            console.print(f"[bold]{front.scenario}[/]: {_measured(front)}{open_}")
        console.print(_table(header, widths, len(names), rows, headed=False))
    console.print(
        "  o: on the front as measured. P: probability that no other is better by more than 2 % in"
        "\n  everything. Predicted: what many bursts would give on average."
    )


def _measured(front: FrontFindings) -> str:
    count = len(front.measured)
    return f"{count} configuration{'' if count == 1 else 's'} measured"


def _rows(
    study: StudyRecord, summary: Summary, front: FrontFindings, names: Sequence[str]
) -> Iterator[list[str]]:
    pooled = {p.configuration: p for p in summary.pooled.values()}
    scenario = front.scenario or Configuration(())
    measured = next(
        (s.front for s in summary.scenarios if s.scenario == scenario),
        () if front.scenario else summary.front,
    )
    on_front = {t.configuration for t in measured}
    chosen = {p.configuration: p for p in front.predicted_front}
    for configuration in on_front & front.measured.keys():
        chosen.setdefault(configuration, front.measured[configuration])
    for one in sorted(chosen.values(), key=lambda p: (p.values, p.row)):
        yield _row(study, one, pooled.get(one.configuration), names, one.configuration in on_front)


def _row(
    study: StudyRecord,
    one: Predicted,
    known: Pooled | None,
    names: Sequence[str],
    on_front: bool,
) -> list[str]:
    numbers = [str(t.number) for t in known.bursts] if known else []
    more = f", +{len(numbers) - 2}" if len(numbers) > 2 else ""
    trials = ", ".join(numbers[:2]) + more or "-"
    cells = [value(one.configuration.get(name)) for name in names]
    cells.append(trials + (" o" if on_front else ""))
    for i in range(len(study.objectives)):
        cells.append(estimate(known.estimate(i)) if known and known.bursts else "-")
        expected = Estimate(one.values[i], one.low[i], one.high[i])
        cells.append(estimate(expected if console.width >= WIDE else Estimate(one.values[i])))
    return [*cells, f"{one.on_front:.2f}"]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max(len(line) for row in rows for line in row[i].split("\n")) for i in range(len(rows[0]))
    ]


def _table(
    header: Sequence[str],
    widths: Sequence[int],
    left: int,
    rows: Sequence[Sequence[str]],
    *,
    headed: bool,
) -> Table:
    """One block; all have the same widths, so that they stand as one table."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=headed)
    for i, (head, width) in enumerate(zip(header, widths, strict=True)):
        table.add_column(head, width=width, no_wrap=True, justify="left" if i <= left else "right")
    for row in rows:
        table.add_row(*row)
    return table


def show_decisions(study: StudyRecord, found: Findings) -> None:
    """The decision that does well in every scenario, and the one that holds the SLO in most."""
    robust, serving = found.robust, found.serving
    if robust is not None:
        console.print(f"[bold]Least regret over all scenarios:[/] {robust.decision}")
        _indented(in_words.regret(robust))
    elif serving is not None:
        console.print("No decision is sure (0.9) to serve in every scenario.")
    if serving is not None:
        console.print(
            f"[bold]Meets the SLO in most scenarios[/] ({in_words.slo(study)}): {serving.decision}"
        )
        _indented(in_words.scenarios_served(serving))


def show_open(found: Findings) -> None:
    """What is uncertain still, and what more trials are expected to do about it."""
    console.print("[bold]What is open:[/]")
    _indented(in_words.still_open(found))
    if found.next and found.settling.trials != 0:
        console.print("  most is expected to be learned from:")
        for configuration in found.next[:_SHOWN]:
            console.print(f"    {configuration}")


def _indented(lines: Iterable[str]) -> None:
    for line in lines:
        console.print(f"  {line}", markup=False)
