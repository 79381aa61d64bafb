"""A new study with comments, made from a shipped one."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import InputError
from tuner.files import write_new
from tuner.spec import study_files
from tuner.spec.built_in import BUILT_INS
from tuner.spec.expressions import parse_constraint
from tuner.spec.load import load_model
from tuner.spec.memory_choices import memory_parameter, ready_seconds, replica_need
from tuner.spec.metrics import METRICS
from tuner.spec.study import Constraint, ModelSpec
from tuner.spec.yaml_text import yaml_text

TEMPLATE = "mnist"

_LEAST_CPU, _READY_SECONDS = 0.25, 20
"""The smallest CPU limit that the template tries, and how long it waits for a replica."""

_READY_COMMENT = "# if a replica needs longer, its trial is infeasible"

_OF_ANOTHER_SERVER = {
    "  image": "tune              # the image that tune builds of the server {}",
    "  flags": "{{}}                # flags of the server, as it calls them",
    "  env": "{{}}                  # variables of its environment",
    "  protocol": "rest           # the Open Inference Protocol over REST; or: grpc",
}

_SLOWEST_SECONDS = 0.3
"""Connections of an open loop are enough for answers as slow as this, and four times the bound."""


@dataclass(frozen=True)
class ServiceLevel:
    """Constraints to hold under one load, at the least cost.

    The load is `rate` requests/s of an open loop, or `concurrency` connections of a closed one;
    exactly one of them is set.
    """

    constraints: tuple[Constraint, ...]
    rate: float | None
    concurrency: int | None

    @classmethod
    def parse(
        cls, texts: Sequence[str], rate: float | None, concurrency: int | None
    ) -> ServiceLevel | None:
        """The service level of texts such as `p95_ms <= 15`; None where nothing is given.

        Raises InputError for a text that is no constraint, and for a load that does not fit.
        """
        if not texts and rate is None and concurrency is None:
            return None
        if not texts:
            raise InputError(
                "a rate or a concurrency is the load of a service level, and none is given",
                'give one, such as --slo "p95_ms <= 15"',
            )
        if (rate is None) == (concurrency is None):
            raise InputError(
                "a service level holds for one load",
                "give either --rate 100 (requests/s that come whatever the server does) or"
                " --concurrency 8 (clients that wait for their answer)",
            )
        for name, value in (("rate", rate), ("concurrency", concurrency)):
            least = BUILT_INS[name].at_least
            if value is not None and not (least <= value < math.inf):
                raise InputError(
                    f"--{name}: expected a number of at least {least:g}, found {value:g}"
                )
        constraints = tuple(_constraint(text) for text in texts)
        sides = [(c.metric, c.operator) for c in constraints]
        if len(set(sides)) < len(sides):
            raise InputError(
                "two service levels bound the same metric on the same side", "give the stricter one"
            )
        return cls(constraints, rate, concurrency)

    @property
    def load(self) -> str:
        """`100 requests/s`, `8 clients`."""
        if self.rate is not None:
            return f"{_number(self.rate)} requests/s"
        return f"{self.concurrency} client{'' if self.concurrency == 1 else 's'}"

    @property
    def connections(self) -> int:
        """How many an open loop needs, so that no request waits for a free one: a power of two."""
        assert self.rate is not None
        bounds = [c.bound / 1000 for c in self.constraints if METRICS[c.metric].unit == "ms"]
        in_flight = self.rate * max(_SLOWEST_SECONDS, 4 * max(bounds, default=0.0))
        return int(min(1024, 2 ** math.ceil(math.log2(max(16.0, in_flight)))))


@dataclass(frozen=True)
class RecordedLoad:
    """Recorded requests to send; `timed` says that the times of their arrival are known."""

    path: Path
    template: str
    timed: bool


def scaffold(
    name: str,
    root: Path | None = None,
    model: str = TEMPLATE,
    service_level: ServiceLevel | None = None,
    recorded: RecordedLoad | None = None,
) -> list[Path]:
    """Write `studies/<name>/study.yaml` and `search_spaces/<name>.yaml` below `root`.

    The study serves `model` and is valid as written. With a service level it asks for the cheapest
    configuration that holds it. It is sent the `recorded` requests, and when they arrived where
    that is known and the load is no closed loop of a service level. Raises InputError, and writes
    nothing, where one of the files exists or there is no such model.
    """
    root = root or Path.cwd()
    served = load_model(model, root)
    study = _template("study").read_text(encoding="utf-8")
    space = _template("search space").read_text(encoding="utf-8")
    for key, value in (
        ("description", f"What {name} is to find out"),
        ("model", model),
        ("search_space", name),
    ):
        study = _with(study, key, value)
    if served.http is not None:
        study = _with(study, "  image", served.http.image)
    space = _with(space, "description", f"The parameters of {name}")
    space = _with_paragraph(space, "memory", memory_parameter(served))
    need = replica_need(served)
    if need is not None and (seconds := ready_seconds(need, _LEAST_CPU)) > _READY_SECONDS:
        study = _with(study, "  ready_seconds", f"{seconds}        {_READY_COMMENT}")
    if served.server != ModelSpec.server and served.http is None:
        for key, value in _OF_ANOTHER_SERVER.items():
            study = _with(study, key, value.format(served.server))
    if service_level is not None:
        study, space = _asking_for(service_level, study, space)
    if recorded is not None:
        closed = service_level is not None and service_level.rate is None
        home = study_files.path_of("study", name, root).parent
        study = _sending(recorded, study, home, replay=recorded.timed and not closed)
    texts = {
        study_files.path_of("study", name, root): study,
        study_files.path_of("search space", name, root): space,
    }
    for path in texts:
        if path.exists():
            raise InputError(f"{path} already exists", "Choose another name, or edit that file.")
    write_new(texts)
    return list(texts)


def _template(kind: study_files.FileKind) -> Path:
    return study_files.path_of(kind, TEMPLATE, study_files.shipped())


def _with(text: str, key: str, value: str) -> str:
    """The text with another value for a key, which has its indent, without a schema line."""
    text = re.sub(r"\A# yaml-language-server:.*\n", "", text)
    text, count = re.subn(rf"(?m)^{key}: .*$", lambda _: f"{key}: {value}", text)
    assert count == 1, f"the template has {count} lines with {key}"
    return text


def _with_paragraph(text: str, key: str, paragraph: str) -> str:
    """The text with another paragraph where that of `key` was, its comment included."""
    paragraphs = text.split("\n\n")
    at = [i for i, old in enumerate(paragraphs) if re.search(rf"(?m)^ *{key}:( |$)", old)]
    assert len(at) == 1, f"the template has {len(at)} paragraphs with {key}"
    paragraphs[at[0]] = paragraph.strip("\n")
    return "\n\n".join(paragraphs)


def _asking_for(level: ServiceLevel, study: str, space: str) -> tuple[str, str]:
    """The texts of a study and a search space, changed to the question of a service level."""
    bounds = [f"{c.metric} {c.operator} {_number(c.bound)}" for c in level.constraints]
    question = f"The cheapest way to hold {' and '.join(bounds)} at {level.load}"
    study = _with(study, "description", question)
    study = _with_paragraph(study, "objectives", _OBJECTIVES)
    if ("error_rate", "<=") not in {(c.metric, c.operator) for c in level.constraints}:
        bounds.append("error_rate <= 0.01")
    study = _with_paragraph(
        study,
        "constraints",
        "# The service level: what must hold. A configuration that breaks it is infeasible.\n"
        "# `tune verify` judges an exported file by it.\n"
        "constraints:\n" + "\n".join(f"  - {bound}" for bound in bounds),
    )
    study = _with(study, "  trials", "40")
    # There is one scenario, so none must be named.
    study = re.sub(r"(?m)^  expected: .*\n", "", study)
    if level.rate is not None:
        study = _with(study, "  scenarios", "[rate, concurrency, loss]")
    space = _with_paragraph(space, "loss", _LOSS)
    if level.rate is None:
        return study, _with_paragraph(space, "concurrency", _CLIENTS.format(level.concurrency))
    study = _with(
        study,
        "  arrivals",
        "poisson        # an open loop: requests do not wait for each other; or: constant",
    )
    # The example in a comment would be a second one.
    space = re.sub(r"(?m)^  # rate: .*\n", "", space)
    load = _RATE.format(_number(level.rate), level.connections)
    return study, _with_paragraph(space, "concurrency", load)


def _sending(recorded: RecordedLoad, study: str, home: Path, *, replay: bool) -> str:
    """The text of a study in `home` that sends recorded requests."""
    path = os.path.relpath(recorded.path.absolute(), home.absolute())
    study = _with(study, "  requests", _scalar(path))
    if recorded.template:
        study = _with(study, "  template", _scalar(recorded.template))
    if replay:
        study = _with(study, "  arrivals", "trace          # an open loop: due as recorded")
    return study


def _scalar(text: str) -> str:
    return yaml_text(text).removesuffix("...\n").strip()


_OBJECTIVES = """
# What is optimised: of what holds the service level, the cheapest. Where prices are given
# (docs/reference/study.md), cost_per_month can stand for both.
objectives:
  - reserved_cores         # replicas x cpu
  - reserved_mib           # replicas x memory
"""

_CLIENTS = """
parameters:
  concurrency:
    description: clients that wait for their answer
    role: scenario
    type: int
    choices: [{0}]
    default: {0}
"""

_RATE = """
parameters:
  rate:
    description: requests that come, for all replicas together
    role: scenario
    type: float
    choices: [{0}]
    default: {0}

  concurrency:
    description: connections, which limit the requests in flight
    role: scenario
    type: int
    choices: [{1}]
    default: {1}
"""

_LOSS = """
  loss:
    description: packets lost in each direction
    role: scenario
    type: float
    choices: [0]
    default: 0
"""


def _constraint(text: str) -> Constraint:
    try:
        return parse_constraint(text)
    except InputError as error:
        raise InputError(f"--slo: {error.message}") from error


def _number(value: float) -> str:
    return f"{value:.12g}"
