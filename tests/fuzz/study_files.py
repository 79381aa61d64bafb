"""Study files as targets: their document, the archive, and what a hostile one may hold."""

from __future__ import annotations

import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fuzz.fuzzing import Case, Target
from tests.fuzz.mutations import changed_bytes, changed_plain

Reader = Callable[[Path], object]
DOCUMENT = "study.json"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archived(*held: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(file, "w") as archive:
        for name, content in held:
            archive.writestr(name, content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def documents(whole: Path, directory: Path, readers: Mapping[str, Reader]) -> Target:
    """A study file in whose document some values are of other types, missing, or too large."""
    held = members(whole)
    document = json.loads(held.pop(DOCUMENT))

    def case(rng: random.Random) -> Case:
        path = directory / "tampered.study.zip"
        # The trials are most of it: each part of the document is chosen as often.
        part = rng.choice(list(document))
        changed, what = changed_plain(rng, {part: document[part]})
        if isinstance(changed, dict):
            changed = {**{k: v for k, v in document.items() if k != part}, **changed}
        text = json.dumps(changed).encode()
        path.write_bytes(archived((DOCUMENT, text), *held.items()))
        name = rng.choice(list(readers))
        # The study's name is what a refusal of what it cannot answer names.
        named = str(changed["study"]) if isinstance(changed, dict) and "study" in changed else ""
        return Case(path, f"{name}: {what}", lambda: readers[name](path), names=(f"{named!r}",))

    return case


def archives(whole: Path, directory: Path, reader: Reader) -> Target:
    """A study file with damaged bytes, or whose archive holds what it should not."""
    held, intact = members(whole), whole.read_bytes()
    document = held.pop(DOCUMENT)
    samples = list(held.items())

    def hostile(rng: random.Random) -> tuple[str, bytes]:
        link = zipfile.ZipInfo(rng.choice((DOCUMENT, samples[0][0])))
        link.external_attr = 0o120777 << 16
        outside = rng.choice(("../../evil", "/tmp/evil", "samples/../../evil", "C:\\evil", "a\0b"))
        return rng.choice(
            (
                ("zip slip", archived((DOCUMENT, document), (outside, b"evil"))),
                ("a link", archived((link, b"/etc/passwd"), *samples)),
                ("two documents", archived((DOCUMENT, document), (DOCUMENT, b"{}"))),
                ("no document", archived(*samples)),
                ("a bomb", archived((DOCUMENT, b" " * rng.choice((2**20, 2**26 + 1))))),
                ("many values", archived((DOCUMENT, b"[" + b"[]," * 1_000_000 + b"[]]"))),
                ("deep", archived((DOCUMENT, b"[" * 200_000))),
                ("long numbers", archived((DOCUMENT, b"[" + b"9" * 100_000 + b"]"))),
                ("infinity", archived((DOCUMENT, document.replace(b":1", b":1e999", 9)))),
                ("not UTF-8", archived((DOCUMENT, document.replace(b'"', b"\xff", 3)))),
                (
                    "damaged samples",
                    archived(
                        (DOCUMENT, document), *((n, changed_bytes(rng, c)) for n, c in samples)
                    ),
                ),
            )
        )

    def case(rng: random.Random) -> Case:
        path = directory / "damaged.study.zip"
        if rng.random() < 0.5:
            what, content = "damaged bytes", changed_bytes(rng, intact)
        else:
            what, content = hostile(rng)
        path.write_bytes(content)
        return Case(path, what, lambda: reader(path), names=("samples/trial-",))

    return case
