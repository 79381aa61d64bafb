"""`tune measure --url`: a row for each number of connections, and what does not go with it."""

import json
from pathlib import Path

import pytest

from tests.cli.command import Tune
from tests.deploy.endpoints import endpoint

QUICK = ["--set", "max_seconds=0.4", "min_seconds=0.3", "min_requests=20", "warmup_max_seconds=0.2"]


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    path = tmp_path / "requests.csv"
    path.write_text("x\n1\n2\n")
    return path


def test_each_number_of_connections_is_a_row(tune: Tune, sent: Path) -> None:
    template = '{"instances": ["{x}"]}'
    with endpoint() as server:
        asked = [*("measure", "--url", server.url, "--requests", str(sent)), "--concurrency", "1,4"]
        ended = tune(*asked, "--template", template, *QUICK)
        assert ended.code == 0, ended.err
        assert "Each level of load" in ended.out
        assert "\n          1  " in ended.out
        assert "\n          4  " in ended.out
        document = json.loads(tune(*asked, "--template", template, "--json", *QUICK).out)
    assert [level["concurrency"] for level in document["levels"]] == [1, 4]
    assert document["levels"][0]["measurement"]["metrics"]["art_ms"]["value"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--url", "http://127.0.0.1:1/"], "--url needs the requests to send"),
        (
            ["--url", "http://127.0.0.1:1/", "--model", "mnist", "--requests", "x"],
            "neither --model",
        ),
        (["--model", "mnist", "--concurrency", "1"], "--concurrency is for --url"),
        (["--url", "http://192.0.2.1/", "--requests", "SENT"], "not this machine"),
        (
            ["--url", "http://127.0.0.1:1/", "--requests", "SENT", "--concurrency", "a"],
            "--concurrency a: not numbers of connections",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    options: list[str], message: str, tune: Tune, sent: Path
) -> None:
    sent.with_name("requests.jsonl").write_text('{"instances": [1]}\n')
    words = [word.replace("SENT", str(sent.with_name("requests.jsonl"))) for word in options]
    ended = tune("measure", *words)
    assert ended.code == 2
    assert message in ended.err
