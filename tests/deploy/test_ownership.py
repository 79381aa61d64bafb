from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.deploy.ownership import Owner

NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1)


@given(host=NAME, boot=NAME, pid=st.integers(0, 2**22), started=st.from_regex(r"\A[0-9]*\Z"))
def test_a_label_reads_back(host: str, boot: str, pid: int, started: str) -> None:
    owner = Owner(host, boot, pid, started)
    assert Owner.parse(str(owner)) == owner


@pytest.mark.parametrize("text", ["", "somebody", "host/boot/12", "host/boot/x/3", "a/b/1/2/3"])
def test_a_label_of_another_kind_has_no_owner(text: str) -> None:
    assert Owner.parse(text) is None


def test_this_process_lives() -> None:
    assert not Owner.this().dead()


def test_a_process_that_ended_is_dead_and_so_is_one_before_another_boot() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        this = Owner.this()
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        owner = dataclasses.replace(this, pid=child.pid, started=fields[19])
        assert not owner.dead()
        assert dataclasses.replace(owner, boot="another").dead()
        child.kill()
    assert owner.dead()


def test_a_process_id_that_is_used_again_is_another_process() -> None:
    assert dataclasses.replace(Owner.this(), started="1").dead()


def test_nothing_is_known_of_another_host() -> None:
    owner = dataclasses.replace(Owner.this(), host="elsewhere.invalid", boot="another", pid=1)
    assert not owner.dead()


def test_without_a_start_time_the_process_id_decides() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    this = dataclasses.replace(Owner.this(), started="")
    assert not this.dead()
    assert dataclasses.replace(this, pid=child.pid).dead()
