from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import InputError
from tuner.spec.expressions import parse_bound
from tuner.spec.host import Host

hosts = st.builds(Host, cpus=st.integers(1, 1024), memory_mib=st.integers(64, 2**24))
numbers = st.integers(0, 10**6) | st.floats(0, 1e6, allow_nan=False)


@given(number=st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9), host=hosts)
def test_number_is_itself(number: float, host: Host) -> None:
    assert parse_bound(number, host) == number
    assert parse_bound(repr(number), host) == number


# Pairs of an expression's text and its value on a host, built side by side.
def leaves() -> st.SearchStrategy[tuple[str, str]]:
    return st.sampled_from(["host.cpus", "host.memory_mib", "2", "0.5", "10"]).map(lambda t: (t, t))


def grown(parts: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    binary = st.tuples(parts, st.sampled_from("+-*"), parts).map(
        lambda p: (f"({p[0][0]} {p[1]} {p[2][0]})", f"({p[0][1]}{p[1]}{p[2][1]})")
    )
    negated = parts.map(lambda p: (f"-{p[0]}", f"-({p[1]})"))
    picked = st.tuples(st.sampled_from(["min", "max"]), parts, parts).map(
        lambda p: (f"{p[0]}({p[1][0]}, {p[2][0]})", f"{p[0]}({p[1][1]},{p[2][1]})")
    )
    return binary | negated | picked


@given(pair=st.recursive(leaves(), grown, max_leaves=6), host=hosts)
def test_expression_means_what_python_means(pair: tuple[str, str], host: Host) -> None:
    text, same = pair
    expected = eval(same, {"host": host, "min": min, "max": max})
    assert parse_bound(text, host) == pytest.approx(float(expected))


@given(host=hosts, a=numbers, b=numbers.filter(lambda n: n > 1e-3))
def test_division(host: Host, a: float, b: float) -> None:
    assert parse_bound(f"{a!r} / {b!r}", host) == a / b
    assert parse_bound(f"{a!r} // {b!r}", host) == a // b


@given(text=st.text(max_size=60), host=hosts)
def test_any_text_is_a_finite_number_or_refused(text: str, host: Host) -> None:
    try:
        number = parse_bound(text, host)
    except InputError:
        return
    assert math.isfinite(number)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "host",
        "cpus",
        "host.cpus.real",
        "host.__class__",
        "2 ** 8",
        "8 % 3",
        "1 if host.cpus else 2",
        "max()",
        "max(*[1, 2])",
        "max(1, key=2)",
        "abs(1)",
        "(lambda: 1)()",
        "[1][0]",
        "True",
        "'1'",
        "1j",
        "1 / 0",
        "1 // (host.cpus - host.cpus)",
        "1e999",
        "1e200 * 1e200",
        "1 + " * 60 + "1",
        "-" * 150 + "1" + ")",
        "\0",
    ],
)
def test_everything_else_is_refused(expression: str) -> None:
    with pytest.raises(InputError):
        parse_bound(expression, Host(4, 4096))


@pytest.mark.parametrize("value", [None, True, [1], {"a": 1}, math.nan, math.inf, 10**400])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(InputError):
        parse_bound(value, Host(4, 4096))


def test_unknown_fact_of_the_host_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"did you mean 'host\.memory_mib'"):
        parse_bound("host.memory // 2", Host(4, 4096))
