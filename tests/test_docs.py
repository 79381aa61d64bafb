"""The documentation as a site, the index of decisions, and what CONTRIBUTING names."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from scripts import decisions
from scripts.docs_pages import relinked

ROOT = Path(__file__).parent.parent
BIN = str(Path(sys.executable).parent)

OFFLINE = """
import socket, sys

def refuse(*_):
    sys.exit("something was fetched from elsewhere")

socket.socket.connect = socket.getaddrinfo = refuse
from mkdocs.__main__ import cli
cli()
"""


class Links(HTMLParser):
    """What a page leads to, what it loads, and the anchors in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.leads_to: set[str] = set()
        self.loads: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if "src" in given or tag == "link":
            self.loads.add(given.get("src") or given["href"])
        elif tag == "a" and "href" in given:
            self.leads_to.add(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a network; any warning of MkDocs is an error."""
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-c", OFFLINE, "build", "--strict", "--site-dir", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {page: Links(page) for page in site.rglob("*.html") if page.name != "404.html"}


def test_every_page_is_in_the_site(site: Path) -> None:
    written = {page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")}
    expected = {page.with_suffix(".html") for page in written if page.name != "README.md"}
    others = {"contributing", "changelog", "benchmarks", "adr/index"}
    expected |= {Path(f"{name}.html") for name in others}
    made = {page.relative_to(site) for page in site.rglob("*.html")}
    assert made - {Path("404.html")} == expected


def test_links_in_the_site_lead_somewhere(pages: dict[Path, Links]) -> None:
    broken = []
    for page, links in pages.items():
        for link in links.leads_to | links.loads:
            address = urlsplit(link)
            if address.scheme:
                continue
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            there = target.is_file() and (
                target.suffix != ".html" or unquote(address.fragment) in pages[target].anchors
            )
            if not there:
                broken.append((page.name, link))
    assert sum(len(links.leads_to) for links in pages.values()) > 500
    assert broken == []


def test_the_site_loads_nothing_from_elsewhere(site: Path, pages: dict[Path, Links]) -> None:
    loaded = {link for links in pages.values() for link in links.loads}
    assert any(link.endswith(".js") for link in loaded)
    assert [link for link in loaded if urlsplit(link).scheme or urlsplit(link).netloc] == []
    sheets = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert sheets
    assert not any(re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", text) for text in sheets)


@pytest.mark.parametrize(
    ("page", "written", "in_the_site"),
    [
        ("contributing.md", "[a](docs/adr/) [b](LICENSE)", "[a](adr/README.md) b"),
        ("contributing.md", "![c](docs/images/report.png)", "![c](images/report.png)"),
        ("index.md", "[d](adr/) [e](adr/#f)", "[d](adr/README.md) [e](adr/README.md#f)"),
        ("how-to/ci.md", "[d](../../benchmarks/README.md#e)", "[d](../benchmarks.md#e)"),
        ("how-to/ci.md", "[f](verify-an-export.md) [g](#h)", "[f](verify-an-export.md) [g](#h)"),
        ("benchmarks.md", "[i](../docs/adr/0019-nothing.md)", "[i](adr/0019-nothing.md)"),
        ("adr/README.md", "[j](nothing-here.py)", "[j](nothing-here.py)"),
    ],
)
def test_a_link_of_the_repository_becomes_one_of_the_site(
    page: str, written: str, in_the_site: str
) -> None:
    assert relinked(written, page) == in_the_site


def test_the_index_of_decisions_is_current() -> None:
    index = decisions.INDEX.read_text(encoding="utf-8")
    assert index == decisions.renewed(index), "run `.venv/bin/python scripts/decisions.py`"
    assert index.count("\n| ") - 2 == len([*decisions.DIRECTORY.glob("[0-9]*.md")]) >= 24


def test_what_contributing_names_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = re.findall(r"`([^`\n]+)`", text)
    paths = {word for word in code if re.fullmatch(r"[\w./-]+(?:/[\w.-]*|\.(?:py|md|json))", word)}
    assert len(paths) >= 25
    paths -= {"build/site"}  # which `make docs` writes
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    modules = {word.split()[-1] for word in code if " -m " in word}
    assert modules
    assert not {name for name in modules if importlib.util.find_spec(name) is None}
    targets = {word.split()[1] for word in code if word.startswith("make ")}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert {name for name in targets if f"\n{name}:" not in makefile} == set()


def test_hooks_of_commits_fetch_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (repository,) = config["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")
        assert shutil.which(hook["entry"].split()[0].removeprefix(".venv/bin/"), path=BIN)


def test_hosted_ci_runs_all_that_ci_is() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    commands = {
        step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step
    }
    assert any("bash .ci/run" in command for command in commands)
    assert "make docs" in commands
