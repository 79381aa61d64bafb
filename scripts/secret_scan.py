"""Looks for secrets in the files of this checkout: `.venv/bin/python scripts/secret_scan.py`.

Each line with one is printed, and the exit code is 1. A line that has none although it looks so
ends with `pragma: allowlist secret` and its reason.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from detect_secrets.core import plugins, scan
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.settings import transient_settings

# Detectors of a form that nothing else has. Those that guess by randomness or by the name of a
# variable find hashes, and this project's own words.
DETECTORS = sorted(
    kind.__name__
    for kind in get_mapping_from_secret_type_to_class().values()
    if issubclass(kind, RegexBasedDetector)
    and kind.__name__ not in {"IPPublicDetector", "KeywordDetector"}
)

LARGEST = 1_000_000
"""Bytes: larger files are recorded measurements."""


def tracked() -> list[Path]:
    """The checkout's files, also those that are not committed yet."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    command += ["--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [Path(name) for name in listed.split("\0") if name]


def secrets(paths: Iterable[Path]) -> Iterator[str]:
    """`path:line: kind` of each one found."""
    with transient_settings({"plugins_used": [{"name": name} for name in DETECTORS]}):
        patterns = [
            pattern
            for name in DETECTORS
            for pattern in plugins.initialize.from_plugin_classname(name).denylist
        ]
        for path in paths:
            if not path.is_file() or path.stat().st_size > LARGEST:
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            # The library looks at each line with each detector, which takes 30 ms a file.
            if any(pattern.search(text) for pattern in patterns):
                for found in scan.scan_file(str(path)):
                    yield f"{path}:{found.line_number}: {found.type}"


if __name__ == "__main__":
    found = list(secrets(map(Path, sys.argv[1:]) if sys.argv[1:] else tracked()))
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.exit(bool(found))
