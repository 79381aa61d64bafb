"""Docker's client, but what the engine and the way to it do wrong is raised as `tuner.errors` say.

This is the one place where faults of the engine become errors of `tune`:

- It does not answer: Unreachable, at once for every further call of the same client.
- It refuses for a reason that no configuration and no repetition changes, such as a full disk:
  SetupError.
- It did not finish a step in time but answers others: TrialFailed.

Any other refusal is an APIError, as callers ask for its kind (NotFound, conflict). Who called has
`engine_failure` make a TuneError of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from http.client import RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

import requests
from docker import APIClient, DockerClient
from docker.errors import APIError, DockerException, ImageNotFound
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Late

from tuner.deploy.ending import FIND_IT
from tuner.deploy.engine_address import EngineAddress
from tuner.errors import SetupError, TrialFailed, TuneError, Unreachable
from tuner.interrupts import shielded

FAULTS = (DockerException, requests.RequestException, HTTPError)
"""What Docker's client raises, and the HTTP client below it."""

START = "start it (`systemctl start docker`)"

CALL_SECONDS = 60.0
"""So long one call may take. A busy engine is slow, and to create a container is much work."""

PING_SECONDS = 15.0
"""So long an engine may take to say that it is there."""

POOL = 64
"""Connections to the engine: replicas are created, probed and removed in parallel."""


@dataclass(frozen=True)
class _Refusal:
    """What the engine's words mean that match `pattern`, and what to do."""

    pattern: str
    meaning: str
    mend: str


_REFUSALS = (
    _Refusal(
        "no space left on device|disk quota exceeded",
        "the Docker Engine has no space left",
        "free some where it keeps its data (`docker system df`, `docker system prune`)",
    ),
    _Refusal(
        "non-overlapping IPv4 address pool|predefined address pools have been fully subnetted",
        "the Docker Engine has no addresses left for another network",
        "remove networks that nothing uses (`docker network prune`), or give the engine more"
        " (`default-address-pools` in its daemon.json)",
    ),
    _Refusal(
        "permission denied.*docker.sock|authorization denied by plugin",
        "the Docker Engine does not let this user in",
        "let an administrator allow it (`docker version` shows the same)",
    ),
    _Refusal(
        "read-only file system",
        "the Docker Engine cannot write its data",
        "look at the disk where it keeps them (`docker info`: Docker Root Dir)",
    ),
)


class EngineClient(DockerClient):
    """A client of the engine at an address. Raises as Docker's own when it is made."""

    def __init__(self, address: EngineAddress, base_url: str, seconds: float) -> None:
        self.api = _Api(address, base_url=base_url, timeout=seconds, tls=address.tls or False)


