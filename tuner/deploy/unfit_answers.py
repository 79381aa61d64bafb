"""Answers by which nothing can be measured, whatever they say."""

from __future__ import annotations

from tuner.deploy.reach import MOST_BYTES, HttpReply
from tuner.errors import InputError
from tuner.serving.servers.call import Call


def refuse_unfit_answer(answer: HttpReply, call: Call) -> None:
    """Raise InputError, with what was seen and the mend, for an answer of the wrong kind.

    A wrong answer of the right kind is left to its judge.
    """
    seen = _unfit(answer, call)
    if seen is not None:
        what, mend = seen
        raise InputError(f"{call.method} {call.path} is answered {what}", mend)


def _unfit(answer: HttpReply, call: Call) -> tuple[str, str] | None:
    """What it is, and the mend; None where it may be measured."""
    if 300 <= answer.status < 400 and answer.status != call.status:
        target = answer.headers.get("Location", "nowhere")
        return (
            f"by a redirect to {target} (HTTP {answer.status}), which a load does not follow",
            "name the path, and where that is https the port, that answers itself",
        )
    if answer.version < 11 or answer.headers.get("Connection", "").lower() == "close":
        return (
            f"in HTTP/{answer.version / 10:.1f}, after which the server ends the connection",
            "serve HTTP/1.1 and keep connections open (http.server: protocol_version = 'HTTP/1.1')",
        )
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        return (
            f"compressed ({encoding}), although the request does not accept that",
            "switch compression off in the server: an answer is judged by its plain bytes",
        )
    if len(answer.body) > MOST_BYTES:
        return (
            f"with more than {MOST_BYTES // 2**20} MiB",
            "ask for less: such an answer measures the network",
        )
    return None
