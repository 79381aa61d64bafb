"""Adds a model of the user: writes its directory in `models/` as a whole or not at all."""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from tuner.errors import InputError
from tuner.serving.first_run import FirstRun
from tuner.serving.model_source import ModelSource, find_model
from tuner.serving.server.signatures import PREDICT_METHOD, Signature
from tuner.serving.server.status import StatusError
from tuner.serving.synthesis import choose_signature, synthesise, tensors_text
from tuner.serving.traffic import RecordedRequest, read_traffic, times_of
from tuner.serving.version_files import directory_checksum
from tuner.spec import study_files
from tuner.spec.memory_choices import CARD_KEY, ReplicaNeed
from tuner.spec.study import ModelSpec
from tuner.spec.yaml_text import yaml_text

Matches = Callable[[object, object, float], bool]
"""Whether an answer (the second) equals the expected one within a tolerance: `measure.golden`."""

_MODEL_YAML = """\
# A model: what tune needs to know to call it and check its answers.
# Written by `tune models add`; edit it as you like.

description: {description}

# {called}
# inputs:  {inputs}
# outputs: {outputs}
{key}: {value}

# Largest absolute or relative difference of a number in an answer from the golden one.
tolerance: {tolerance:g}

# There is no builder: the model was copied to built/versions/{version}. The golden requests and the
# answers of its first run are in built/golden.jsonl, where it came from in built/card.json.
"""


@dataclass(frozen=True)
class Wish:
    """What the user says about the model to add. tune chooses what is None or empty.

    `requests` is where requests were recorded (`tuner.serving.traffic`), `template` makes them of a
    table's rows. `dims` gives the unknown dimensions of made inputs.
    """

    name: str
    path: Path
    signature: str | None = None
    requests: Path | None = None
    template: str | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    tolerance: float = ModelSpec.tolerance
    description: str = ""


def add_model(
    wish: Wish, first_run: FirstRun, matches: Matches, say: Callable[[str], None], root: Path
) -> Path:
    """Write `<root>/models/<name>` and return that directory.

    `say` gets what is found and what is assumed. The answers of `first_run` become the golden ones.
    Raises InputError, and leaves nothing, where there is no model, where the server refuses
    it, and where it answers the same request differently.
    """
    check_new(wish.name, root)
    source = find_model(wish.path)
    say(f"{source.title}: {source.path}, version {source.version}")
    name, signature = _called(source, wish)
    if source.warning:
        say(source.warning)
    if source.signatures:
        inputs, outputs = tensors_text(signature.inputs), tensors_text(signature.outputs)
        say(f"signature {name}: {inputs} -> {outputs}")
    if wish.requests is not None:
        if wish.dims:
            raise InputError(
                "--dim is for inputs that tune makes, so it does not go with --requests",
                "leave one of them out",
            )
        pairs = read_requests(wish.requests, wish.template)
        say(f"requests: {len(pairs)} of {wish.requests}")
    else:
        made = synthesise(name, signature, wish.dims)
        pairs = [GoldenPair(request) for request in made.requests]
        say(f"requests: {len(pairs)} made; " + "; ".join(made.assumed))
    with tempfile.TemporaryDirectory(prefix=f".{wish.name}-", dir=root) as scratch:
        new = Path(scratch) / wish.name
        model = ModelSpec(
            wish.name, "", new, new / "built", name, wish.tolerance, server=source.server
        )
        source.copy(model.versions / str(source.version))
        pairs = [replace(pair, request=_asked(source, n, pair)) for n, pair in enumerate(pairs)]
        # The server that answers them finds the requests here, still without answers.
        _write_golden(model, [GoldenPair(pair.request) for pair in pairs])
        say("first run: each request twice")
        bodies = [orjson.dumps(pair.request) for pair in pairs]
        run = first_run(model, [*bodies, *bodies])
        answers = [
            source.answer(_plain(number, answer), pairs[number].response)
            for n, answer in enumerate(run.bodies)
            for number in [n % len(bodies)]
        ]
        first, again = answers[: len(bodies)], answers[len(bodies) :]
        _check(pairs, first, again, matches, wish.tolerance)
        golden = [replace(pair, response=answer) for pair, answer in zip(pairs, first, strict=True)]
        _write_golden(model, golden)
        _write_card(model, wish, source, run.need)
        (new / "model.yaml").write_text(_model_yaml(wish, source, name, signature), "utf-8")
        make_readable(new)
        directory = study_files.path_of("model", wish.name, root).parent
        directory.parent.mkdir(exist_ok=True)
        new.rename(directory)
    return directory


@dataclass(frozen=True)
class GoldenPair:
    """A body of `:predict`, its answer where it is known, and when it was sent (`Golden.times`)."""

    request: Any
    response: Any = None
    at: float | None = None


