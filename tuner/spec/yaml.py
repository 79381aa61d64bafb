"""YAML to plain data with the line of every key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from tuner.errors import InputError
from tuner.spec.problems import (
    KeyPath,
    Problem,
    dotted,
)
from tuner.spec.yaml_loader import (
    DEEPEST,
    MOST_CHARACTERS,
    MOST_ENTRIES,
    TOO_LARGE,
    BoundedLoader,
    UnfitValueError,
)

MOST_PROBLEMS = 10


@dataclass(frozen=True)
class YamlFile:
    """The data of one file, made of dict, list and scalars only.

    `lines` maps each key path to the line, from 1, where that key or list item stands.
    """

    path: Path
    data: Any
    lines: Mapping[KeyPath, int]

    def line(self, key: KeyPath) -> int:
        """The line of `key`, or of the nearest part around it that the file has."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def refuse(self, problems: Iterable[Problem]) -> NoReturn:
        """Raise one InputError with a line for each problem, in the order of the file."""
        ordered = sorted({(p.line or self.line(p.key), dotted(p.key), p.text) for p in problems})
        where = _readable(self.path)
        lines = [
            f"{where}:{line}: {key}: {text}" if key else f"{where}:{line}: {text}"
            for line, key, text in ordered[:MOST_PROBLEMS]
        ]
        if len(ordered) > MOST_PROBLEMS:
            lines.append(f"... and {len(ordered) - MOST_PROBLEMS} more")
        raise InputError(
            "\n".join(lines), "See docs/reference/study.md, which describes every key."
        )


def read_yaml(path: Path) -> YamlFile:
    """Read one file.

    Raises InputError where it cannot be read, is not YAML or has a key twice.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)  # a device may have no end
    except OSError as error:
        raise InputError(
            f"{_readable(path)}: cannot be read: {error.strerror}",
            "Name a file that exists and that you may read.",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{_readable(path)}: expected UTF-8 text ({error.reason})",
            "Save the file as UTF-8, or name the right one.",
        ) from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> YamlFile:
    """As `read_yaml`, from a text. Messages name `path`."""
    try:
        loader = BoundedLoader(text)
        walk = _Walk(path, loader)
        node = loader.get_single_node()
        data = None if node is None else walk.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if error.problem == TOO_LARGE:
            raise _too_large(path, line) from error
        raise InputError(
            f"{_readable(path)}:{line}: not valid YAML: {error.problem}",
            "Correct the YAML there, or above. A text with special characters needs quotes.",
        ) from error
    file = YamlFile(path, data, walk.lines)
    if walk.problems:
        file.refuse(walk.problems)
    return file


@dataclass
class _Walk:
    """Turns YAML nodes into data and notes the lines of all keys and the repeated keys."""

    path: Path
    loader: BoundedLoader
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def value(self, node: yaml.Node, key: KeyPath) -> Any:  # noqa: ANN401 - YAML holds any data
        line = node.start_mark.line + 1
        self.lines.setdefault(key, line)
        if len(self.lines) > MOST_ENTRIES or len(key) > DEEPEST:
            raise _too_large(self.path, line)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*key, i)) for i, item in enumerate(node.value)]
        return self.scalar(node, key)

    def mapping(self, node: yaml.MappingNode, key: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            name = name_node.value
            # `yes:` and `1:` are read as text too, since all keys of a study are text.
            if not isinstance(name_node, yaml.ScalarNode) or name_node.tag.endswith(":merge"):
                self.problems.append(Problem(key, "expected a plain word as key", line))
                continue
            here = (*key, name)
            if name in data:
                first = self.lines[here]
                text = f"the key is there twice, first in line {first}"
                self.problems.append(Problem(here, text, line))
                continue
            self.lines[here] = line
            data[name] = self.value(value_node, here)
        return data

    def scalar(self, node: yaml.Node, key: KeyPath) -> Any:  # noqa: ANN401 - YAML holds any data
        try:
            return self.loader.construct_object(node)
        except UnfitValueError as error:
            line = node.start_mark.line + 1
            self.problems.append(Problem(key, f"expected a plain value ({error.problem})", line))
            return None


def _too_large(path: Path, line: int) -> InputError:
    return InputError(
        f"{_readable(path)}:{line}: {TOO_LARGE}",
        f"A file has at most {MOST_ENTRIES} values in {DEEPEST} levels, and {MOST_CHARACTERS}"
        " characters.",
    )


def _readable(path: Path) -> str:
    """The path, relative to the working directory if it lies inside."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
