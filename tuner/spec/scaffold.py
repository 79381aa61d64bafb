"""A new study with comments, made from a shipped one."""

from __future__ import annotations

import re
from pathlib import Path

from tuner.errors import InputError
from tuner.spec import study_files
from tuner.spec.load import load_model

TEMPLATE = "mnist"


def scaffold(name: str, root: Path | None = None, model: str = TEMPLATE) -> list[Path]:
    """Write `studies/<name>/study.yaml` and `search_spaces/<name>.yaml` below `root`.

    The study serves `model` and is valid as written. Raises InputError, and writes nothing, where
    one of the files exists or there is no such model.
    """
    root = root or Path.cwd()
    load_model(model, root)
    study = _template("study").read_text(encoding="utf-8")
    space = _template("search space").read_text(encoding="utf-8")
    for key, value in (
        ("description", f"What {name} is to find out"),
        ("model", model),
        ("search_space", name),
    ):
        study = _with(study, key, value)
    space = _with(space, "description", f"The parameters of {name}")
    texts = {
        study_files.path_of("study", name, root): study,
        study_files.path_of("search space", name, root): space,
    }
    for path in texts:
        if path.exists():
            raise InputError(f"{path} already exists", "Choose another name, or edit that file.")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return list(texts)


def _template(kind: study_files.FileKind) -> Path:
    return study_files.path_of(kind, TEMPLATE, study_files.shipped())


def _with(text: str, key: str, value: str) -> str:
    """The text with another value for a top-level key, without the editor's schema line."""
    text = re.sub(r"\A# yaml-language-server:.*\n", "", text)
    text, count = re.subn(rf"(?m)^{key}: .*$", f"{key}: {value}", text)
    assert count == 1, f"the template has {count} lines with {key}"
    return text
