"""A public name means one thing in the package, and a module's name is its own."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tuner.cli.reference import verbs

PACKAGE = Path(__file__).resolve().parents[1] / "tuner"

PROGRAMS = [PACKAGE / "serving" / name for name in ("server", "open_inference")]
"""Servers in images are programs of their own: the image holds them without the package."""

NAMES: Mapping[str, str] = {
    "main": "the entry point of a process",
}
"""Functions and classes that several modules define, each with the reason."""

MODULES: Mapping[str, str] = {
    "__init__": "what makes a directory a package",
}
"""Names that several modules have, each with the reason."""

VERBS = {word for verb in verbs() for word in verb.name.split()[1:]}
"""What a user types: the file of a verb in cli, and its function there, bear the same name."""


def modules() -> Iterator[Path]:
    every = sorted(PACKAGE.rglob("*.py"))
    return (path for path in every if not any(map(path.is_relative_to, PROGRAMS)))


def public_definitions(module: Path) -> Iterator[str]:
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node.name


def surplus(places: Mapping[str, list[str]], allowed: Mapping[str, str]) -> dict[str, list[str]]:
    """Names in several places that are not allowed, and allowed ones that are in one place only."""
    return {
        name: places.get(name, [])
        for name in {*places, *allowed}
        if (len(places.get(name, [])) > 1) != (name in allowed)
    }


def test_no_public_function_or_class_is_defined_in_two_modules() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        for name in dict.fromkeys(public_definitions(module)):
            if name in VERBS and module.parent.name == "cli":
                continue
            places[name].append(str(module.relative_to(PACKAGE)))
    assert surplus(places, NAMES) == {}


def test_no_module_name_occurs_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        if module.stem in VERBS and module.parent.name == "cli":
            continue
        places[module.stem].append(str(module.relative_to(PACKAGE)))
    assert surplus(places, MODULES) == {}
