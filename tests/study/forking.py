"""Processes that are forked, so that none has to import the package, and programs for tests."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def forked(action: Callable[[], object]) -> int:
    """The id of a process that does it."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            action()
            code = 0
        except BaseException:  # noqa: BLE001 -- nothing of this process may go on
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return child


def exit_code(child: int) -> int:
    """That of a forked process, once it has ended; negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def program(module: str, *arguments: object, place: Path) -> subprocess.CompletedProcess[str]:
    """Run a module of the tests in the directory `place`; it must end well."""
    ended = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
    return ended
