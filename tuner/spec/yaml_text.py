"""Writes YAML that readers of YAML 1.1 and 1.2 read alike (PyYAML, Go and others)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

_BREAKS = re.compile("[\x85\u2028\u2029]")
"""Line breaks in YAML 1.1, which folds them, but not in YAML 1.2."""

_NOT_TEXT = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?|0o[0-7]+|[yYnN]|<<|=")
"""Texts that some readers, but not PyYAML, take for a number or a truth value without quotes."""


def yaml_text(data: Any) -> str:  # noqa: ANN401 -- any plain data
    """`data` as one document: keys in their order, no aliases, long lines unbroken."""
    return yaml_texts([data])


def yaml_texts(documents: Iterable[Any]) -> str:
    """Several such documents, separated by `---`."""
    text: str = yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True
    )
    return text


class _Dumper(yaml.SafeDumper):
    """SafeDumper without aliases, that quotes what readers do not agree on."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 -- PyYAML's own signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _BREAKS.search(text) else "'" if _NOT_TEXT.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)