class _Api(APIClient):
    def __init__(self, address: EngineAddress, **known: Any) -> None:  # noqa: ANN401 -- as there
        self._address = address
        self._lost = ""
        try:
            super().__init__(max_pool_size=POOL, **known)
        except BaseException:
            self.close()
            raise

    def send(
        self,
        request: requests.PreparedRequest,
        **options: Any,  # noqa: ANN401 -- as there
    ) -> requests.Response:
        """Every request goes through here."""
        if self._lost:
            raise unreachable(self._address, self._lost)
        # What the engine was asked to make it makes, whether anybody waits for it or not. An
        # interrupt in between would remove all that is there, and the engine add that a moment
        # later.
        makes = request.method == "POST" and urlsplit(request.url or "").path.endswith("/create")
        try:
            with shielded() if makes else nullcontext():
                return super().send(request, **options)
        except requests.RequestException as error:
            if not _is_late(error):
                self._lost = engine_reason(error)
            elif not self._answers():
                self._lost = f"it has not answered for {_seconds(options):g} s"
            else:
                raise TrialFailed(
                    f"the Docker Engine did not finish {_step(request)} within"
                    f" {_seconds(options):g} s",
                    "look at what else it does (`docker events`, its log)",
                ) from error
            raise unreachable(self._address, self._lost) from error

    def merge_environment_settings(
        self,
        *arguments: Any,  # noqa: ANN401 -- as there
        **options: Any,  # noqa: ANN401 -- as there
    ) -> Any:  # noqa: ANN401 -- as there
        # REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE name whom to trust where nothing else is said. An
        # authority of the engine's own is, and requests would forget it for theirs.
        merged = super().merge_environment_settings(*arguments, **options)
        return merged if self.verify is True else {**merged, "verify": self.verify}

    def create_container(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- as there
        # What is measured depends on the study alone, not on the proxies in this user's
        # configuration. An export lacks them too.
        options["use_config_proxy"] = False
        return super().create_container(*arguments, **options)

    def _answers(self) -> bool:
        ping = self.prepare_request(requests.Request("GET", f"{self.base_url}/_ping"))
        try:
            super().send(ping, timeout=min(PING_SECONDS, self.timeout))
        except requests.RequestException:
            return False
        return True

    def _raise_for_status(self, response: requests.Response) -> None:
        try:
            super()._raise_for_status(response)  # type: ignore[misc] # not in the stubs
        except APIError as error:
            of_the_world = _of_the_world(error, response.request)
            if of_the_world is not None:
                raise of_the_world from error
            raise


def unreachable(address: EngineAddress, reason: str) -> Unreachable:
    return Unreachable(f"the Docker Engine at {address} does not answer: {reason}", START)


def engine_failure(error: Exception) -> TuneError:
    """The error of `tune` for one of `FAULTS` that a call outside of any trial raised."""
    reason = engine_reason(error)
    if _is_late(error):
        return SetupError(f"the Docker Engine did not finish a step in time: {reason}")
    if re.search("[Cc]ontainer [0-9a-f]+ is not running", reason):
        return SetupError(
            f"something else ended a container that is needed: {reason}",
            f"{FIND_IT} Then run again.",
        )
    return SetupError(
        f"the Docker Engine failed: {reason}",
        "look into its log (`journalctl -u docker`), then run again",
    )


def refused_step(error: APIError) -> TrialFailed:
    """The error of `tune` for a refusal in a trial. The next attempt may go well."""
    reason = str(error.explanation or error)
    mend = ""
    if re.search("port is already allocated|address already in use", reason):
        mend = "free that port (`docker ps` and `ss -ltnp` show who has it)"
    return TrialFailed(f"the Docker Engine refused a step: {reason}", mend)


def engine_reason(error: BaseException) -> str:
    """What lies at the bottom of an error of the engine or of the HTTP client, in one line."""
    for cause in _causes(error):
        if isinstance(cause, APIError) and cause.explanation:
            return str(cause.explanation).splitlines()[0]
        if isinstance(cause, RemoteDisconnected | ConnectionResetError | BrokenPipeError):
            return "it closed the connection"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]


def _is_late(error: BaseException) -> bool:
    """Whether it was waited for too long: for the answer, or for the rest of one."""
    return any(isinstance(cause, requests.Timeout | Late) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it holds as arguments or was raised from, from the top down."""
    yield error
    held = [*error.args, getattr(error, "reason", None), error.__cause__ or error.__context__]
    for inner in held:
        if isinstance(inner, BaseException):
            yield from _causes(inner)


def _of_the_world(error: APIError, request: requests.PreparedRequest) -> SetupError | None:
    reason = str(error.explanation or error)
    creates = (request.url or "").partition("?")[0].endswith("/containers/create")
    if isinstance(error, ImageNotFound) or (creates and "No such image" in reason):
        if not creates:
            return None  # who asks for an image wants to know whether it is there
        return SetupError(
            f"an image was removed from the Docker Engine meanwhile: {reason}",
            "make it again (`tune image build`, or `docker pull` for an image of your own)",
        )
    for known in _REFUSALS:
        if re.search(known.pattern, reason, re.IGNORECASE):
            return SetupError(f"{known.meaning}: {reason}", f"{known.mend}, then run again")
    return None


def _step(request: requests.PreparedRequest) -> str:
    """A call without the version of the API: `POST /containers/create`."""
    path = re.sub(r"^/v[\d.]+", "", request.path_url.partition("?")[0])
    return f"{request.method} {path}"


def _seconds(options: Any) -> float:  # noqa: ANN401 -- those of requests' `send`
    """How long a request was waited for."""
    timeout = options.get("timeout")
    return float(timeout if isinstance(timeout, int | float) else CALL_SECONDS)
