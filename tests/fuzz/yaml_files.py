"""YAML files as targets: every shipped one, and the cases that load."""

from __future__ import annotations

import random
from pathlib import Path

from tests.fuzz.fuzzing import Case, Target
from tests.fuzz.mutations import changed_text
from tuner.spec.host import Host
from tuner.spec.load import load_model, load_search_space, load_study

_CHECKOUT = Path(__file__).parents[2]
_HOST = Host(cpus=2, memory_mib=8192)

_PLACES = {
    "studies/case/study.yaml": ("studies/*/study.yaml", "tests/cases/good/[eoi]*.yaml"),
    "search_spaces/case.yaml": ("search_spaces/*.yaml", "tests/cases/good/space_*.yaml"),
    "models/case/model.yaml": ("models/*/model.yaml", "tests/cases/good/model_*.yaml"),
}


def yaml_files(directory: Path) -> Target:
    """A shipped study, search space or model with changed parts."""
    sources = [
        (place, path.read_text(encoding="utf-8"))
        for place, patterns in _PLACES.items()
        for pattern in patterns
        for path in sorted(_CHECKOUT.glob(pattern))
    ]
    texts = [text for _, text in sources]
    for place in _PLACES:
        (directory / place).parent.mkdir(parents=True)

    def case(rng: random.Random) -> Case:
        place, text = rng.choice(sources)
        path = directory / place
        changed = changed_text(rng, text, texts).encode()
        if rng.random() < 0.02:
            changed = changed.replace(b" ", rng.choice((b"\xff", b"\xc3\x28", b"\0")), 1)
        path.write_bytes(changed)

        def read() -> object:
            match place.split("/")[0]:
                case "studies":
                    return load_study("case", _HOST, directory)
                case "search_spaces":
                    return load_search_space("case", _HOST, directory)
            return load_model("case", directory)

        # A study's search space may be in a file of its own.
        return Case(path, changed.decode(errors="replace")[:2000], read, names=("/search_spaces/",))

    return case
