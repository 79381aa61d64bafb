"""Shipped files, changed at random: each loads, or is refused with its place. Nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner.errors import InputError
from tuner.spec.host import Host
from tuner.spec.load import load_model, load_search_space, load_study

CHECKOUT = Path(__file__).parents[2]
HOST = Host(cpus=2, memory_mib=8192)

FILES = {
    "studies/case/study.yaml": [
        *sorted(CHECKOUT.glob("studies/*/study.yaml")),
        CHECKOUT / "tests/cases/good/every_key.yaml",
        CHECKOUT / "tests/cases/good/open_loop.yaml",
    ],
    "search_spaces/case.yaml": [
        *sorted(CHECKOUT.glob("search_spaces/*.yaml")),
        *sorted(CHECKOUT.glob("tests/cases/good/space_*.yaml")),
    ],
    "models/case/model.yaml": sorted(CHECKOUT.glob("models/*/model.yaml")),
}
SOURCES = [(place, path.read_text(encoding="utf-8")) for place in FILES for path in FILES[place]]

PIECES = [
    *":[]{}#&*!|>'\"%@`-,?=~\n\t \0\x07\x85\u2028\ufeff",
    *[
        "''",
        "[]",
        "{}",
        "[[]]",
        "[null]",
        "{a: b}",
        "a: b: c",
        "? x",
        "- - - 1",
        "[" * 60,
        "{a: " * 60,
    ],
    *["null", "yes", "<<: {a: b}", "&a [*a]", "*a", "!x y", "!!bool 'x'", "!!timestamp 'x'"],
    *["!!int ''", "!!float x", "!!binary 'é'", "!!set {a}", "!!omap [a: 1]", "!!pairs [a: 1]"],
    *["010", "1:30", "0o17", "1_0", "2024-01-01", "2024-99-99", "00:00", "\u0660\u0661"],
    *["9" * 4301, "-0x" + "f" * 5000, "9" * 90, "9223372036854775808", "9007199254740993"],
    *["1e400", "-1e400", "1e308", "5e-324", "1e-400", ".inf", "-.inf", ".nan", "-1", "0", "1.5"],
    *['"\\U00110000"', '"\\ud800"', '"\\0"', "é", "a" * 400],
    *["1 / 0", "9 // 0.0", "min(", "host.x", "host.cpus ** 99", "min(host.cpus, 1e308 * 1e308)"],
    *["-" * 150 + "1", "(" * 150, "1if 2 else 3", "x <= 1", "p95_ms <= 1e999", "cpu == 1", "90 s"],
    *["[1, true]", "[1, 1.0]", "[1, '1']", "[true, 1]", "int", "float", "categorical", "scenario"],
]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, str]:
    """The place of a file below the working directory, and a text for it."""
    place, text = draw(st.sampled_from(SOURCES))
    for _ in range(draw(st.integers(1, 3))):
        piece = draw(st.sampled_from(PIECES))
        spans = [(m.start(), m.end()) for m in re.finditer(draw(st.sampled_from(PARTS)), text)]
        start, end = draw(st.sampled_from(spans or [(0, 0)]))
        text = text[:start] + piece + text[end:]
    return place, text


PARTS = [
    r"(?m)(?<=: )[^#\n]+$",  # all that a key holds
    r"-?\d+(\.\d+)?",
    r"[a-z_]{3,}",
    r"[-:,\[\]{}]",
    r"(?m)^.*\n",
    r"(?<=\n)",  # nothing: the piece is added
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mutated")
    for place in FILES:
        (root / place).parent.mkdir(parents=True)
    return root


@given(mutated())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_file_loads_or_is_refused_with_its_place(
    directory: Path, file: tuple[str, str]
) -> None:
    place, text = file
    (directory / place).write_text(text, encoding="utf-8")
    refused = refusal(place, directory)
    if refused is not None:
        assert re.match(rf"{re.escape(str(directory / place))}:[1-9]\d*: .", refused.message)
        assert refused.mend


def refusal(place: str, directory: Path) -> InputError | None:
    """What is wrong with the file there, or None for a file that loads."""
    try:
        if place.startswith("studies"):
            load_study("case", HOST, directory)
        elif place.startswith("search_spaces"):
            load_search_space("case", HOST, directory)
        else:
            load_model("case", directory)
    except InputError as error:
        return error
    return None
