"""Frames and header blocks, against the library that others use."""

import itertools

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.load import http2

frames = st.lists(
    st.tuples(
        st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=60)
    ),
    max_size=6,
)
names = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), min_size=1, max_size=20)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)


@given(frames, st.lists(st.integers(0, 400)))
def test_frames_are_the_same_however_they_arrive(
    sent: list[tuple[int, int, int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(http2.frame(*parts) for parts in sent)
    held, found = b"", []
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(places):
        whole, held = http2.split_frames(held + data[start:end])
        found += whole
    assert found == [http2.Frame(*parts) for parts in sent]
    assert held == b""


def test_a_frame_that_was_not_allowed_is_refused() -> None:
    assert len(http2.split_frames(http2.frame(0, 0, 1, bytes(http2.DEFAULT_FRAME)))[0]) == 1
    with pytest.raises(http2.ProtocolError):
        http2.split_frames(http2.frame(0, 0, 1, bytes(http2.DEFAULT_FRAME + 1)))
    with pytest.raises(http2.ProtocolError):
        http2.split_frames(b"HTTP/1.1 400 Bad Request\r\n")


@given(st.binary(max_size=30), st.integers(0, 20))
def test_padding_is_taken_off(content: bytes, padding: int) -> None:
    payload = bytes((padding,)) + content + bytes(padding)
    assert http2.frame_content(http2.Frame(http2.DATA, http2.PADDED, 1, payload)) == content
    flags = http2.PADDED | http2.PRIORITY
    payload = bytes((padding,)) + bytes(5) + content + bytes(padding)
    assert http2.frame_content(http2.Frame(http2.HEADERS, flags, 1, payload)) == content


@given(st.lists(st.tuples(names, texts), min_size=1, max_size=8))
def test_a_request_head_says_the_same_in_each_form(fields: list[tuple[str, str]]) -> None:
    head = http2.request_head(fields)
    expected = [hpack.HeaderTuple(name.encode(), value.encode()) for name, value in fields]
    decoder = hpack.Decoder()
    for block in (head.first, head.later, head.later):
        assert list(decoder.decode(block, raw=True)) == expected
    without = hpack.Decoder()
    without.max_allowed_table_size = 0
    assert list(without.decode(head.always, raw=True)) == expected


@given(st.integers(0, 16), st.integers(100, 599), st.booleans(), texts)
def test_statuses_are_read_from_what_a_server_without_a_table_writes(
    grpc: int, http: int, huffman: bool, message: str
) -> None:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    statuses = http2.Statuses()
    head = encoder.encode([(":status", str(http)), ("x", message)], huffman=huffman)
    trailers = encoder.encode([("grpc-status", str(grpc)), ("y", message)], huffman=huffman)
    for _ in range(2):
        assert statuses.read(head) == (http, None)
        assert statuses.read(trailers) == (None, grpc)


@given(st.binary(max_size=40))
def test_any_bytes_are_statuses_or_refused(block: bytes) -> None:
    try:
        http2.Statuses().read(block)
    except http2.ProtocolError:
        return
