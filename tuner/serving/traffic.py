"""Requests that were recorded: JSON lines, a directory of bodies, a table, a HAR file.

Each reader streams, and stops at the first request beyond `MOST_REQUESTS` or `MOST_BYTES`: what a
burst can send is small, and a log of a month must not fill the memory.
"""

from __future__ import annotations

import binascii
import datetime as dt
import math
import mimetypes
import os
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from tuner.addresses import address_parts
from tuner.errors import InputError
from tuner.measure.golden import json_lines
from tuner.serving.traffic_table import table_rows
from tuner.serving.traffic_template import Template

MOST_REQUESTS = 100_000
MOST_BYTES = 64 * 2**20
"""Of all bodies together. The load engine holds each of them a few times."""

JSON = "application/json"

_LINE = 'Each line is a body, such as {"instances": [[1.0]]}, or {"request": <body>, "at": 12.5}.'
_TABLES = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class RecordedRequest:
    """One request. `where` is its place in the source, for messages.

    `response` is the answer that is expected, None where nobody knows. `at` is when it was sent, in
    seconds since any moment, None where that was not recorded.
    """

    body: bytes
    where: str
    response: Any = None
    at: float | None = None
    content_type: str = JSON


def read_traffic(
    path: Path, template: str | None = None, to: str | None = None
) -> tuple[RecordedRequest, ...]:
    """The requests in a file or directory, in the order of their times where they have them.

    Its form follows from its name: a directory has one body in each file, `.csv`, `.tsv` and
    `.parquet` are tables, whose rows `template` turns into lines, `.har` is an HTTP archive, of
    which the POST requests to the path `to` are taken. Anything else has JSON lines. Raises
    InputError with the line or entry, what was expected there, and the mend.
    """
    is_table = path.suffix.lower() in _TABLES and not path.is_dir()
    if is_table and template is None:
        raise InputError(
            f"{path} is a table, and nothing says what a request is made of",
            """give a template with its columns: --template '{"instances": [["{age}"]]}'""",
        )
    if template is not None and not is_table:
        raise InputError(
            f"{path}: a template is for the columns of a table, {', '.join(_TABLES)}",
            "leave it out",
        )
    if template is not None:
        found = _of_table(path, Template.parse(template))
    elif path.is_dir():
        found = _of_directory(path)
    elif path.suffix.lower() == ".har":
        found = _of_har(path, to)
    else:
        found = (_of_line(value, f"{path}, line {n}") for n, value in json_lines(path, _LINE))
    requests = tuple(_bounded(path, found))
    if not requests:
        raise InputError(f"{path}: there is no request in it", _LINE)
    return in_order(requests)


def times_of(requests: Iterable[RecordedRequest]) -> tuple[float, ...]:
    """When each was sent, in seconds since the first; empty where that was not recorded."""
    times = [request.at for request in requests if request.at is not None]
    return tuple(time - times[0] for time in times)


def _bounded(path: Path, requests: Iterable[RecordedRequest]) -> Iterator[RecordedRequest]:
    size = 0
    for number, request in enumerate(requests, start=1):
        size += len(request.body)
        if number > MOST_REQUESTS or size > MOST_BYTES:
            raise InputError(
                f"{path} has more than {MOST_REQUESTS} requests, or {MOST_BYTES >> 20} MiB of them",
                "give a part: of JSON lines the first (head -n 10000) or some (shuf -n 10000)",
            )
        yield request


def in_order(requests: tuple[RecordedRequest, ...]) -> tuple[RecordedRequest, ...]:
    """By their times, where they have them; raises InputError where only some have."""
    timed = [request for request in requests if request.at is not None]
    if timed and len(timed) < len(requests):
        without = next(request for request in requests if request.at is None)
        raise InputError(
            f"{without.where}: there is no time, and {timed[0].where} has one",
            "give each request its time, or none",
        )
    return tuple(sorted(timed, key=lambda r: r.at or 0.0)) if timed else requests


def _of_line(value: object, where: str) -> RecordedRequest:
    """A line: a body, or an object with `request` and, where it is known, `response` and `at`."""
    if not isinstance(value, dict) or "request" not in value:
        return RecordedRequest(orjson.dumps(value), where)
    at = value.get("at")
    return RecordedRequest(
        orjson.dumps(value["request"]),
        where,
        value.get("response"),
        None if at is None else _seconds(at, where),
    )


