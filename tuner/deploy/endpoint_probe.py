"""Whether an endpoint answers a request rightly, and what is wrong where it does not."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import orjson
import requests

from tuner.deploy.endpoint_url import EndpointUrl
from tuner.deploy.reach import DirectSession
from tuner.errors import InputError, SetupError, TuneError
from tuner.measure.golden import Golden

MOST_JUDGED_BYTES = 16 * 2**20
"""A longer answer is taken as it is: to read it as JSON would cost more than it tells."""

_CHUNK = 2**20


@dataclass(frozen=True)
class SeenAnswer:
    """A response. `body` is its beginning where it is longer than what is judged."""

    status: int
    headers: requests.structures.CaseInsensitiveDict[str]
    body: bytes
    size: int

    @property
    def whole(self) -> bool:
        return self.size == len(self.body)


class NotThereError(Exception):
    """Nothing answers at the address yet."""


def require_right(
    session: DirectSession, url: EndpointUrl, golden: Golden, number: int, kind: str, seconds: float
) -> None:
    """Send request `number` of `golden`, and raise where its answer is not right.

    Raises NotThereError where nothing answers, SetupError for what is wrong with TLS, InputError
    for any other answer, whose message names what was seen.
    """
    body = golden.bodies[number]
    try:
        answer = _posted(session, url, body, kind, seconds)
    except requests.exceptions.SSLError as error:
        raise _tls_error(url, error) from error
    except requests.exceptions.ConnectionError as error:
        raise NotThereError(str(error)) from error
    except requests.exceptions.Timeout as error:
        raise NotThereError(f"no answer within {seconds:g} s") from error
    except requests.RequestException as error:
        raise InputError(f"{url.text}: {error}", "is it a server of HTTP?") from error
    if wrong := _wrong(session, url, golden, number, answer):
        raise wrong


def _posted(
    session: DirectSession, url: EndpointUrl, body: bytes, kind: str, seconds: float
) -> SeenAnswer:
    headers = {"Content-Type": kind, "Accept-Encoding": "identity"}
    with session.post(
        url.text, data=body, headers=headers, timeout=seconds, allow_redirects=False, stream=True
    ) as reply:
        kept, size = bytearray(), 0
        for chunk in reply.raw.stream(_CHUNK, decode_content=False):
            size += len(chunk)
            kept += chunk[: max(0, MOST_JUDGED_BYTES - len(kept))]
        return SeenAnswer(reply.status_code, reply.headers, bytes(kept), size)


def _wrong(
    session: DirectSession, url: EndpointUrl, golden: Golden, number: int, answer: SeenAnswer
) -> TuneError | None:
    """What is wrong with an answer; None where nothing is."""
    status = answer.status
    said = answer.body[:200].decode(errors="replace")
    if 300 <= status < 400:
        to = answer.headers.get("Location", "nowhere")
        return InputError(
            f"{url.text} answers {status} and redirects to {to}: load is never redirected",
            "give the address that answers itself",
        )
    if status != 200:
        return _refused(session, url, status, said)
    return _wrong_body(url, golden, number, answer) if answer.whole else None


def _wrong_body(
    url: EndpointUrl, golden: Golden, number: int, answer: SeenAnswer
) -> TuneError | None:
    """What is wrong with an answer of the status 200."""
    body = decoded(answer.body, answer.headers.get("Content-Encoding", ""))
    if body is None:
        return InputError(
            f"{url.text} answers in the encoding {answer.headers['Content-Encoding']!r}, although"
            " identity was asked for",
            "turn off compression for requests that do not accept it",
        )
    if golden.responses[number] is None and not _is_json(answer):
        return None
    if golden.answered(number, body, TOLERANCE):
        return None
    said = body[:200].decode(errors="replace")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return InputError(
            f"{url.text} answers 200 with what is not JSON: {said!r}",
            "name the path that predicts, such as /v1/models/m:predict",
        )
    if isinstance(value, dict) and "error" in value:
        return InputError(
            f"{url.text} answers 200 with an error inside: {said}",
            "mend the service or the request",
        )
    return InputError(
        f"{url.text} answers request {number} with {said}, which is not the recorded response",
        "correct the response, or leave it out to take any",
    )


TOLERANCE = 1e-3


def _refused(session: DirectSession, url: EndpointUrl, status: int, said: str) -> TuneError:
    """An error that names the protocol that the server speaks, where it says so."""
    asked = f"{url.text} answers {status}: {said!r}"
    path = url.target.partition("?")[0]
    base = url.text[: url.text.index(url.target, url.text.index("://") + 3)]
    if (
        status in {400, 404, 405, 422}
        and path.startswith("/v1/")
        and _answers(session, f"{base}/v2")
    ):
        return InputError(
            f"{asked}. The server speaks the Open Inference Protocol (V2), and the path is one of"
            " TensorFlow Serving's (V1)",
            f"give {base}/v2/models/NAME/infer, and requests of that form",
        )
    if status in {400, 404, 405, 422} and path.startswith("/v2/"):
        name = path.removeprefix("/v2/models/").partition("/")[0]
        if _answers(session, f"{base}/v1/models/{name}"):
            return InputError(
                f"{asked}. The server speaks TensorFlow Serving's protocol (V1), and the path is"
                " one of the Open Inference Protocol (V2)",
                f"give {base}/v1/models/{name}:predict, and requests of that form",
            )
    mends = {
        401: "no credentials are sent",
        403: "no credentials are sent",
        404: "correct the path",
    }
    return InputError(asked, mends.get(status, "correct the requests, or mend the service"))


def _answers(session: DirectSession, url: str) -> bool:
    """Whether a GET there has JSON."""
    try:
        with session.get(url, timeout=5, allow_redirects=False, stream=True) as reply:
            head = next(reply.raw.stream(_CHUNK), b"")
            return reply.status_code == 200 and head.lstrip().startswith(b"{")
    except requests.RequestException:
        return False


def _is_json(answer: SeenAnswer) -> bool:
    return "json" in answer.headers.get("Content-Type", "json").lower()


def decoded(body: bytes, encoding: str) -> bytes | None:
    """The body without its content encoding, at most `MOST_JUDGED_BYTES` of it; None where that
    encoding is not known.
    """
    if encoding.strip().lower() in {"", "identity"}:
        return body
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        return None
    try:
        # 32: zlib and gzip are told apart by their first bytes.
        return zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(body, MOST_JUDGED_BYTES)
    except zlib.error:
        return b""


def _tls_error(url: EndpointUrl, error: requests.exceptions.SSLError) -> SetupError:
    text = str(error)
    if (
        "WRONG_VERSION_NUMBER" in text
        or "UNKNOWN_PROTOCOL" in text
        or "record layer" in text.lower()
    ):
        return SetupError(f"{url.text}: the server speaks no TLS", "begin the address with http://")
    mend = "name the file of the authority's certificate: endpoint.ca, or --ca FILE"
    return SetupError(f"{url.text}: its certificate is not trusted: {_short(text)}", mend)


def _short(text: str) -> str:
    """What the TLS library says, without the layers around it."""
    at = text.find("certificate verify failed")
    return text[at : at + 160].rstrip("')(") if at >= 0 else text[:160]
