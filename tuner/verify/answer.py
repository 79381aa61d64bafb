"""Whether an exported file does what was predicted, as blocks: the answer of `tune verify`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tuner.export.provenance import Provenance
from tuner.pages.blocks import Block, Table, Words
from tuner.results.in_words import SIMULATED
from tuner.results.told import measurement_doubts
from tuner.results.wording import counted, interval, metric_interval, reading
from tuner.results.wording import together as listed
from tuner.spec.metrics import METRICS
from tuner.trial import TrialResult
from tuner.verify.prediction import Basis
from tuner.verify.result import Verified, VerifiedConstraint, VerifiedObjective

_BASES: Mapping[Basis, str] = {
    "model": "the model of all measurements of the study",
    "bursts": "the bursts of this configuration alone, as too few were measured for a model",
}


def file_blocks(path: Path, of: Provenance, *, simulated: bool) -> Iterator[Block]:
    """What is about to be verified."""
    if simulated:
        yield Words(f"{SIMULATED} The file itself is not brought up.", "doubt")
    yield Words(
        f"{path}: trial {of.trial} of study {of.study}, model {of.model}: {of.configuration}"
    )


def measured_again(result: TrialResult) -> Words:
    """Why a burst is measured once more."""
    findings = result.measurement.findings if result.measurement else ()
    reasons = "; ".join(f.what for f in findings if f.verdict == "INVALID")
    return Words(f"This burst cannot be trusted and is measured once more: {reasons}", "doubt")


def verified_blocks(verified: Verified) -> Iterator[Block]:
    """Objectives against their prediction, constraints, differences, doubts and both verdicts."""
    if verified.judged:
        yield _table(verified)
        bases = " and ".join(dict.fromkeys(_BASES[j.basis] for j in verified.judged))
        yield Words(
            f"The prediction is for {_bursts(len(verified.trusted))}. It comes from {bases}. If the"
            " prediction is right, all intervals hold together in 95 of 100 verifications."
        )
    yield from map(_constraint, verified.judged_constraints)
    for difference in verified.differences:
        yield Words(f"DIFFERENT {difference}", "doubt")
    for result in verified.results:
        yield from _doubts(result, verified.predictions)
    if verified.broken:
        yield Words(f"It broke: {verified.broken}", "doubt")
    for note in verified.notes:
        yield Words(f"Note: {note}")
    yield Words(" ".join((_conclusion(verified), *_service_level(verified))), "lead")


def _bursts(count: int) -> str:
    if count == 1:
        return "one new burst on a new deployment"
    return f"the mean of {counted(count, 'new burst')}, each on a new deployment"


def _table(verified: Verified) -> Table:
    return Table(
        ("objective", "unit", "predicted", "measured", "difference", "inside"),
        tuple(map(_row, verified.judged)),
        "Values with 95 % intervals",
        priorities=(0, 0, 0, 0, 1, 0),
    )


def _row(objective: VerifiedObjective) -> tuple[str, ...]:
    metric, difference = METRICS[objective.metric], objective.difference_percent
    return (
        metric.label,
        metric.unit,
        interval(objective.predicted),
        interval(objective.measured),
        "-" if difference is None else f"{difference:+.1f} %",
        "yes" if objective.inside else "NO",
    )


def _constraint(judged: VerifiedConstraint) -> Words:
    constraint, measured = judged.constraint, judged.measured
    if measured is None:
        return Words(
            f"It cannot be said whether the constraint {constraint} holds: no measurement that can"
            " be trusted has that metric.",
            "doubt",
        )
    value = metric_interval(constraint.metric, measured)
    again = (
        " The bound is inside the interval, so another burst may say otherwise: --repeat 3 tells"
        " more surely."
        if judged.close
        else ""
    )
    if judged.verdict == "holds":
        return Words(f"The constraint {constraint} holds: {value}.{again}")
    over = reading(constraint.metric, constraint.violation(measured.value))
    side = "above" if constraint.operator == "<=" else "below"
    return Words(
        f"The constraint {constraint} FAILS: {value}, which is {over} {side} the bound.{again}",
        "doubt",
    )


def _service_level(verified: Verified) -> Iterator[str]:
    """Whether the constraints hold, all together; nothing for a study without any."""
    judged = verified.judged_constraints
    failing = [str(j.constraint) for j in judged if j.verdict == "fails"]
    unknown = [str(j.constraint) for j in judged if j.verdict == "cannot say"]
    if failing:
        yield f"CONSTRAINT FAILS: {listed(failing)}."
    if unknown:
        yield f"Not known to hold: {listed(unknown)}."
    if judged and not failing and not unknown:
        yield "Every constraint holds." if len(judged) > 1 else "The constraint holds."


def _doubts(result: TrialResult, metrics: Iterable[str]) -> Iterator[Words]:
    measured, reason = result.measurement, result.infeasible
    if reason is not None:
        yield Words(f"It could not serve, {reason.kind}: {reason.message}", "doubt")
    if measured is None:
        return
    if result.invalid:
        values = [
            metric_interval(name, measured.metrics[name])
            for name in metrics
            if name in measured.metrics
        ]
        yield Words(f"Measured, but not to be trusted: {', '.join(values)}", "doubt")
    yield from (Words(text, "doubt") for text in measurement_doubts(measured))


def _conclusion(verified: Verified) -> str:
    if verified.verdict == "as predicted":
        return "As predicted."
    if verified.verdict == "cannot say":
        return (
            "CANNOT SAY: the deployment broke, or no measurement can be trusted. Mend what is said"
            " above, then verify again."
        )
    outside = [METRICS[j.metric].label for j in verified.judged if not j.inside]
    if outside:
        verb = "is" if len(outside) == 1 else "are"
        return f"NOT as predicted: {listed(outside)} {verb} outside the predicted interval."
    if verified.judged and verified.differences:
        return (
            "NOT what was measured: the values are inside their intervals, but the file brings up"
            " another configuration, image or model."
        )
    return "NOT as predicted: what the file brings up cannot serve as the measured one did."
