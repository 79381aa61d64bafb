"""The requests that the load of a study sends, and when they arrived."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson

from tuner.load.trace import Trace, trace_of
from tuner.measure.golden import Golden
from tuner.serving.added import read_requests
from tuner.serving.servers.table import server_named
from tuner.serving.traffic import read_traffic, times_of
from tuner.serving.traffic_template import template_text
from tuner.spec.scaffold import RecordedLoad
from tuner.spec.study import LoadSpec, StudySpec


def study_requests(study: StudySpec) -> Golden:
    """The recorded requests of the study, or the golden ones of its model.

    Raises SetupError where there are no golden ones, InputError for recorded ones that cannot be
    read or are no bodies of `:predict`.
    """
    load, home = study.load, study.path.parent
    if not load.requests:
        return server_named(study.servers()[0]).golden(study.model)
    template = template_text(load.template, home) if load.template else None
    pairs = read_requests(home / load.requests, template)
    return Golden(
        tuple(orjson.dumps(pair.request) for pair in pairs),
        tuple(pair.response for pair in pairs),
        tuple(pair.at for pair in pairs if pair.at is not None),
    )


def endpoint_requests(study: StudySpec, target: str) -> tuple[Golden, tuple[str, ...]]:
    """The recorded requests of a study to the path `target`, and the content type of each.

    Their bodies may be anything. Raises InputError where they cannot be read.
    """
    load, home = study.load, study.path.parent
    template = template_text(load.template, home) if load.template else None
    recorded = read_traffic(home / load.requests, template, target)
    golden = Golden(
        tuple(one.body for one in recorded),
        tuple(one.response for one in recorded),
        times_of(recorded),
    )
    return golden, tuple(one.content_type for one in recorded)


def recorded_load(requests: Path, template: str | None) -> RecordedLoad:
    """What a new study is to send; both names are seen from the working directory.

    Raises InputError as `study_requests`.
    """
    text = template_text(template, Path()) if template else ""
    pairs = read_requests(requests, text or None)
    return RecordedLoad(requests, text, timed=pairs[0].at is not None)


def study_trace(study: StudySpec, golden: Golden) -> Trace | None:
    """The arrival times that the study replays; None where it replays none. Raises InputError."""
    if study.load.arrivals != "trace":
        return None
    source = study.load.requests or f"the golden file of {study.model.name}"
    return trace_of(golden.times, source, study.load.time_scale)


def with_requests(load: LoadSpec, requests: Path, template: str | None) -> LoadSpec:
    """The load with recorded requests; both names are seen from the working directory."""
    text = template_text(template, Path()) if template else ""
    return replace(load, requests=str(requests.absolute()), template=text)
