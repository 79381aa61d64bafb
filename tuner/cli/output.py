"""What a verb writes besides blocks: JSON documents and files."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def print_json(document: Mapping[str, Any]) -> None:
    """The only thing on standard output; a number that JSON does not know is an error."""
    print(json.dumps(document, indent=2, allow_nan=False))


def write_text(text: str, output: Path | None) -> None:
    """To standard output, or whole to a file: never half of it."""
    if output is None:
        sys.stdout.write(text)
        return
    from tuner.files import writable, written_whole

    with writable(f"--output {output}"), written_whole(output) as file:
        file.write(text.encode())
    print(f"wrote {output}", file=sys.stderr)
