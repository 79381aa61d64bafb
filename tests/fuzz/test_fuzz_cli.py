"""Every option of every verb with a bad value: it is accepted, or refused in a sentence."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz.command_lines import BASES, Line, lines, pairs, run, verbs, workplace

SEED = 13
SAMPLE = 40


@pytest.fixture(scope="module", autouse=True)
def _workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with workplace(tmp_path_factory.mktemp("fuzz")):
        yield


def faults(tried: Iterable[Line]) -> dict[str, str]:
    return {str(line): done.fault for line in tried if (done := run(line.words)).fault}


def test_every_verb_is_fuzzed_and_every_option_of_it() -> None:
    assert {verb for verb, _ in verbs()} == BASES.keys(), "a new verb needs a base"
    found = {(line.verb, line.option) for line in lines()}
    assert {("run", "--trials"), ("show", "TRIAL"), ("models add", "--dim")} <= {
        (verb, option if option.startswith("-") else option.upper()) for verb, option in found
    }


def test_the_bases_do_what_they_should() -> None:
    for verb, base in BASES.items():
        done = run((*verb.split(), *base))
        refused = verb in {"image build", "models add", "worker"} or base[:1] == ("nothing",)
        assert done.code == (2 if refused else 0), (verb, done)
        assert not done.fault, done.fault


def test_a_sample_of_bad_command_lines() -> None:
    every = list(lines())
    some = random.Random(SEED).sample(every, SAMPLE)
    sys.stdout.write(f"{SAMPLE} of {len(every)} bad command lines, seed {SEED}\n")
    assert faults(some) == {}


def test_a_sample_of_pairs_of_bad_options() -> None:
    assert faults(islice(pairs(SEED), 6)) == {}


SEEN = [
    # What they once came to.
    ("report", *("--study", "small", "--backend", "simulated"), "--figures", "x" * 300),
]


@pytest.mark.parametrize("words", SEEN, ids=lambda words: " ".join(words)[:40])
def test_what_was_found_is_mended(words: tuple[str, ...]) -> None:
    done = run(words)
    assert done.fault == ""
    assert done.code == 2
    assert not Path("small-report.html").exists()
