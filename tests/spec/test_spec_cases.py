"""Every file in tests/cases: good ones load, bad ones fail for the reason that they state.

A file whose name begins with `space_` is a search space, with `model_` a model, else a study.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # its stubs are a package of their own
import pytest

from tuner.errors import InputError
from tuner.spec import yaml
from tuner.spec.host import Host
from tuner.spec.load import load_model, load_search_space, load_study
from tuner.spec.schema import schema

CASES = Path(__file__).parents[1] / "cases"
SHIPPED = Path(__file__).parents[2]
HOST = Host(cpus=2, memory_mib=8192)


def kind_of(path: Path) -> str:
    kinds = {"space": "search_space", "model": "model"}
    return kinds.get(path.stem.split("_")[0], "study")


def load(path: Path, root: Path, host: Host = HOST) -> object:
    """Load a case as a user would: from its place below `root`."""
    places = {
        "study": "studies/case/study.yaml",
        "search_space": "search_spaces/case.yaml",
        "model": "models/case/model.yaml",
    }
    kind = kind_of(path)
    place = root / places[kind]
    place.parent.mkdir(parents=True)
    shutil.copy(path, place)
    if kind == "study":
        return load_study("case", host, root)
    return (
        load_search_space("case", host, root)
        if kind == "search_space"
        else load_model("case", root)
    )


def cases(folder: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted((CASES / folder).glob("*.yaml"))]


@pytest.mark.parametrize("path", cases("good"))
@pytest.mark.parametrize("cpus", [2, 64])
def test_good_case_loads(
    path: Path, cpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load(path, tmp_path, Host(cpus=cpus, memory_mib=4096 * cpus))


@pytest.mark.parametrize("path", cases("bad"))
def test_bad_case_fails_for_its_reason(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = re.findall(r"(?m)^# expect: (.*)$", path.read_text(encoding="utf-8"))
    assert expected, "the case states no reason"
    with pytest.raises(InputError) as caught:
        load(path, tmp_path)
    lines = caught.value.message.splitlines()
    assert [re.sub(r"^\S+\.yaml(?=:\d)", "", line) for line in lines] == expected
    file = {"study": "studies/case/study", "search_space": "search_spaces/case"}
    named = file.get(kind_of(path), "models/case/model") + ".yaml:"
    assert all(line.startswith((named, "... and")) for line in lines)


SHIPPED_FILES = [
    *SHIPPED.glob("studies/*/study.yaml"),
    *SHIPPED.glob("search_spaces/*.yaml"),
    *SHIPPED.glob("models/*/model.yaml"),
]


@pytest.mark.parametrize(
    "path",
    [
        *cases("good"),
        *(pytest.param(path, id=str(path.relative_to(SHIPPED))) for path in SHIPPED_FILES),
    ],
)
def test_schema_for_editors_accepts(path: Path) -> None:
    kind = kind_of(path)
    if path in SHIPPED_FILES:
        kind = {"studies": "study", "search_spaces": "search_space"}.get(
            path.relative_to(SHIPPED).parts[0], "model"
        )
    jsonschema.validate(yaml.read_yaml(path).data, json.loads(schema(kind)))


@pytest.mark.parametrize(
    "name", ["unknown_keys", "missing_keys", "wrong_kinds", "objective_metric", "sampler"]
)
def test_schema_for_editors_refuses(name: str) -> None:
    data = yaml.read_yaml(CASES / "bad" / f"{name}.yaml").data
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, json.loads(schema("study")))


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    levels = [f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 9)}]" for i in range(1, 9)]
    with pytest.raises(InputError, match="too large"):
        yaml.parse_yaml("\n".join(["k0: &k0 [1]", *levels]), tmp_path / "bomb.yaml")


@pytest.mark.parametrize("text", ["a: &a [*a]", "[" * 1000])
def test_endless_nesting_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nested too deeply"):
        yaml.parse_yaml(text, tmp_path / "deep.yaml")


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        yaml.read_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(InputError, match="UTF-8"):
        yaml.read_yaml(tmp_path / "latin.yaml")


def test_lines_of_keys_and_items(tmp_path: Path) -> None:
    file = yaml.parse_yaml("a: 1\nb:\n  - x\n  - c: 1e-3\n", tmp_path / "f.yaml")
    assert file.data == {"a": 1, "b": ["x", {"c": 0.001}]}
    assert [file.line(key) for key in [(), ("b",), ("b", 0), ("b", 1, "c"), ("b", 1, "z")]] == [
        1,
        2,
        3,
        4,
        4,
    ]
