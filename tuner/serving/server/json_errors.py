"""Why a text is no JSON, in the words of RapidJSON, which TensorFlow Serving parses with.

Source of the words and rules: RapidJSON's `error/en.h` and `reader.h`, with NaN and Inf allowed.
"""

from __future__ import annotations

import math
import re

_SPACE = re.compile(rb"[ \t\n\r]*")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_WORD = re.compile(rb"true|false|null|-?NaN|-?Inf(?:inity)?")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX = re.compile(rb"[0-9A-Fa-f]{4}")
_HIGH = re.compile(rb"[Dd][89ABab]..")
_LOW = re.compile(rb"\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}")
_DIGITS = re.compile(rb"[0-9]+")

_EMPTY = "The document is empty."
_ROOT = "The document root must not be followed by other values."
_VALUE = "Invalid value."
_NAME = "Missing a name for object member."
_COLON = "Missing a colon after a name of object member."
_OBJECT = "Missing a comma or } after an object member."
_ARRAY = "Missing a comma or ] after an array element."
_QUOTE = "Missing a closing quotation mark in string."
_ESCAPE = "Invalid escape character in string."
_HEXADECIMAL = "Incorrect hex digit after \\u escape in string."
_SURROGATE = "The surrogate pair in string is invalid."
_ENCODING = "Invalid encoding in string."
_FRACTION = "Miss fraction part in number."
_EXPONENT = "Miss exponent in number."
_TOO_BIG = "Number too big to be stored in double."


class _WrongError(Exception):
    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def first_error(text: bytes) -> tuple[str, int] | None:
    """What is wrong first and at which byte; None where RapidJSON would find nothing.

    It keeps no call stack, so nesting may be deep.
    """
    try:
        _check(text)
    except _WrongError as wrong:
        return wrong.message, wrong.offset
    return None


def _check(text: bytes) -> None:
    at = _space(text, 0)
    if at == len(text):
        raise _WrongError(_EMPTY, at)
    open_lists: list[bytes] = []
    while True:
        # Here a value begins.
        first = text[at : at + 1]
        if first in {b"{", b"["}:
            close = b"}" if first == b"{" else b"]"
            inner = _space(text, at + 1)
            if text[inner : inner + 1] == close:
                at = inner + 1
            else:
                open_lists.append(close)
                at = _member_name(text, inner) if close == b"}" else inner
                continue
        else:
            at = _scalar(text, at)
        # Here one has ended, and perhaps what it is in.
        while True:
            at = _space(text, at)
            if not open_lists:
                if at != len(text):
                    raise _WrongError(_ROOT, at)
                return
            close = open_lists[-1]
            following = text[at : at + 1]
            if following == b",":
                at = _space(text, at + 1)
                at = _member_name(text, at) if close == b"}" else at
                break
            if following != close:
                raise _WrongError(_OBJECT if close == b"}" else _ARRAY, at)
            open_lists.pop()
            at += 1


def _space(text: bytes, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match
    return match.end()


def _member_name(text: bytes, at: int) -> int:
    """The start of the value of an object's member whose name begins at `at`."""
    if text[at : at + 1] != b'"':
        raise _WrongError(_NAME, at)
    at = _space(text, _string(text, at))
    if text[at : at + 1] != b":":
        raise _WrongError(_COLON, at)
    return _space(text, at + 1)


def _scalar(text: bytes, at: int) -> int:
    if text[at : at + 1] == b'"':
        return _string(text, at)
    if word := _WORD.match(text, at):
        return word.end()
    number = _NUMBER.match(text, at)
    if not number:
        raise _WrongError(_VALUE, at)
    start, at = at, number.end()
    if text[at : at + 1] == b".":
        at = _digits(text, at + 1, _FRACTION)
    if text[at : at + 1] in {b"e", b"E"}:
        at += 2 if text[at + 1 : at + 2] in {b"+", b"-"} else 1
        at = _digits(text, at, _EXPONENT)
    if math.isinf(float(text[start:at])):
        raise _WrongError(_TOO_BIG, start)
    return at


def _digits(text: bytes, at: int, message: str) -> int:
    match = _DIGITS.match(text, at)
    if not match:
        raise _WrongError(message, at)
    return match.end()


def _string(text: bytes, at: int) -> int:
    """The end of the string that begins at `at`."""
    at += 1
    while True:
        plain = _PLAIN.match(text, at)
        assert plain
        try:
            plain[0].decode()
        except UnicodeDecodeError as error:
            raise _WrongError(_ENCODING, at + error.start) from error
        at = plain.end()
        found = text[at : at + 1]
        if found == b'"':
            return at + 1
        if found != b"\\":
            raise _WrongError(_QUOTE if found in {b"", b"\0"} else _ENCODING, at)
        escape = text[at + 1 : at + 2]
        if escape == b"u":
            if not _HEX.match(text, at + 2):
                raise _WrongError(_HEXADECIMAL, at)
            at = _unicode(text, at)
        elif escape and escape in b'"\\/bfnrt':
            at += 2
        else:
            raise _WrongError(_ESCAPE, at)


def _unicode(text: bytes, at: int) -> int:
    """The end of the escape at `at`, or of the pair of them that a large character needs."""
    if _HIGH.match(text, at + 2):
        if not _LOW.match(text, at + 6):
            raise _WrongError(_SURROGATE, at)
        return at + 12
    if _LOW.match(text, at):
        raise _WrongError(_SURROGATE, at)
    return at + 6
