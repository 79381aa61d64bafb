"""The user's command that switches a service to a configuration."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tuner.deploy.logs import harmless
from tuner.errors import Infeasible, SetupError, TrialFailed

CANNOT_SERVE = 3
"""The exit code by which the command says that the configuration cannot serve."""

_TAIL_BYTES = 2000


def words_for(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The command with the values of the parameters that its words name, `{cpu}`.

    A value stays inside its word, whatever it has in it. Other braces stay as they are.
    """
    return [
        re.sub(r"\{([a-z][a-z0-9_]*)\}", lambda name: values.get(name[1], name[0]), word)
        for word in command
    ]


def apply(
    command: Sequence[str], values: Mapping[str, str], directory: Path, seconds: float
) -> None:
    """Run the command in `directory`, without a shell, and wait for its end.

    It is killed with all that it started where it takes more than `seconds`, and on an interrupt.
    Raises Infeasible for the exit code `CANNOT_SERVE`, TrialFailed for any other but 0, SetupError
    where it cannot be run.
    """
    words = words_for(command, values)
    shown = " ".join(words)
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.Popen(
                words,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise SetupError(
                f"endpoint.apply cannot be run: {shown}: {error}",
                f"correct the command; it is run in {directory}, without a shell",
            ) from error
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TrialFailed(
                f"endpoint.apply did not end within {seconds:g} s: {shown}", _tail(output.fileno())
            ) from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        said = _tail(output.fileno())
    if code == CANNOT_SERVE:
        raise Infeasible("never ready", f"endpoint.apply says that it cannot serve: {shown}", said)
    if code != 0:
        raise TrialFailed(f"endpoint.apply ended with exit code {code}: {shown}", said)


def _tail(descriptor: int) -> str:
    """What it wrote last, harmless to a terminal."""
    size = os.fstat(descriptor).st_size
    text = os.pread(descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    return harmless(text).strip()
