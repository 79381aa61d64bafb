"""Habits of the repository: what is committed, what is locked, what is in the wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = (
    "requirements.txt",
    "tuner/serving/requirements.txt",
    "tuner/serving/open_inference/requirements.txt",
    "tuner/serving/mlserver/requirements.txt",
)
SHIPPED = ("studies", "search_spaces", "models")

LINKS = (
    "localhost",
    "127.0.0.1",
    "www.apache.org",  # the licence's own text
    "json-schema.org",  # the dialect of a generated schema
    "doi.org",  # sources of formulas
    "arxiv.org",
)
"""Hosts that a tracked file may link to. A place to download from is the user's own setting."""


def git(*arguments: str) -> list[str]:
    """Paths that `git` prints; a test that asks is skipped where this is no git checkout."""
    # A checkout may belong to another user than the one who tests it.
    command = ["git", "-c", "safe.directory=*", *arguments, "-z"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, or git is not installed")
    return [path for path in done.stdout.split("\0") if path]


def tracked_lines() -> Iterator[tuple[str, str]]:
    """(`path:line`, text) of each line of the tracked text files."""
    for path in git("ls-files"):
        if not (ROOT / path).is_file():
            continue  # removed, and not committed yet
        content = (ROOT / path).read_bytes()
        if b"\0" in content:
            continue  # binary
        for number, line in enumerate(content.decode().splitlines(), start=1):
            yield f"{path}:{number}", line


def test_tracked_files_name_no_path_of_a_machine() -> None:
    homes = r"(?<![\w.~-])/(?:home|Users|root)/\w"
    # A checkout directly under / may bear the name of a directory inside an image.
    here = re.escape(str(ROOT)) if len(ROOT.parts) > 2 else r"\Z."
    pattern = re.compile(f"{homes}|{here}")
    assert [where for where, line in tracked_lines() if pattern.search(line)] == []


def test_tracked_files_link_to_known_hosts_only() -> None:
    link = re.compile(r"\bhttps?://(?:[^/\s@]*@)?([A-Za-z0-9.-]+\.[a-z]{2,})\b")
    unknown = [
        (where, host)
        for where, line in tracked_lines()
        for host in link.findall(line)
        if host not in LINKS
    ]
    assert unknown == []


def test_what_git_ignores_is_not_committed() -> None:
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard") == []


def locked(path: str = "requirements.txt") -> dict[str, list[tuple[str, str]]]:
    """(version, rest of the entry) of each package in a lock, by its canonical name."""
    entries: dict[str, list[tuple[str, str]]] = defaultdict(list)
    lock = (ROOT / path).read_text().replace("\\\n", " ")
    for line in lock.splitlines():
        name, _, rest = line.partition("==")
        version, _, rest = rest.partition(" ")
        entries[canonicalize_name(name)].append((version, rest))
    return entries


def requirements() -> list[str]:
    """All that pyproject.toml names: dependencies, extras, groups and the build backend."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    return [requirement for some in lists for requirement in some]


@pytest.mark.parametrize("text", requirements())
def test_the_lock_satisfies_each_requirement(text: str) -> None:
    requirement = Requirement(text)
    versions = [version for version, _ in locked()[canonicalize_name(requirement.name)]]
    assert versions, "run scripts/lock"
    assert all(SpecifierSet(str(requirement.specifier)).contains(v) for v in versions)


@pytest.mark.parametrize("path", LOCKS)
def test_a_lock_has_hashes_and_no_address(path: str) -> None:
    unhashed = [
        name
        for name, entries in locked(path).items()
        for _, rest in entries
        if "--hash=sha256:" not in rest
    ]
    assert unhashed == []
    assert not re.search(r"://|--(extra-)?index-url|--find-links", (ROOT / path).read_text())


@pytest.mark.parametrize("path", LOCKS[1:3])
def test_an_image_has_the_versions_that_are_tested(path: str) -> None:
    tested = locked()
    for name, [(version, _)] in locked(path).items():
        assert version in [v for v, _ in tested[name]], f"{name}: run scripts/lock"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `python -m build` makes of this checkout, with the locked build backend."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="session")
def wheel(built: Path) -> zipfile.ZipFile:
    """The wheel, made from the source archive."""
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_source_archive_has_what_is_tracked(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {path for path in git("ls-files") if (ROOT / path).is_file()}
    assert not tracked - names
    assert not [name for name in names if name.startswith((".venv", ".tune")) or "/built/" in name]


def test_the_wheel_carries_what_is_shipped_and_nothing_built(wheel: zipfile.ZipFile) -> None:
    shipped = {
        name.removeprefix("tuner/shipped/")
        for name in wheel.namelist()
        if name.startswith("tuner/shipped/")
    }
    assert {
        "studies/mnist/study.yaml",
        "models/mnist/build.py",
        "models/mnist/model.yaml",
    } <= shipped
    assert shipped == {
        path
        for path in git("ls-files", "--cached", "--others", "--exclude-standard", *SHIPPED)
        if (ROOT / path).is_file()
    }


def test_the_wheel_has_all_of_the_package(wheel: zipfile.ZipFile) -> None:
    """Its templates, styles and scripts too."""
    tracked = git("ls-files", "--cached", "--others", "--exclude-standard", "tuner")
    missing = {path for path in tracked if (ROOT / path).is_file()} - {*wheel.namelist()}
    assert not missing


def test_the_wheel_says_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    assert "tuner/py.typed" in wheel.namelist()


def test_the_wheel_works_outside_a_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    (tmp_path / "empty").mkdir()
    code = "import tuner, tuner.cli; print(tuner.__file__); tuner.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "plan", "--study", "mnist"],
        cwd=tmp_path / "empty",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "site"))


@pytest.mark.parametrize("arguments", [["scripts/setup", "--help"], ["scripts/lock", "--help"]])
def test_scripts_say_what_they_do(arguments: list[str]) -> None:
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: ")


def test_setup_refuses_an_unknown_option() -> None:
    done = subprocess.run(
        ["scripts/setup", "--engin"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "unknown option --engin" in done.stderr


def test_links_between_pages_lead_somewhere() -> None:
    pages = [path for path in git("ls-files", "*.md") if (ROOT / path).is_file()]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", (ROOT / page).read_text())
        if "://" not in target
    ]
    assert len(links) > 50
    assert [link for link in links if not ((ROOT / link[0]).parent / link[1]).exists()] == []
