"""Recorded requests: each source gives the same, and each mistake in one has its place."""

import json
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tuner.errors import InputError
from tuner.serving import traffic
from tuner.serving.traffic import read_traffic, times_of
from tuner.serving.traffic_template import Template

TEMPLATE = '{"request": {"instances": [["{x}"]]}, "at": "{sent}"}'
BODIES = [{"instances": [[2.5]]}, {"instances": [[7]]}]


def har(*entries: object) -> str:
    return json.dumps({"log": {"entries": entries}})


def entry(body: object, at: str | None = None, path: str = "/v1/models/m:predict") -> object:
    posted = {"mimeType": "application/json", "text": json.dumps(body)}
    request = {"method": "POST", "url": f"http://h{path}", "postData": posted}
    return {"request": request} | ({} if at is None else {"startedDateTime": at})


def written(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text)
    return path


def lines(directory: Path) -> Path:
    pairs = [{"request": BODIES[1], "at": 100.5}, {"request": BODIES[0], "at": 99}]
    return written(directory, "t.jsonl", "\n\n".join(map(json.dumps, pairs)))


def table(directory: Path) -> Path:
    return written(directory, "t.csv", "sent,x,name\r\n99,2.5,a\n100.5,7,b\n")


def columns(directory: Path) -> Path:
    path = directory / "t.parquet"
    parquet.write_table(pa.table({"x": [2.5, 7.0], "sent": [99.0, 100.5], "other": ["", ""]}), path)
    return path


def archive(directory: Path) -> Path:
    later, first = "2026-01-31T12:00:01.5Z", "2026-01-31T13:00:00+01:00"
    page = {"request": {"method": "GET", "url": "http://h/"}}
    text = har(page, entry(BODIES[1], later), entry(BODIES[0], first))
    return written(directory, "t.har", text)


@pytest.mark.parametrize("source", [lines, table, columns, archive])
def test_every_source_gives_bodies_and_times_in_order(
    source: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = source(tmp_path)
    requests = read_traffic(path, TEMPLATE if source in {table, columns} else None)
    assert [json.loads(request.body) for request in requests] == BODIES
    assert times_of(requests) == (0.0, 1.5)


def test_each_file_of_a_directory_is_a_body(tmp_path: Path) -> None:
    for name, body in (("b.json", b'{"x":1}'), ("a.png", b"\x89PNG"), (".hidden", b"no")):
        (tmp_path / name).write_bytes(body)
    requests = read_traffic(tmp_path)
    assert [request.body for request in requests] == [b"\x89PNG", b'{"x":1}']
    assert [request.content_type for request in requests] == ["image/png", "application/json"]
    assert times_of(requests) == ()
    (tmp_path / "c.json").write_bytes(b"{")
    with pytest.raises(InputError, match=r"c\.json: not JSON"):
        read_traffic(tmp_path)
    (tmp_path / "c.json").unlink()
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match="sub is no file"):
        read_traffic(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.jsonl", "", "there is no request in it"),
        ("t.jsonl", '{"request": 1, "at": 1}\n{"request": 2}', "line 2: there is no time, and"),
        ("t.jsonl", '{"request": 1, "at": "noon"}', "line 1: 'noon' is no time"),
        ("t.jsonl", '{"request": 1, "at": true}', "line 1: 'True' is no time"),
        ("t.jsonl", '{"request": 1}\nnot JSON', "line 2: not JSON"),
        ("t.har", "{}", r"there is no list log\.entries"),
        ("t.har", "[", "not JSON"),
        ("t.har", har(entry(1), entry(2, path="/b")), r"several paths: /v1/models/m:predict \(1\)"),
        ("t.har", har({"request": {"method": "POST"}}), r"entry 0: it has no request\.postData"),
        ("t.har", har(entry(1, "noon")), "entry 0: 'noon' is no time"),
        ("t.har", har({"request": {"method": "GET"}}), "there is no request in it"),
        ("t.csv", "x\n1\n", r"'sent', which is not there; it has 'x'"),
        ("t.csv", "x,sent\n1\n", "line 2: 1 cells in a table of 2 columns"),
        ("t.csv", "x,sent\n1,2\n1,noon\n", "line 3: 'noon' is no time"),
        ("t.csv", "x,x,sent\n1,2,3\n", "two columns 'x'"),
        ("t.csv", "x,sent\n1e999,2\n", "line 2, column x: inf is no number of JSON"),
        ("t.csv", "x,sent\n\xff,2\n", "t.csv is not UTF-8: 'utf-8' codec"),
        ("t.csv", 'x,sent\n"' + "1" * 150_000 + '",2\n', "line 2: field larger than"),
        ("t.parquet", "PAR1", "t.parquet, after row 0"),
    ],
)
def test_a_mistake_is_refused_with_its_place(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message) as refused:
        read_traffic(path, TEMPLATE if path.suffix in {".csv", ".parquet"} else None)
    assert refused.value.mend


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ('{"a": "{x"', "is not JSON"),
        ('{"a": 1}', "names no column"),
        ("[" * 600 + '"{x}"' + "]" * 600, "nested too deeply|not JSON"),
        (None, "is a table, and nothing says"),
    ],
)
def test_a_template_is_json_that_names_columns(
    template: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read_traffic(table(tmp_path), template)


def test_what_has_no_columns_takes_no_template(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="for the columns of a table"):
        read_traffic(lines(tmp_path), TEMPLATE)


def test_reading_stops_at_what_a_burst_can_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "MOST_REQUESTS", 2)
    path = written(tmp_path, "t.jsonl", "1\n2\n3\nnever read")
    with pytest.raises(InputError, match="more than 2 requests"):
        read_traffic(path)


def test_an_archive_is_narrowed_to_a_path(tmp_path: Path) -> None:
    path = written(tmp_path, "t.har", har(entry(1, path="/a"), entry(2, path="/b")))
    assert [request.body for request in read_traffic(path, to="/b")] == [b"2"]
    with pytest.raises(InputError, match="no POST request goes to /c"):
        read_traffic(path, to="/c")


names = st.text(string.ascii_lowercase + " _", min_size=1, max_size=8)
cells = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.dictionaries(names, cells, min_size=1, max_size=4))
def test_a_whole_text_becomes_the_cell_whatever_it_is(row: dict[str, Any]) -> None:
    template = Template.parse(json.dumps({f"key {name}": [f"{{{name}}}"] for name in row}))
    assert set(template.columns) == set(row)
    filled = template.filled(row, "here")
    assert filled == {f"key {name}": [cell] for name, cell in row.items()}


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_a_cell_inside_a_text_is_text_and_never_a_template(a: str, cell: str, b: str) -> None:
    def quoted(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    template = Template.parse(json.dumps([f"<{quoted(a)}{{x}}{quoted(b)}>", "{x!s}"]))
    assert template.filled({"x": cell}, "here") == [f"<{a}{cell}{b}>", cell]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.randoms())
def test_times_count_from_the_first_whatever_the_order(
    times: list[float], draws: random.Random
) -> None:
    requests = [traffic.RecordedRequest(b"", "", at=at) for at in times]
    draws.shuffle(requests)
    found = times_of(traffic.in_order(tuple(requests)))
    assert found == tuple(at - min(times) for at in sorted(times))
