"""An address that is none is refused in a line, wherever one is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Tune
from tuner.addresses import address_parts

NONE = ("127.0.[]:8786", "[x]:8786", "[]:8786", "host:port", "host:99999")
ASKING = {
    "run --on": ("run", "--study", "mnist", "--on", "dask://"),
    "check --senders-on": ("check", "--study=mnist", "--backend=swarm", "--senders-on", "dask://"),
    "worker --dask": ("worker", "--dask", "tcp://"),
    "export --scheduler": (
        *("export", "--study", "mnist", "--format", "dask-workers", "--output", "d"),
        *("--scheduler", "tcp://"),
    ),
    "measure --url": ("measure", "--requests", "r.jsonl", "--url", "http://"),
    "run --storage": ("run", "--study=mnist", "--backend=simulated", "--storage", "postgresql://"),
}


@pytest.mark.parametrize("address", NONE)
def test_it_has_no_parts(address: str) -> None:
    assert address_parts(f"http://{address}") is None


@pytest.mark.parametrize("address", NONE)
@pytest.mark.parametrize("asking", ASKING.values(), ids=ASKING)
def test_an_option_refuses_it(tune: Tune, asking: tuple[str, ...], address: str) -> None:
    Path("r.jsonl").write_text('{"instances": [1]}\n')
    *words, scheme = asking
    _refused(tune, *words, scheme + address)


@pytest.mark.parametrize("scheme", ["tcp", "ssh", "https"])
@pytest.mark.parametrize("address", NONE)
def test_it_is_no_engine(
    tune: Tune, monkeypatch: pytest.MonkeyPatch, scheme: str, address: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"{scheme}://{address}")
    _refused(tune, "image", "build")


def test_a_newline_before_it_is_shown(tune: Tune) -> None:
    ended = tune("run", "--study", "mnist", "--on", "\nhere")
    assert ended.err.startswith("tune: \\nhere is no address of a Dask scheduler\n")


def _refused(tune: Tune, *arguments: str) -> None:
    ended = tune(*arguments)
    assert ended.code == 2
    assert len(ended.err.strip().splitlines()) == 2, ended.err
    assert "mend:" in ended.err
