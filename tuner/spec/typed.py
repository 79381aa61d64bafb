"""Reads plain data, as JSON holds it, into frozen dataclasses, whose annotations are the rule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from tuner.spec.problems import KeyPath, dotted, short_text

# Pydantic takes long to load, and many import this who read nothing.
if TYPE_CHECKING:
    from pydantic import AfterValidator, TypeAdapter

T = TypeVar("T")


class WrongTypeError(ValueError):
    """Data is not of the type that it should have.

    `key` says where that is, `text` what was expected and what was found.
    """

    def __init__(self, key: KeyPath, text: str) -> None:
        super().__init__(f"{dotted(key)}: {text}" if key else text)
        self.key = key
        self.text = text


def typed(kind: type[T], data: object, at: KeyPath = ()) -> T:
    """`data` as a `kind`, whose annotations say what each part must be, down to the last.

    Nothing is converted, numbers are finite, and keys that `kind` does not have are left out. `at`
    is where `data` stands in its file. Raises WrongTypeError.
    """
    from pydantic import ValidationError

    from tuner.spec.validation import expected_instead, key_in

    try:
        # A type is hashable, which mypy does not know of type[T].
        adapter = _adapter(kind)  # type: ignore[arg-type]
        read: T = adapter.validate_json(b"[%b]" % _as_json(data), strict=True)[0]
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        key = key_in([data], detail["loc"])[1:]
        if detail["type"] == "missing":
            key = (*key, detail["loc"][-1])
        inner = detail.get("ctx", {}).get("error")
        if isinstance(inner, WrongTypeError):
            raise WrongTypeError((*at, *key, *inner.key), inner.text) from error
        raise WrongTypeError((*at, *key), expected_instead(detail)) from error
    except orjson.JSONEncodeError as error:  # a number beyond 64 bits
        raise WrongTypeError(at, f"expected plain data ({error})") from error
    return read


def _as_json(data: object) -> bytes:
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError as error:
        if "surrogates" not in str(error):
            raise
        # Half a surrogate pair is no character: a container may print it, but no file holds it.
        return json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")


def mapping_at(data: object, at: KeyPath) -> Mapping[str, Any]:
    """`data`, which must be a mapping. Raises WrongTypeError."""
    if isinstance(data, Mapping):
        return data
    raise WrongTypeError(at, f"expected a mapping, found {short_text(data)}")


def holding(kind: type) -> AfterValidator:
    """For an open mapping: what it holds under the names that `kind` has must be of its types.

    To be used as `Annotated[Mapping[str, Any], holding(kind)]`. `kind` has defaults for all.
    """
    from pydantic import AfterValidator

    def check(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
        typed(kind, mapping)
        return mapping

    return AfterValidator(check)


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    # Within a tuple, since a dataclass takes no configuration from outside.
    return TypeAdapter(tuple[kind], config=ConfigDict(allow_inf_nan=False))  # type: ignore[valid-type]
