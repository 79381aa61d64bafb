"""What is kept of what replicas wrote."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tuner.deploy.logs import BYTES, LINES, harmless, joined_logs

lines = st.lists(st.binary(max_size=40), max_size=150).map(b"\n".join)


@given(lines)
def test_no_log_acts_on_what_shows_it(log: bytes) -> None:
    text = harmless(log)
    text.encode()
    assert all(c in "\n\t" or unicodedata.category(c) != "Cc" for c in text)
    assert not set(text) & set("\u202e\u2066\u2028")


@given(st.lists(lines, max_size=5))
def test_all_replicas_together_are_bounded(logs: list[bytes]) -> None:
    text = joined_logs(logs)
    headings = sum(f"replica {n}:" in text for n in range(len(logs)))
    assert text.count("\n") <= LINES + headings
    assert len(text.encode()) <= BYTES + 16 * len(logs)


def test_the_last_lines_of_each_replica_stand_under_its_name() -> None:
    many = b"".join(b"line %d\n" % n for n in range(1000))
    text = joined_logs([many, b"", b"only\n"])
    assert text.startswith("replica 0:\nline 967\n")
    assert text.endswith("line 999\nreplica 2:\nonly")


def test_of_a_line_that_is_too_long_the_end_is_kept() -> None:
    text = joined_logs([("é" * BYTES).encode() + b" the end"])
    assert text.endswith("é the end")
    assert "\ufffd" not in text


def test_colours_and_other_commands_to_a_terminal_are_left_out() -> None:
    assert harmless(b"\x1b[31mred\x1b[0m \x1b]0;title\x07text\r\n") == "red text\n"
    assert harmless(b"a\x07\xff\x08b") == "a\ufffd\ufffd\ufffdb"


def test_nothing_written_is_nothing_said() -> None:
    assert joined_logs([b"", b"\n"]) == ""
