"""`tune verify`: whether what was exported does, deployed as it stands, what was predicted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.markup import escape

from tuner.cli import CANNOT_SAY, NOT_AS_PREDICTED, tables
from tuner.cli.documents import print_document
from tuner.cli.measure import status
from tuner.cli.tables import console, estimate, plain
from tuner.errors import InputError
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.results.wording import interval
from tuner.spec.metrics import METRICS
from tuner.trial import TrialResult
from tuner.verify.exported_file import read_exported
from tuner.verify.result import FileVerdict, Verified, VerifiedObjective
from tuner.verify.verification import verify_file as verified

_CODES: dict[FileVerdict, int] = {
    "as predicted": 0,
    "not as predicted": NOT_AS_PREDICTED,
    "cannot say": CANNOT_SAY,
}

_BASES = {
    "model": "the model of all measurements of the study",
    "bursts": "this configuration's own bursts, since too few were measured for a model",
}


def verify(study: StudyRecord, path: Path, backend: str, times: int, *, as_json: bool) -> int:
    """Verify the file and print what came of it; the exit code."""
    if backend not in ("docker", "simulated"):
        raise InputError(
            f"backend {backend} deploys nothing that could be verified",
            "--backend docker brings the file up",
        )
    file = read_exported(path)
    of = file.provenance
    if not as_json:
        if backend == "simulated":
            console.print(
                f"[bold yellow]{tables.SIMULATED}[/] The file itself is not brought up.",
                soft_wrap=True,
            )
        console.print(
            f"{escape(str(path))}: trial {of.trial} of study {escape(of.study)}, model"
            f" {escape(of.model)}: {escape(str(of.configuration))}",
            soft_wrap=True,
        )

    def again(result: TrialResult) -> None:
        if not as_json:
            reasons = [f for f in _findings(result) if f.startswith("INVALID")]
            console.print(f"measured again: {escape('; '.join(reasons))}", soft_wrap=True)

    with status(quiet=as_json) as observe:
        found = verified(
            study,
            file,
            "simulated" if backend == "simulated" else "docker",
            times,
            observe,
            again,
        )
    code = _CODES[found.verdict]
    if as_json:
        print_document({**found.to_json(), "exit_code": code})
    else:
        _show(found)
    return code


def _show(found: Verified) -> None:
    judged = found.judged
    if judged:
        table = plain("objective", "unit", "predicted, 95 %", "measured", "difference", "inside")
        for each in judged:
            table.add_row(*_row(each))
        console.print(table)
        bases = " and ".join(dict.fromkeys(_BASES[j.basis] for j in judged))
        console.print(
            f"Predicted for {_asked(len(found.trusted))}, by {bases}; all intervals hold together"
            " in 95 of 100 cases.",
            soft_wrap=True,
        )
    for difference in found.differences:
        console.print(f"DIFFERENT {escape(str(difference))}", soft_wrap=True)
    for result in found.results:
        if result.infeasible is not None:
            reason = result.infeasible
            console.print(f"It could not serve, {reason.kind}: {escape(reason.message)}")
        if result.invalid:
            values = ", ".join(_values(result, found.predictions))
            console.print(f"Measured, but not to be trusted: {values}", soft_wrap=True)
        for line in _findings(result):
            console.print(escape(line), soft_wrap=True)
    if found.broken:
        console.print(f"It broke: {escape(found.broken)}", soft_wrap=True)
    for note in found.notes:
        console.print(f"Note: {escape(note)}", soft_wrap=True)
    console.print(_conclusion(found), soft_wrap=True)


def _asked(bursts: int) -> str:
    if bursts == 1:
        return "a new burst on a new deployment"
    return f"the mean of {bursts} new bursts, each on a new deployment"


def _row(found: VerifiedObjective) -> tuple[str, ...]:
    """An objective in one line."""
    metric = METRICS[found.metric]
    return (
        metric.label,
        metric.unit,
        _range(found.predicted),
        estimate(found.measured),
        f"{found.difference_percent:+.1f} %",
        "yes" if found.inside else "NO",
    )


def _conclusion(found: Verified) -> str:
    if found.verdict == "as predicted":
        return "As predicted."
    if found.verdict == "cannot say":
        return (
            "CANNOT SAY: it broke, or no measurement can be trusted. Mend what is said above, then"
            " verify again."
        )
    outside = [METRICS[j.metric].label for j in found.judged if not j.inside]
    if outside:
        return f"NOT as predicted: {' and '.join(outside)} outside the predicted interval."
    if found.judged and found.differences:
        return (
            "NOT what was measured: the values are inside, but what the file brings up is another"
            " configuration, image or model."
        )
    return "NOT as predicted: what the file brings up does not serve as what was measured."


def _findings(result: TrialResult) -> list[str]:
    found = result.measurement.findings if result.measurement else ()
    return [f"{f.verdict}: {f.what}. {f.remedy}" for f in found]


def _values(result: TrialResult, names: Iterable[str]) -> list[str]:
    known = result.measurement.metrics if result.measurement else {}
    return [
        f"{METRICS[name].label} {estimate(known.get(name))} {METRICS[name].unit}".rstrip()
        for name in names
    ]


def _range(found: Estimate) -> str:
    return interval(found)
