"""Errors travel between processes: what a host raises is raised where it was asked for."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from collections.abc import Iterator

import pytest

import tuner
from tuner.backends.absence import StayedAway
from tuner.errors import Infeasible, InputError, TrialFailed, TuneError, Unreachable


def kinds(of: type[TuneError] = TuneError) -> Iterator[type[TuneError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


def sent(error: TuneError) -> TuneError:
    arrived = pickle.loads(pickle.dumps(error))
    assert isinstance(arrived, TuneError)
    return arrived


def test_every_error_of_the_package_travels_with_all_that_it_holds() -> None:
    for module in pkgutil.walk_packages(tuner.__path__, "tuner."):
        if ".serving." not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = set(kinds())
    assert {Infeasible, StayedAway, TrialFailed} <= found
    for kind in found:
        error = kind.__new__(kind, "what\nthe mend")
        error.__dict__.update(message="what", mend="the mend", more=(1, "two"))
        arrived = sent(error)
        assert type(arrived) is kind
        assert (arrived.args, arrived.__dict__) == (error.args, error.__dict__)


@pytest.mark.parametrize(
    "error",
    [
        InputError("what", "the mend"),
        Infeasible("out of memory", "replica 0 was killed", "its last line"),
        StayedAway(Unreachable("gone", "start it"), 3),
    ],
)
def test_what_its_constructor_takes_makes_no_difference(error: TuneError) -> None:
    arrived = sent(error)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived).keys() == vars(error).keys()
    if isinstance(arrived, Infeasible):
        assert (arrived.kind, arrived.log_tail) == ("out of memory", "its last line")
    if isinstance(arrived, StayedAway):
        arrived.name_command("tune run")
        assert arrived.mend == "start it, then `tune run` goes on with 3 trials left"
