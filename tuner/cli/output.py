"""What a verb writes: to standard output, which may fail, and to files."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

DOCUMENTS = "utf-8"
"""The encoding of documents, whatever that of the terminal is: programs read them."""


class OutputLostError(BaseException):
    """Standard output takes nothing any more: its reader or terminal left, or its disk is full.

    It is no Exception, so that no code on its way takes it for a failure of a file of its own.
    """

    def __init__(self, error: OSError, *, terminal: bool) -> None:
        super().__init__(str(error))
        self.reason = error.strerror
        self.reader_left = isinstance(error, BrokenPipeError)
        self.terminal_closed = terminal and error.errno == errno.EIO


class _Output:
    """A stream that raises OutputLostError where it cannot write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- all that a stream has
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._lost():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._lost():
            self._stream.flush()

    @contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputLostError(error, terminal=self._terminal) from error


@contextmanager
def guarded_output() -> Iterator[None]:
    """Standard output for the block: complete when it ends, else an OutputLostError.

    A character that the terminal's encoding lacks becomes `?`.
    """
    if sys.stdout is None:  # closed by who started the process
        with Path(os.devnull).open("w") as nowhere:
            sys.stdout = nowhere
            yield
        return
    stream = sys.stdout
    _replacing_characters(stream)
    sys.stdout = guarded = _Output(stream)
    try:
        yield
    finally:
        sys.stdout = stream
        # Also where the block ends with SystemExit: Python's own last flush could not be caught.
        guarded.flush()


def _replacing_characters(stream: TextIO) -> None:
    if reconfigure := getattr(stream, "reconfigure", None):
        reconfigure(errors="replace")


def discard_output() -> None:
    """Drop what standard output still holds, which Python would try to write when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def print_json(document: Mapping[str, Any]) -> None:
    """The only thing on standard output; a number that JSON does not know is an error."""
    print(json.dumps(document, indent=2, allow_nan=False))


def write_text(text: str, output: Path | None) -> None:
    """A document: to standard output, or whole to a file, never half of it."""
    if output is None:
        if reconfigure := getattr(sys.stdout, "reconfigure", None):
            reconfigure(encoding=DOCUMENTS)
        sys.stdout.write(text)
        return
    from tuner.files import writable, written_whole

    with writable(f"--output {output}"), written_whole(output) as file:
        file.write(text.encode(DOCUMENTS))
    print(f"wrote {output}", file=sys.stderr)
