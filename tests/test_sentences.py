"""What is said to a user is written once: who changes it, changes it everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "tuner"

SENTENCES = (
    "these numbers come from a queueing model",
    "these numbers were recorded before",
    "P is the probability that no other",
    "is what the model expects many bursts",
    "and nobody chooses a",
    "P: nothing else is better by more than",
    "Nothing is predicted yet",
    "No decision is sure",
    "Nothing is recommended: no feasible trial",
    "Not shown at this width",
    "nothing is left running",
    "Resume with:",
    "is measured again:",
    "deployment reused",
    "it was INVALID twice",
    "Converged: {",
    "CANNOT SAY: ",
    "NOT as predicted: what",
    "NOT what was measured",
    "No front has changed",
    "cannot run yet. What to do",
    "Simulated trials take no time",
    "The grid was measured once",
    "The grid refutes no point",
    "Nothing differs in what was asked",
    "Each statement is an average",
    "Not enough yet",
)


@pytest.fixture(scope="module")
def source() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_is_written_once(source: str, sentence: str) -> None:
    assert source.count(sentence) == 1
