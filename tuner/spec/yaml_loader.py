"""A YAML loader for texts of users: bounded, and with no errors but YAML's own.

PyYAML's SafeLoader makes no objects, but it raises whatever an unfit text makes Python raise
(`KeyError` for `!!bool 'x'`), works without limits, and reads `010` as 8 and `no` as false.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError
from yaml.scanner import ScannerError

# A study file has some hundred values.
MOST_CHARACTERS = 1_000_000
MOST_ENTRIES = 20_000
DEEPEST = 40
LONGEST_NUMBER = 100
"""Characters."""

TOO_LARGE = "too large or nested too deeply"

_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_PLAIN_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
"""The whole numbers that YAML 1.1 and YAML 1.2 read alike."""
_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks in YAML 1.1 only: what follows a comment is part of it in YAML 1.2."""
_ILLEGIBLE = re.compile("[\0\ud800-\udfff]")
"""What no file name, no environment and no UTF-8 text can hold."""


class UnfitValueError(ConstructorError):
    """A single value that has no meaning. `problem` says why."""


class BoundedLoader(yaml.SafeLoader):
    """SafeLoader with limits, for numbers that every reader of YAML reads alike.

    It raises yaml.YAMLError only: an UnfitValueError where one value is at fault, otherwise an
    error with the mark where reading stopped.
    """

    def __init__(self, text: str) -> None:
        self._entries = self._depth = 0
        if len(text) > MOST_CHARACTERS:
            raise ScannerError(None, None, TOO_LARGE, _mark(text, MOST_CHARACTERS))
        if found := _BREAKS.search(text):
            problem = f"YAML 1.1 and YAML 1.2 read the character {found[0]!a} differently"
            raise ScannerError(None, None, problem, _mark(text, found.start()))
        try:
            super().__init__(text)
        except ReaderError as error:
            problem = f"the character {chr(error.character)!a} is not allowed"
            raise ScannerError(None, None, problem, _mark(text, error.position)) from error

    def fetch_flow_collection_start(self, token: Any) -> None:  # noqa: ANN401
        """Stop before nesting costs time: each level makes every later token slower to scan."""
        if self.flow_level > DEEPEST:
            raise ScannerError(None, None, TOO_LARGE, self.get_mark())
        super().fetch_flow_collection_start(token)

    def scan_flow_scalar_non_spaces(self, double: bool, start_mark: yaml.Mark) -> Any:  # noqa: ANN401
        try:
            return super().scan_flow_scalar_non_spaces(double, start_mark)
        except (ValueError, OverflowError) as error:
            problem = "found an escape sequence for a character that does not exist"
            raise ScannerError(None, None, problem, self.get_mark()) from error

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401
        self._entries += 1
        self._depth += 1
        if self._entries > MOST_ENTRIES or self._depth > DEEPEST:
            raise ComposerError(None, None, TOO_LARGE, self.get_mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_scalar_node(self, anchor: Any) -> Any:  # noqa: ANN401
        node = super().compose_scalar_node(anchor)
        if _ILLEGIBLE.search(node.value):
            problem = "found a character that no text may have (NUL or half a surrogate pair)"
            raise ComposerError(None, None, problem, node.start_mark)
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: ANN401
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # noqa: BLE001 -- what Python says about the text of an unfit value
            kind = node.tag.rpartition(":")[2]
            _refuse(node, str(error) if type(error) is ValueError else f"not of the kind {kind}")


def _mark(text: str, index: int) -> yaml.Mark:
    return yaml.Mark("", index, text.count("\n", 0, index), 0, "", 0)


def _refuse(node: yaml.Node, reason: str) -> NoReturn:
    raise UnfitValueError(None, None, reason, node.start_mark)


def _number(construct: Callable[[Any, Any], Any]) -> Callable[[BoundedLoader, Any], Any]:
    """The constructor of a number, for those that are short and that all readers read alike."""

    def construct_number(loader: BoundedLoader, node: Any) -> Any:  # noqa: ANN401
        text = loader.construct_scalar(node)
        if len(text) > LONGEST_NUMBER:
            _refuse(node, f"a number of more than {LONGEST_NUMBER} characters")
        alike = (
            not {":", "_"}.intersection(text) if node.tag == _FLOAT else _PLAIN_INT.fullmatch(text)
        )
        if text and not alike:
            _refuse(
                node,
                f"YAML 1.1 and YAML 1.2 read {text} differently; write a decimal number without"
                " leading zeros, _ and :, or a text in quotes",
            )
        return construct(loader, node)

    return construct_number


def _truth(loader: BoundedLoader, node: Any) -> Any:  # noqa: ANN401
    """The constructor of `true` and `false`, which are the only words for that in YAML 1.2."""
    if node.value.lower() in {"yes", "no", "on", "off"}:
        text = f"YAML 1.1 and YAML 1.2 read {node.value} differently; write true or false, or a"
        _refuse(node, f"{text} text in quotes")
    return loader.construct_yaml_bool(node)


def _date(loader: BoundedLoader, node: Any) -> NoReturn:  # noqa: ANN401
    loader.construct_yaml_timestamp(node)  # raises where it is no date
    _refuse(node, f"{node.value} is a date; write a text in quotes")


BoundedLoader.add_constructor(_INT, _number(yaml.SafeLoader.construct_yaml_int))
BoundedLoader.add_constructor(_FLOAT, _number(yaml.SafeLoader.construct_yaml_float))
BoundedLoader.add_constructor("tag:yaml.org,2002:bool", _truth)
BoundedLoader.add_constructor("tag:yaml.org,2002:timestamp", _date)
# In YAML 1.2 `1e-3` and `-.5` are numbers, and so are `0o17` and `08`. In YAML 1.1 they are texts.
BoundedLoader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"[-+]?([0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+|\.[0-9]+([eE][-+]?[0-9]+)?)\Z"),
    list("-+.0123456789"),
)
BoundedLoader.add_implicit_resolver(_INT, re.compile(r"(0o[0-7]+|[-+]?0[0-9]+)\Z"), list("-+0"))


class _TextLoader(BoundedLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 -- PyYAML's declaration

    def flatten_mapping(self, node: Any) -> None:  # noqa: ANN401
        """Merge nothing: merged keys that are merged again take memory without an end."""


def text_documents(text: str) -> list[Any]:
    """The documents of a file that is not tune's own. Each value in them is a text as written.

    Raises yaml.YAMLError, and nothing else.
    """
    return list(yaml.load_all(text, Loader=_TextLoader))
