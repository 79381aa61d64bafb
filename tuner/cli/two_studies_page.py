"""`tune compare A B`: two studies side by side, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from tuner.cli.tables import SIMULATED, console, plain, value
from tuner.measure.measurement import Estimate
from tuner.results.study_differences import Difference
from tuner.results.two_fronts import FrontScope, Side
from tuner.results.two_studies import Pair, Told, TwoStudies, sentences, shortened
from tuner.results.wording import figure
from tuner.spec.metrics import METRICS

_MOST_PAIRS = 20
_LONGEST = 48


def show_two(found: TwoStudies) -> None:
    """What differs, what that did overall and to each configuration, and the fronts."""
    if "simulated" in (*found.a.backends, *found.b.backends):
        console.print(f"[bold yellow]{SIMULATED}[/]")
    _show_told(found.a, found.b)
    _show_differences(found.differences)
    for caution in found.cautions:
        console.print(f"Careful: {escape(caution)}")
    console.print()
    for sentence in sentences(found):
        console.print(escape(sentence))
    _show_pairs(found)
    _show_one_sided(found)
    _show_scopes(found)


def _show_told(a: Told, b: Told) -> None:
    table = plain("", "A", "B")
    table.add_row("study", escape(a.name), escape(b.name))
    table.add_row("model", escape(a.model), escape(b.model))
    table.add_row("measured by", *(", ".join(told.backends) or "nothing" for told in (a, b)))
    table.add_row("trials", str(a.trials), str(b.trials))
    table.add_row("configurations", str(a.configurations), str(b.configurations))
    table.add_row("... that both can have", str(a.common), str(b.common))
    console.print(table)


def _show_differences(some: Sequence[Difference]) -> None:
    if not some:
        console.print("Nothing differs in what was asked, of which model, and on which host.")
        return
    table = plain("what differs", "A", "B", "can change a measurement")
    for one in some:
        cells = (escape(_cut(text)) for text in (one.key, one.a, one.b))
        table.add_row(*cells, "yes" if one.matters else "no", style="" if one.matters else "dim")
    console.print(table)


def _cut(text: str) -> str:
    line = " ".join(shortened(text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _show_pairs(found: TwoStudies) -> None:
    """The configurations that both measured: those that differ first, then by the largest ratio."""
    if not found.pairs:
        return
    table = plain("measured by both", title="B as a multiple of A, with 95 % intervals")
    for objective in found.objectives:
        label = METRICS[objective.metric].label
        for heading in (f"{label} A", "B", "B / A", "p"):
            table.add_column(heading, justify="right", no_wrap=True)
    ordered = sorted(found.pairs, key=_surprise)
    for pair in ordered[:_MOST_PAIRS]:
        table.add_row(*_pair_row(found, pair), style="" if pair.differs else "dim")
    console.print(table)
    if len(ordered) > _MOST_PAIRS:
        console.print(f"... and {len(ordered) - _MOST_PAIRS} more (--json and --output have all)")
    console.print(
        "  p: of the ratio by noise alone, after correction for all tests; * below 5 %."
        " The noise is that between bursts, too."
    )


def _surprise(pair: Pair) -> float:
    return min((ratio.adjusted + ratio.p for ratio in pair.ratios.values()), default=3.0)


def _pair_row(found: TwoStudies, pair: Pair) -> list[str]:
    cells = [escape(str(pair.configuration))]
    for i, objective in enumerate(found.objectives):
        cells += [figure(pair.values_a[i]), figure(pair.values_b[i])]
        ratio = pair.ratios.get(objective.metric)
        if ratio is None:
            cells += ["unstable" if pair.unstable else "-", ""]
        else:
            mark = " *" if ratio.differs else "  "
            cells += [
                _ratio(Estimate(ratio.value, ratio.low, ratio.high)),
                _p(ratio.adjusted, mark),
            ]
    return cells


def _p(p: float, mark: str) -> str:
    return f"{'<0.001' if p < 0.001 else f'{p:.3f}'}{mark}"


def _ratio(ratio: Estimate | None) -> str:
    if ratio is None:
        return "-"
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.2f}"
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _show_one_sided(found: TwoStudies) -> None:
    if not found.one_sided:
        return
    table = plain("serves, and keeps the constraints, in one only", "in", "in the other")
    for one in found.one_sided[:_MOST_PAIRS]:
        table.add_row(escape(str(one.configuration)), one.serves, escape(one.reason))
    console.print(table)
    if len(found.one_sided) > _MOST_PAIRS:
        console.print(f"... and {len(found.one_sided) - _MOST_PAIRS} more (--json has all)")


def _show_scopes(found: TwoStudies) -> None:
    names = list(dict.fromkeys(n for s in found.scopes if s.scenario for n in s.scenario))
    table = plain(*(names or ["scenario"]), title="Fronts")
    for heading in ("A: tried", "front", "beaten", "HV share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("B: tried", "front", "beaten", "HV share", "HV of B / A"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("clearly ahead", no_wrap=True)
    for scope in found.scopes:
        table.add_row(*_scope_row(scope, names))
        if scope.scenario is None and len(found.scopes) > 1:
            table.add_section()
    console.print(table)
    console.print(
        "  beaten: front points that the other's front clearly dominates. HV share: hypervolume, as"
        "\n  a share of both fronts', on logarithmic axes in one box; who tried more has more."
    )


def _scope_row(scope: FrontScope, names: Sequence[str]) -> list[str]:
    where = scope.scenario
    first = (
        ["overall", *[""] * (len(names) - 1)]
        if where is None
        else [value(where.get(name)) for name in names]
    )
    return [*first, *_side(scope.a), *_side(scope.b), _ratio(scope.hypervolume), scope.ahead]


def _side(side: Side) -> tuple[str, ...]:
    share = side.share
    text = f"{100 * share.value:.0f} %"
    if share.low is not None and share.high is not None:
        text += f" ({100 * share.low:.0f} to {100 * share.high:.0f})"
    return str(side.measured), str(len(side.front)), str(side.beaten), text
