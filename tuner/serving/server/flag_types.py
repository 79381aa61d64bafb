"""Types of command-line flags, for argparse."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def not_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def port(text: str) -> int:
    value = int(text)
    if not 0 < value < 2**16:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return value


def port_or_none(text: str) -> int:
    return 0 if text == "0" else port(text)


def boolean(text: str) -> bool:
    """As TensorFlow's flags read it."""
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text} is not true or false")
    return values[text.lower()]


def sizes(text: str) -> tuple[int, ...]:
    return tuple(positive(part) for part in text.split(","))


def channel_arguments(text: str) -> dict[str, int | str]:
    """`name=value,...`; a value that is a number is one for gRPC too."""
    found: dict[str, int | str] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"{part} is not name=value")
        found[name] = int(value) if value.lstrip("-").isdecimal() else value
    return found
