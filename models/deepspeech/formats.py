"""What can be told of a released file without TensorFlow."""

from __future__ import annotations

import struct

from tuner.errors import InputError


def refuse_other_formats(content: bytes, where: str) -> None:
    """Raise InputError for the variants that DeepSpeech released beside the frozen graph."""
    mend = "convert the .pb file of the same release"
    if where.endswith(".pbmm") or b"memmapped_package://" in content[-(1 << 20) :]:
        raise InputError(
            f"{where}: a memory-mapped graph (.pbmm) keeps its weights outside the graph, where "
            "only DeepSpeech's own client finds them; TensorFlow's loader cannot read it",
            mend,
        )
    if where.endswith(".tflite") or content[4:8] == b"TFL3":
        raise InputError(
            f"{where}: a TensorFlow Lite model is quantised and has no graph to translate", mend
        )


def alphabet_of(serialized: bytes, where: str) -> tuple[bytes, ...]:
    """The characters by label, from little-endian 16-bit numbers: how many, then for each one its
    label, its length in bytes and its UTF-8 text (`Alphabet::Serialize` of the native client).
    """
    characters = {}
    try:
        (count,) = struct.unpack_from("<H", serialized, 0)
        at = 2
        for _ in range(count):
            label, length = struct.unpack_from("<HH", serialized, at)
            characters[label] = serialized[at + 4 : at + 4 + length]
            at += 4 + length
    except struct.error as error:
        raise InputError(f"{where}: metadata_alphabet is cut short") from error
    if at != len(serialized) or sorted(characters) != list(range(count)) or not count:
        raise InputError(f"{where}: metadata_alphabet is not a list of characters by label")
    return tuple(characters[label] for label in range(count))
