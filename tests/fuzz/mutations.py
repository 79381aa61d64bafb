"""Seeded changes of texts, of bytes and of plain data."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Sequence
from typing import Any

Plain = Any
"""What JSON holds."""

PIECES = (
    *":[]{}#&*!|>'\"%@`-,?=~\n\t \0\x07\x85\u2028\ufeff",
    *("''", "[]", "{}", "[[]]", "[null]", "{a: b}", "a: b: c", "? x", "- - - 1"),
    *("[" * 60, "{a: " * 60, "[" * 30_000, "- " * 30_000, "{a: " * 10_000),
    *("null", "yes", "on", "No", "Off", "y", "<<: {a: b}", "<<: *a", "&a [*a]", "*a", "&a", "!x y"),
    *("!!bool 'x'", "!!bool yes", "!!timestamp 'x'", "!!int ''", "!!float x", "!!binary 'é'"),
    *("!!set {a}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!python/object:os.system x", "!!merge a"),
    *(
        "010",
        "-07",
        "1:30",
        "190:20:30",
        "0o17",
        "0b11",
        "1_0",
        "2024-01-01",
        "2024-99-99",
        "00:00",
    ),
    *("\u0660\u0661", "\uff11", "\u00b2", "1e3", "1E3", "1.e3", "-0x1F", "0x1F", ".5", "+.5e1"),
    *("9" * 4301, "-0x" + "f" * 5000, "9" * 90, "9" * 200_000, "9223372036854775808", "2147483648"),
    *("1e400", "-1e400", "1e308", "5e-324", "1e-400", ".inf", "-.inf", ".nan", "-1", "0", "1.5"),
    *(
        '"\\U00110000"',
        '"\\ud800"',
        '"\\0"',
        "é",
        "\uff4dnist",
        "mnist\u200b",
        "a" * 400,
        "../../etc",
    ),
    *("1 / 0", "9 // 0.0", "min(", "host.x", "host.cpus ** 99", "min(host.cpus, 1e308 * 1e308)"),
    *("-" * 150 + "1", "(" * 150, "(" * 20_000, "1if 2 else 3", "x <= 1", "p95_ms <= 1e999"),
    *("cpu == 1", "90 s", "1e999 s", "9" * 400 + " h", "cpu in []", "cpu in [1, a", "not x"),
    *("[1, true]", "[1, 1.0]", "[1, '1']", "[true, 1]", "int", "float", "categorical", "scenario"),
    *("loss", "cpu", "bayes", "grid", "poisson", "grpc", "1e15", "-1e15", "1e-16", "100001"),
)

_SPANS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?m)(?<=: )[^#\n]+$",  # all that a key holds
        r"-?\d+(\.\d+)?",
        r"[a-z_]{3,}",
        r"[-:,\[\]{}]",
        r"(?m)^.*\n",
        r"(?<=\n)",  # nothing: the piece is added
    )
)


def changed_text(rng: random.Random, text: str, others: Sequence[str]) -> str:
    """`text` with one to three spans replaced, swapped, doubled or left out."""
    for _ in range(rng.randint(1, 3)):
        spans = [m.span() for m in rng.choice(_SPANS).finditer(text)] or [(0, 0)]
        start, end = rng.choice(spans)
        match rng.randrange(10):
            case 0:
                piece = text[start:end] * rng.choice((0, 2, 3))
            case 1:  # two spans change places
                left, right = sorted(((start, end), rng.choice(spans)))
                if left[1] <= right[0]:
                    between = text[left[1] : right[0]]
                    swapped = text[right[0] : right[1]] + between + text[left[0] : left[1]]
                    text = text[: left[0]] + swapped + text[right[1] :]
                continue
            case 2:  # lines of another file
                lines = rng.choice(others).splitlines(keepends=True)
                first = rng.randrange(len(lines))
                piece = "".join(lines[first : first + rng.randint(1, 5)])
            case _:
                piece = rng.choice(PIECES)
        text = text[:start] + piece + text[end:]
    return text


def changed_bytes(rng: random.Random, held: bytes) -> bytes:
    """`held` with bits flipped, cut, or with a part doubled, moved or overwritten."""
    changed = bytearray(held)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        size = len(changed)
        at = rng.randrange(size + 1)
        end = min(size, at + rng.choice((1, 2, 4, 8, 64, 1024)))
        match rng.randrange(7):
            case 0:
                del changed[at:]
            case 1:
                del changed[at:end]
            case 2:
                changed[at:end] = bytes(end - at)
            case 3:
                changed[at:end] = b"\xff" * (end - at)
            case 4:
                changed[at:at] = changed[at:end]
            case 5:
                changed[at:end] = rng.randbytes(end - at)
            case _:
                if at < size:
                    changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


VALUES: tuple[Plain, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        0.5,
        -0.0,
        1e308,
        -1e308,
        5e-324,
        2**31,
        2**53 + 1,
        2**63,
        2**70,
    ),
    *(
        "",
        "x",
        "0",
        "1",
        "é",
        "a" * 400,
        "../../x",
        "\n",
        "<script>",
        "NaN",
        "art_ms <= 1",
        "2026-01-01",
    ),
    *(
        [],
        [0],
        [None],
        ["x"],
        [[]],
        [{}],
        {},
        {"x": 1},
        {"": None},
        {"value": 1},
        [1, "1", True, None],
    ),
)


def changed_plain(
    rng: random.Random, data: Plain, values: Sequence[Plain] = VALUES
) -> tuple[Plain, str]:
    """A copy of `data` with one to three parts of another kind or size, and what was changed."""
    data, said = copy.deepcopy(data), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = _path(rng, data)
        if not path:
            return rng.choice(values), "all of it"
        inner = data
        for part in path[:-1]:
            inner = inner[part]
        key = path[-1]
        match rng.randrange(8):
            case 0:
                del inner[key]
                did = "deleted"
            case 1:
                inner[key] = [inner[key]]
                did = "in a list"
            case 2:
                inner[key] = str(inner[key])
                did = "as text"
            case 3:
                inner[key], did = _other(rng, inner[key])
            case _:
                inner[key] = copy.deepcopy(rng.choice(values))
                did = f"= {str(inner[key])[:30]!r}"
        said.append(f"{'.'.join(map(str, path))} {did}")
    return data, "; ".join(said)


def _other(rng: random.Random, value: Plain) -> tuple[Plain, str]:
    """A value of the same kind."""
    match value:
        case bool():
            return not value, "negated"
        case int() | float():
            factor = rng.choice((-1, 0, 1.5, 1e6, 1e-9))
            return value * factor, f"times {factor}"
        case str():
            return value + rng.choice(("x", " ", "\n", "é")), "longer"
        case list():
            return (value * 2, "doubled") if rng.random() < 0.5 else (value[:-1], "shorter")
        case dict():
            return {f"{k}x": v for k, v in value.items()}, "with other keys"
    return 0, "= 0"


def _path(rng: random.Random, data: Plain) -> list[Any]:
    """To some part of `data`, deep or not."""
    path: list[Any] = []
    while isinstance(data, dict | list) and data and (not path or rng.random() < 0.85):
        key = rng.choice(list(data)) if isinstance(data, dict) else rng.randrange(len(data))
        path.append(key)
        data = data[key]
    return path
