"""What the how-to pages tell people to write, loads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tuner.spec import yaml
from tuner.spec.host import Host
from tuner.spec.load import load_model, load_study

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted((CHECKOUT / "docs/how-to").glob("*.md"))
HOST = Host(cpus=4, memory_mib=8192)


def sections(page: Path) -> list[Any]:
    """What a section shows of a study and of its search space, together; one for each section."""
    found = []
    for section in re.split(r"(?m)^## ", page.read_text(encoding="utf-8")):
        shown: dict[str, Any] = {}
        for block in re.findall(r"(?s)```yaml\n(.*?)```", section):
            shown |= yaml.parse_yaml(block, page).data
        if shown:
            found.append(pytest.param(shown, id=section.partition("\n")[0]))
    return found


@pytest.mark.parametrize("shown", [shown for page in PAGES for shown in sections(page)])
def test_what_a_page_shows_loads(shown: dict[str, Any], tmp_path: Path) -> None:
    keys = {
        "endpoint",
        "load",
        "search",
        "serving",
        "objectives",
        "constraints",
        "budget",
        "prices",
    }
    if "http" in shown:
        path = tmp_path / "models" / "web" / "model.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(shown))
        assert load_model("web", tmp_path).http is not None
        return
    assert shown.keys() <= {"parameters", *keys}
    shipped = yaml.read_yaml(CHECKOUT / "search_spaces/mnist.yaml").data["parameters"]
    if "endpoint" in shown:
        shipped = {"concurrency": shipped["concurrency"]}
    study = {
        **({} if "endpoint" in shown else {"model": "mnist"}),
        "budget": {"trials": 5},
        **{key: shown[key] for key in keys & shown.keys()},
        "search_space": shipped | shown.get("parameters", {}),
    }
    # JSON is YAML.
    (tmp_path / "mine.yaml").write_text(json.dumps(study))
    space = load_study("mine.yaml", HOST, tmp_path).search_space
    assert {parameter.name for parameter in space} >= shown.get("parameters", {}).keys()