def _seconds(at: object, where: str) -> float:
    try:
        if isinstance(at, str):
            moment = dt.datetime.fromisoformat(at)
            return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
        if isinstance(at, int | float) and not isinstance(at, bool) and math.isfinite(at):
            return float(at)
    except (ValueError, OverflowError):
        pass
    raise InputError(
        f"{where}: {str(at)[:60]!r} is no time",
        "expected seconds, or a time such as 2026-01-31T12:00:00.5Z",
    )


def _of_table(path: Path, template: Template) -> Iterator[RecordedRequest]:
    for where, row in table_rows(path, template.columns):
        yield _of_line(template.filled(row, where), where)


def _of_directory(path: Path) -> Iterator[RecordedRequest]:
    """Each file of it is a body, in the order of their names; hidden ones are left out."""
    try:
        names = sorted(entry.name for entry in os.scandir(path) if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    for name in names:
        file = path / name
        mend = "a directory of requests has one body in each file, and nothing else"
        if not file.is_file():
            raise InputError(f"{file} is no file", mend)
        try:
            with file.open("rb") as opened:
                body = opened.read(MOST_BYTES + 1)
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}", mend) from error
        kind = mimetypes.guess_type(name)[0]
        if kind == JSON:
            try:
                orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise InputError(f"{file}: not JSON: {error}", "mend or remove it") from error
        yield RecordedRequest(body, str(file), content_type=kind or "application/octet-stream")


def _of_har(path: Path, to: str | None) -> Iterator[RecordedRequest]:
    """The POST requests of an HTTP archive (HAR 1.2)."""
    mend = "save it again as a HAR file, with the content of its requests"
    try:
        if path.stat().st_size > 4 * MOST_BYTES:
            raise InputError(f"{path} has more than {4 * MOST_BYTES >> 20} MiB", "record less")
        archive = orjson.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", mend) from error
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: {error}", mend) from error
    entries = _at(archive, "log", "entries")
    if not isinstance(entries, list):
        raise InputError(f"{path}: there is no list log.entries", mend)
    posts = [
        (f"{path}, entry {number}", _path_of(str(_at(entry, "request", "url"))), entry)
        for number, entry in enumerate(entries)
        if _at(entry, "request", "method") == "POST"
    ]
    paths = Counter(path for _, path, _ in posts)
    if to is None and len(paths) > 1:
        seen = ", ".join(f"{path} ({count})" for path, count in paths.most_common(5))
        raise InputError(
            f"{path}: its POST requests go to several paths: {seen}",
            "keep the entries of one of them",
        )
    if to is not None and posts and not paths[to]:
        raise InputError(
            f"{path}: no POST request goes to {to}, but to {paths.most_common(1)[0][0]}",
            "record requests to the URL that is measured",
        )
    for where, gone_to, entry in posts:
        if to is None or gone_to == to:
            yield _of_entry(entry, where)


def _path_of(url: str) -> str:
    parts = address_parts(url)
    return parts.path if parts else url


def _of_entry(entry: object, where: str) -> RecordedRequest:
    text = _at(entry, "request", "postData", "text")
    if not isinstance(text, str):
        raise InputError(
            f"{where}: it has no request.postData.text",
            "record it with the content of its requests",
        )
    body = text.encode(errors="surrogatepass")
    # Not in HAR 1.2, but some recorders mark a body that is no text so.
    if _at(entry, "request", "postData", "encoding") == "base64":
        try:
            body = b64decode(text, validate=True)
        except binascii.Error as error:
            raise InputError(
                f"{where}: its body is not base64: {error}", "record it anew"
            ) from error
    kind = _at(entry, "request", "postData", "mimeType")
    request = RecordedRequest(body, where, content_type=_header_text(kind))
    started = _at(entry, "startedDateTime")
    return request if started is None else replace(request, at=_seconds(started, where))


def _header_text(kind: object) -> str:
    """A content type that cannot end the header that it stands in."""
    if isinstance(kind, str) and kind.isascii() and kind.isprintable() and kind:
        return kind
    return JSON


def _at(value: object, *keys: str) -> Any:  # noqa: ANN401 -- any JSON
    """What stands under `keys`; None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
