"""The storage's password is in nothing that a command prints or writes."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.command import Ended, Tune
from tests.study.postgresql import Server, running, why_no_server
from tests.study.small import EXPECTED, FEASIBLE, specification
from tuner import Study
from tuner.dashboard.http_server import dashboard
from tuner.spec.load import results_directory
from tuner.study.storage import open_storage

CORE = "Zq7Vb31Kz"
"""The middle of the password, which every encoding of it leaves as it is."""
PASSWORD = quote(f"a/b@c:{CORE}?#%ä", safe="")

ONLY = ("--study", "small", "--backend", "simulated")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if reason := why_no_server():
        pytest.skip(reason)
    with running() as started:
        yield started


def said(ended: Ended) -> str:
    assert CORE not in ended.out + ended.err, ended.out + ended.err
    return ended.out + ended.err


def test_a_study_on_a_database_server_says_and_writes_no_password(
    tune: Tune, server: Server, tmp_path: Path
) -> None:
    url = server.url.replace("postgres@", f"postgres:{PASSWORD}@")
    assert CORE in url
    spec = specification(FEASIBLE, EXPECTED)
    on = (*ONLY, "--storage", url)
    for arguments in (
        ("check", *on),
        ("run", *on),
        ("run", *on, "--trials", "1"),
        ("plan", *on),
        ("show", *on),
        ("show", *on, "--json"),
        ("show", *on, "0"),
        ("list", "--storage", url, "--json"),
        ("report", *on, "-o", "report.html", "--json"),
        ("explain", *on),
        ("export", *on, "--pick", "knee", "-o", "compose.yaml", "--model-path", str(tmp_path)),
        *(
            ("export", *on, "--pick", "knee", "--format", form, "-o", f"export.{form}")
            for form in ("json", "yaml", "csv", "env", "kubernetes", "helm", "study")
        ),
        ("compare", "small", "small", "--backend", "simulated", "--storage", url),
        ("confirm", *on, "--top", "1", "--reps", "1"),
        ("run", *ONLY, "--warm-start", f"{url}#small"),
        ("show", *ONLY),
        ("report", *ONLY, "-o", "warm.html"),
        ("compare", url, "small"),
    ):
        text = said(tune(*arguments))
        if arguments[0] == "run" and "--storage" in arguments:
            # The commands that it prints name the storage all the same.
            assert f"postgresql://postgres@/postgres?host={server.directory}" in text
    study = Study.open("small", storage=url, backend="simulated")
    assert CORE not in repr(study)
    with dashboard(
        "small", open_storage(url, create=False), results_directory(spec), "127.0.0.1", 0
    ) as (
        web,
        address,
    ):
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        try:
            base = address.partition("/dashboard")[0]
            for path in ("/api/studies", "/api/meta", f"/api/studies/{address.rpartition('/')[2]}"):
                with urllib.request.urlopen(base + path) as answer:
                    assert CORE.encode() not in answer.read()
        finally:
            web.shutdown()
            thread.join()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert [path for path in written if CORE.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{PASSWORD}@127.0.0.1:9/x",
        f"postgresql://u:{CORE}@127.0.0.1:port/x",
        f"postgresql://u:{CORE}/x@127.0.0.1:9/x",
        f"postgresql://u:a@{CORE}@127.0.0.1:9/x",
        f"postgresql://127.0.0.1:9/x?user=u&password={CORE}",
        f"postgresql:u:{CORE}@127.0.0.1",
        f"mysql://u:{PASSWORD}@127.0.0.1:9/x",
        f"nosuchdatabase://u:{PASSWORD}@h/x",
        f"redis://:{CORE}@127.0.0.1:9/0",
    ],
)
@pytest.mark.parametrize("verb", ["run", "show"])
def test_a_storage_that_cannot_be_opened_is_named_without_its_password(
    tune: Tune, url: str, verb: str
) -> None:
    specification()
    ended = tune(verb, *ONLY, "--storage", url)
    assert ended.code == 2
    assert "Traceback" not in said(ended)