def read_requests(path: Path, template: str | None = None) -> list[GoldenPair]:
    """The recorded requests of a file or directory, which must be bodies of `:predict`.

    Raises InputError.
    """
    recorded = read_traffic(path, template)
    times = times_of(recorded) or (None,) * len(recorded)
    return [
        GoldenPair(predict_body(one), one.response, at)
        for one, at in zip(recorded, times, strict=True)
    ]


def predict_body(recorded: RecordedRequest) -> Any:  # noqa: ANN401 -- any JSON
    """The body, which must be one of `:predict`. Raises InputError."""
    try:
        body = orjson.loads(recorded.body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{recorded.where}: not JSON: {error}", _BODY) from error
    if not isinstance(body, dict) or not {"instances", "inputs"} & body.keys():
        raise InputError(f"{recorded.where}: neither `instances` nor `inputs`", _BODY)
    return body


_BODY = 'A request is a body of :predict, such as {"instances": [[1.0]]}.'


def _called(source: ModelSource, wish: Wish) -> tuple[str, Signature]:
    """The signature that requests call; one without tensors where nobody knows it."""
    if not source.signatures:
        if wish.requests is None:
            raise InputError(
                f"{source.path} does not say what it takes, and tune does not unpickle it",
                "give requests in the Open Inference Protocol: --requests FILE",
            )
        return ModelSpec.signature, Signature(PREDICT_METHOD, {}, {})
    name = choose_signature(source.signatures, wish.signature)
    return name, source.signatures[name]


def _asked(source: ModelSource, number: int, pair: GoldenPair) -> Any:  # noqa: ANN401 -- JSON
    try:
        return source.request(pair.request)
    except StatusError as error:
        raise InputError(f"request {number} does not suit the model: {error.message}") from error


def check_new(name: str, root: Path) -> None:
    """Raise InputError where a new model cannot have that name."""
    study_files.check_name(name, "model")
    if name in study_files.existing("model", root) or (root / "models" / name).exists():
        raise InputError(
            f"there is already a model {name!r}", "choose another --name, or remove its directory"
        )


def _plain(request: int, answer: bytes) -> Any:  # noqa: ANN401 -- any JSON
    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"the model's answer to request {request} is not JSON, which has no NaN and no"
            f" infinity: {answer[:120].decode(errors='replace')}",
            "export a model that answers with numbers, or give inputs for which it does: --requests"
            " FILE, a JSON body of :predict on each line",
        ) from error


def _check(
    pairs: Sequence[GoldenPair],
    first: Sequence[Any],
    again: Sequence[Any],
    matches: Matches,
    tolerance: float,
) -> None:
    for number, (pair, answer, other) in enumerate(zip(pairs, first, again, strict=True)):
        expected = pair.response
        if expected is not None and not matches(expected, answer, tolerance):
            raise InputError(
                f"request {number} is answered with {_short(answer)}, expected {_short(expected)}",
                "correct the response, leave it out to take the model's, or raise --tolerance",
            )
        if not matches(answer, other, tolerance):
            raise InputError(
                f"the model gives two answers to request {number}:"
                f" {_short(answer)}, then {_short(other)}",
                "tune could not check its answers: remove the randomness from the model, or raise"
                " --tolerance",
            )


def make_readable(directory: Path) -> None:
    """Let everyone read it, since a server runs as another user."""
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _write_golden(model: ModelSpec, pairs: Sequence[GoldenPair]) -> None:
    lines = [
        orjson.dumps(
            {"request": pair.request, "response": pair.response}
            | ({} if pair.at is None else {"at": pair.at})
        )
        for pair in pairs
    ]
    model.golden.write_bytes(b"\n".join(lines) + b"\n")


def _write_card(
    model: ModelSpec, wish: Wish, source: ModelSource, need: ReplicaNeed | None
) -> None:
    card = {
        "name": wish.name,
        "source": os.path.abspath(source.path),  # noqa: PTH100 -- links are not followed
        "added": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "golden_requests": "synthesised" if wish.requests is None else wish.requests.name,
        "saved_model_sha256": directory_checksum(model.versions / str(source.version)),
        **({CARD_KEY: need.to_json()} if need else {}),
    }
    (model.built / "card.json").write_text(json.dumps(card, indent=2) + "\n")


def _model_yaml(wish: Wish, source: ModelSource, name: str, signature: Signature) -> str:
    def scalar(text: str) -> str:
        return yaml_text(text).removesuffix("...\n").strip()

    inputs = tensors_text(signature.inputs) or "not known"
    outputs = tensors_text(signature.outputs) or "not known"
    called = ("The SavedModel's signature that requests call.", "signature", scalar(name))
    if source.server != ModelSpec.server:
        called = ("The server that runs it.", "server", source.server)
    return _MODEL_YAML.format(
        called=called[0],
        key=called[1],
        value=called[2],
        description=scalar(" ".join(wish.description.split()) or f"{inputs} -> {outputs}"),
        inputs=inputs,
        outputs=outputs,
        tolerance=wish.tolerance,
        version=source.version,
    )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:120] + "..."
