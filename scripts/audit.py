"""Asks whether a locked package has a known vulnerability: `.venv/bin/python scripts/audit.py`.

Exit code 1 where one has. Where the database does not answer, or not in time, it says so: a machine
without that network can tell nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LOCKS = ("requirements.txt", "tuner/serving/requirements.txt")
SECONDS = 90
ACCEPTED: dict[str, str] = {}
"""The identifiers of vulnerabilities that do not concern tune, and why."""


def command() -> list[str]:
    tool = Path(sys.executable).with_name("pip-audit")
    locks = [word for lock in LOCKS for word in ("--requirement", lock)]
    options = ["--disable-pip", "--require-hashes", "--vulnerability-service", "osv"]
    options += ["--timeout", "10", "--progress-spinner", "off", "--format", "json"]
    return [str(tool), *locks, *options]


def answer(asked: list[str], seconds: float) -> str:
    """What the tool writes; nothing where the database did not answer."""
    try:
        return subprocess.run(
            asked, check=False, capture_output=True, text=True, timeout=seconds
        ).stdout
    except subprocess.TimeoutExpired:
        return ""


def vulnerabilities(document: str) -> Iterator[str]:
    for package in json.loads(document)["dependencies"]:
        for known in package.get("vulns", ()):
            if not {known["id"], *known.get("aliases", ())} & ACCEPTED.keys():
                mended = ", ".join(known["fix_versions"]) or "no version yet"
                name = f"{package['name']} {package['version']}"
                yield f"{name}: {known['id']} (mended in {mended})"


def main(asked: list[str], seconds: float = SECONDS) -> int:
    document = answer(asked, seconds)
    if not document.strip():
        sys.stdout.write("not audited: the database of vulnerabilities does not answer here\n")
        return 0
    found = list(vulnerabilities(document))
    sys.stdout.writelines(f"{line}\n" for line in found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(command()))
