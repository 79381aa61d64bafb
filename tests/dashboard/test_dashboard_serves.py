"""`tune dashboard` from its start to its end."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

import pytest

from tests.dashboard.processes import dashboard
from tests.dashboard.shown import Shown, look
from tuner.dashboard.http_server import dashboard as serving
from tuner.errors import InputError

SMALL = ("--study", "small", "--backend", "simulated")


@pytest.mark.parametrize(
    ("options", "how", "exposed"),
    [
        ((), signal.SIGINT, False),
        pytest.param(
            ("--host", "0.0.0.0"),
            signal.SIGTERM,
            True,
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_it_says_where_it_is_and_ends_when_told(
    options: tuple[str, ...], how: signal.Signals, exposed: bool
) -> None:
    look(3)
    with dashboard(*SMALL, *options) as (address, process):
        number = int(address.rpartition("/")[2])
        with urlopen(urljoin(address, f"/api/studies/{number}"), timeout=30) as reply:
            study = json.load(reply)
        assert study["name"] == "small"
        assert len(study["trials"]) == 3
        process.send_signal(how)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert ("DELETE" in said) == exposed
    assert ("no password" in said) == exposed


def test_a_port_or_an_address_that_cannot_be_had_is_bad_input(shown: Shown, tmp_path: Path) -> None:
    with serving("small", shown.storage, tmp_path, "127.0.0.1", 0) as (server, _):
        for host, port in (("127.0.0.1", server.server_port), ("192.0.2.1", 0)):
            with (
                pytest.raises(InputError, match=f"port {port} of {re.escape(host)} cannot be had"),
                serving("small", shown.storage, tmp_path, host, port),
            ):
                pytest.fail("it listens there")


def test_a_study_that_is_not_there_is_bad_input(shown: Shown, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="no study 'other'"),
        serving("other", shown.storage, tmp_path, "127.0.0.1", 0),
    ):
        pytest.fail("it is served")
