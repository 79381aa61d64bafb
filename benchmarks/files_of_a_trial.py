"""How many files of the package a reader passes who follows one trial.

python benchmarks/files_of_a_trial.py [--list]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import tuner
from tuner.cli import main as tune

PACKAGE = Path(tuner.__file__).parent
COMMAND = ("run", "--study", "mnist", "--backend", "simulated", "--trials", "1")


class Entered:
    """Files in which a function was called, in order; a profile function of Python's."""

    def __init__(self) -> None:
        self.files: dict[str, None] = {}
        self._last: CodeType | None = None

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:  # noqa: ANN401
        code = frame.f_code
        if not code.co_filename.startswith(str(PACKAGE)):
            return
        name = os.path.relpath(code.co_filename, PACKAGE)
        if event == "call" and name not in self.files and not _importing(frame):
            self.files[name] = None
        if event == "return" and (name, code.co_name) == ("study/tell.py", "tell"):
            sys.setprofile(None)
            threading.setprofile(None)


def _importing(frame: FrameType | None) -> bool:
    """Whether a module of the package is being imported."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and code.co_filename.startswith(str(PACKAGE)):
            return True
        frame = frame.f_back
    return False


def files_of_a_trial() -> list[str]:
    """The files, relative to the package, in the order in which they are entered."""
    entered = Entered()
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        for name in ("studies", "search_spaces", "models"):
            ignored = shutil.ignore_patterns("results", "built")
            shutil.copytree(PACKAGE.parent / name, name, ignore=ignored)
        before, sys.argv = sys.argv, ["tune", *COMMAND]
        threading.setprofile(entered)
        sys.setprofile(entered)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                tune()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            sys.argv = before
    return list(entered.files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--list", action="store_true", help="also print each file, in order")
    arguments = parser.parse_args()
    files = files_of_a_trial()
    if arguments.list:
        print("\n".join(files), end="\n\n")
    rooms = Counter(name.partition("/")[0] if "/" in name else name for name in files)
    print(", ".join(f"{room} {count}" for room, count in rooms.items()))
    print(f"{len(files)} files")


if __name__ == "__main__":
    main()
