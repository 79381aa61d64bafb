"""Classes of the messages in `.proto` files.

They are read when the server starts, into a pool of their own: no generated code that must fit the
version of the protobuf library, no compiler, and no clash with TensorFlow's own modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, text_format, wrappers_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

Proto = Any
"""A message, of a class that is made at run time and so has no type."""

_TOKEN = re.compile(r'"[^"]*"|[\w.]+|[{}<>=;,]')
_Field = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True)
class Schema:
    """Messages in `.proto` files, each of which comes after those that it imports."""

    files: tuple[Path, ...]

    def message_class(self, full_name: str) -> type[Proto]:
        """The class of a message. Raises KeyError where the files have no such message."""
        found: type[Proto] = GetMessageClass(_pool(self.files).FindMessageTypeByName(full_name))
        return found


TENSORFLOW = Schema(
    tuple(map(Path(__file__).with_name, ("tensorflow.proto", "serving.proto"))),
)


def message_class(name: str) -> type[Proto]:
    """The class of `tensorflow.serving.<name>`, or of a full name that begins with `tensorflow.`.

    Raises KeyError where there is no such message.
    """
    full_name = name if name.startswith("tensorflow.") else f"tensorflow.serving.{name}"
    return TENSORFLOW.message_class(full_name)


def read_text(name: str, path: Path) -> Proto:
    """The message `name` in the text format, as TensorFlow Serving's configuration files have it.

    Raises ValueError with the file's name, line and column, or OSError.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), message_class(name)())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"Invalid protobuf file: '{path}': {error}") from error


@cache
def _pool(files: tuple[Path, ...]) -> DescriptorPool:
    pool = DescriptorPool()
    for known in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    for path in files:
        text = path.read_text(encoding="utf-8")
        pool.AddSerializedFile(read_proto(path.name, text).SerializeToString())
    return pool


def read_proto(name: str, text: str) -> descriptor_pb2.FileDescriptorProto:
    """The descriptor of a proto3 file without options, services and reserved fields."""
    tokens = iter(_TOKEN.findall(re.sub(r"//.*", "", text)))
    file = descriptor_pb2.FileDescriptorProto(name=name, syntax="proto3")
    for word in tokens:
        if word == "message":
            _read_message(tokens, file.message_type.add())
        elif word == "enum":
            _read_enum(tokens, file.enum_type.add())
        elif word == "package":
            file.package = next(tokens)
        elif word == "import":
            file.dependency.append(next(tokens).strip('"'))
    return file


def _read_message(tokens: Iterator[str], message: descriptor_pb2.DescriptorProto) -> None:
    message.name, _ = next(tokens), next(tokens)
    oneof: int | None = None
    for word in tokens:
        if word == "message":
            _read_message(tokens, message.nested_type.add())
        elif word == "enum":
            _read_enum(tokens, message.enum_type.add())
        elif word == "oneof":
            oneof = len(message.oneof_decl)
            message.oneof_decl.add(name=next(tokens))
            next(tokens)
        elif word == "}":
            if oneof is None:
                return
            oneof = None
        else:
            field = _read_field(word, tokens, message)
            if oneof is not None:
                field.oneof_index = oneof


def _read_field(
    word: str, tokens: Iterator[str], message: descriptor_pb2.DescriptorProto
) -> descriptor_pb2.FieldDescriptorProto:
    field = message.field.add(label=_Field.LABEL_OPTIONAL)
    if word == "map":
        _, key, _, value, _ = (next(tokens) for _ in range(5))
        field.name = next(tokens)
        field.label = _Field.LABEL_REPEATED
        entry = message.nested_type.add(name=field.name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        for number, (part, kind) in enumerate((("key", key), ("value", value)), 1):
            _set_type(entry.field.add(name=part, number=number, label=_Field.LABEL_OPTIONAL), kind)
        _set_type(field, entry.name)
    else:
        if word == "repeated":
            field.label = _Field.LABEL_REPEATED
            word = next(tokens)
        _set_type(field, word)
        field.name = next(tokens)
    _, number_text, _ = (next(tokens) for _ in range(3))
    field.number = int(number_text)
    return field


def _set_type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    """A scalar type, or the name of a message or enum, which the pool looks up."""
    scalar = f"TYPE_{kind.upper()}"
    if scalar in _Field.Type.keys():  # noqa: SIM118 an enum wrapper is no mapping
        field.type = _Field.Type.Value(scalar)
    else:
        field.type_name = kind


def _read_enum(tokens: Iterator[str], enum: descriptor_pb2.EnumDescriptorProto) -> None:
    enum.name, _ = next(tokens), next(tokens)
    for word in tokens:
        if word == "}":
            return
        _, number, _ = (next(tokens) for _ in range(3))
        enum.value.add(name=word, number=int(number))
