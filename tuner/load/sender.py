"""The load generator, which sends the burst of a trial.

An engine in a process of its own sends, or several do (`tuner.load.senders`), and streams completed
requests once a tick. This process decides when warm-up and window end, always at a tick. It then
reads the containers' counters while the load goes on: the load does not stop at either end of the
window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from tuner.errors import InputError
from tuner.load import wire
from tuner.load.any_server import AnyServer
from tuner.load.engine_process import StartEngine, started_engine
from tuner.load.grpc import unframed
from tuner.load.load_client import CheckAnswer, LoadClient, tick_seconds
from tuner.load.senders import Senders
from tuner.load.target import Target
from tuner.serving.servers.call import Call
from tuner.spec.study import LoadProfile


def engines_here(senders: int) -> Sequence[StartEngine]:
    """So many engines on this machine."""
    return [started_engine] * senders


@dataclass(frozen=True)
class LoadGenerator:
    """Sends bursts over keep-alive connections, in closed or open loops.

    `engines` gives what starts each of so many engines: here by default.
    """

    engines: Callable[[int], Sequence[StartEngine]] = engines_here

    @contextmanager
    def connect(
        self,
        target: Target,
        profile: LoadProfile,
        calls: Sequence[Call],
        *,
        check: CheckAnswer | None = None,
        server: AnyServer | None = None,
    ) -> Iterator[LoadClient]:
        """Open `profile.concurrency` connections to `target`, idle until the client runs.

        Connection i goes to replica i modulo the number of replicas, so with fewer connections than
        replicas some replicas stay idle. The engine opens them from the target's `client_namespace`
        and runs on its `client_cpus`. `calls` are in the profile's protocol. They are sent in an
        order drawn with the profile's seed. After the burst `check` gets the bodies (of gRPC: the
        messages) of some of the answers; wrong ones become `RequestOutcome.WRONG_ANSWER`.

        `profile.senders` engines share the connections, at most one for each. They end with the
        block, whatever happens. Enter and leave the block in one thread.
        Raises TrialFailed where a connection cannot be opened, the namespace cannot be entered or
        the engine dies, SetupError where this process may not open so many files, InputError for a
        rate without `arrivals` for an open loop.
        """
        setup = wire.Setup(
            addresses=tuple(target.addresses),
            concurrency=profile.concurrency,
            protocol=profile.protocol,
            arrivals=_arrivals(profile),
            namespace=target.client_namespace,
            cpus=tuple(target.client_cpus),
            host=target.model_name,
            seed=profile.seed,
            tick_seconds=tick_seconds(profile),
            timeout_seconds=profile.spec.timeout_seconds,
            calls=tuple(calls),
            gaps=profile.gaps,
            senders=min(profile.senders, profile.concurrency),
            any_server=server is not None,
            **(asdict(server) if server else {}),
        )
        if profile.protocol == "grpc" and check is not None:
            check = _of_messages(check)
        with Senders(setup, self.engines(setup.senders)) as senders:
            yield LoadClient(senders, target, profile, check)


def _of_messages(check: CheckAnswer) -> CheckAnswer:
    """The same check for the body of an answer in gRPC."""

    def of_body(number: int, body: bytes) -> bool:
        try:
            return check(number, unframed(body))
        except ValueError:
            return False

    return of_body


def _arrivals(profile: LoadProfile) -> str:
    rate, arrivals = profile.rate_rps, profile.spec.arrivals
    if rate is None:
        return "closed"
    if arrivals == "closed" or rate <= 0:
        raise InputError(
            f"a rate of {rate:g} requests/s with {arrivals} arrivals",
            "An open loop needs a rate above 0, and constant or poisson arrivals.",
        )
    if (arrivals == "trace") != bool(profile.gaps):
        raise InputError(
            f"{arrivals} arrivals with {len(profile.gaps)} recorded times",
            "Recorded times are for arrivals: trace, which needs them.",
        )
    return arrivals
