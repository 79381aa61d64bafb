"""What other installed packages add to `tune`, by entry points.

A package names in its `pyproject.toml` an object for each thing that it adds:

    [project.entry-points."tune.metrics"]
    slow_percent = "tune_example_plugin:SLOW"

The groups are `tune.metrics`, `tune.servers` and `tune.backends`; what an object must be is said
where each group is read (`tuner.spec.metrics`, `tuner.serving.servers.table`, `tuner.backends`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeVar

from tuner.errors import SetupError

Group = Literal["tune.metrics", "tune.servers", "tune.backends"]

_NAME = re.compile(r"[a-z][a-z0-9_-]*")

T = TypeVar("T")


def added_by_packages(
    group: Group, expected: str, accepted: Callable[[str, Any], T | None], taken: Collection[str]
) -> dict[str, T]:
    """The objects of all installed packages' entry points of `group`, by name.

    `accepted` returns the object of an entry point of that name as what it is used as, or None
    where it is not what is `expected` (in words). `taken` are the names that tune has itself.
    Raises SetupError where an object cannot be loaded or is not what is expected, and where a name
    is unfit, taken, or in two packages.
    """
    added: dict[str, T] = {}
    whose: dict[str, str] = dict.fromkeys(taken, "tune itself")
    for entry in sorted(entry_points(group=group), key=lambda e: (e.name, _package(e))):
        where = f"entry point {entry.name!r} of group {group} in package {_package(entry)}"
        mend = f"Mend or uninstall the package {_package(entry)}."
        if _NAME.fullmatch(entry.name) is None:
            raise SetupError(
                f"{where} has an unfit name: small letters, digits, _ and - are expected,"
                " a letter first",
                mend,
            )
        if entry.name in whose:
            raise SetupError(
                f"{where} has a name that {whose[entry.name]} has already",
                f"Rename it, or uninstall the package {_package(entry)}.",
            )
        try:
            loaded = entry.load()
        except Exception as error:
            raise SetupError(
                f"{where} cannot be loaded from {entry.value}: {type(error).__name__}: {error}",
                mend,
            ) from error
        fit = accepted(entry.name, loaded)
        if fit is None:
            raise SetupError(
                f"{where} is {loaded!r:.200}, from {entry.value}; expected: {expected}", mend
            )
        whose[entry.name] = f"package {_package(entry)}"
        added[entry.name] = fit
    return added


def names_added_by_packages(group: Group) -> list[str]:
    """The names of all installed packages' entry points of `group`, sorted; none is loaded."""
    return sorted({entry.name for entry in entry_points(group=group)})


def _package(entry: EntryPoint) -> str:
    return "?" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
