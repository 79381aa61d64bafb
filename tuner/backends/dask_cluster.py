"""A Dask cluster, seen from the process that asks and tells: its hosts, and what they say."""

from __future__ import annotations

import logging
import pkgutil
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import tuner
from tuner.addresses import address_parts
from tuner.errors import InputError, SetupError, TuneError, Unreachable
from tuner.measure.measurement import Missing
from tuner.spec.host import Host

if TYPE_CHECKING:
    from distributed import Client, Future

    from tuner.backends.dask_host import HostReport
    from tuner.spec.study import StudySpec

RESOURCE = "tune_host"
"""The Dask resource that says that a worker may measure; each has one of it."""

SENDER = "tune_sender"
"""As above: that a worker may send."""

_OF_CPUS = ("CPU model", "CPUs")
"""In what hosts may differ where a study says `hosts: any`."""

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""So long a host may take to say what it has; a large model's checksum takes some seconds."""

_SCHEMES = {"dask": "tcp", "tcp": "tcp", "dask+tls": "tls", "tls": "tls"}
_NAMED = ("dask://HOST:8786", "dask+tls://HOST:8786")

T = TypeVar("T")


def scheduler_address(on: str) -> str:
    """The scheduler's address as Dask has it (`tcp://HOST:PORT`). Raises InputError."""
    parts = address_parts(on)
    if (
        parts is None
        or parts.scheme not in _SCHEMES
        or not parts.hostname
        or not parts.port
        or parts.path.strip("/")
    ):
        raise InputError(
            f"{on} is no address of a Dask scheduler",
            f"expected {' or '.join(_NAMED)}, as `dask scheduler` prints it",
        )
    host = parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]"
    return f"{_SCHEMES[parts.scheme]}://{host}:{parts.port}"


def require_fit_for_senders(on: str, backend: str) -> None:
    """Raise InputError where `on` names no cluster, or its hosts cannot reach what is measured."""
    scheduler_address(on)
    if backend not in {"swarm", "endpoint"}:
        raise InputError(
            f"what backend {backend} measures cannot be reached from other hosts",
            "leave --senders-on out, or use --backend swarm or endpoint",
        )
    require_dask()


def require_fit_for_hosts(on: str, backend: str) -> None:
    """Raise InputError where `on` names no cluster, or the backend does not measure on hosts."""
    scheduler_address(on)
    why = {
        "replay": "backend replay measures nothing, so it needs no hosts",
        "swarm": "a swarm spans hosts by itself: one process deploys on all its nodes",
        "endpoint": "an endpoint is one service: load from several hosts at once would disturb"
        " every measurement of it",
    }
    if backend in why:
        raise InputError(why[backend], "leave --on out, or use another --backend")
    require_dask()


def require_dask() -> None:
    """Raise InputError where Dask is not installed."""
    try:
        import distributed  # noqa: F401, PLC0415 -- an extra
    except ImportError as error:
        raise InputError(
            "hosts of a Dask cluster need Dask, which is not installed",
            "pip install 'tune-serving[dask]', here and on each host, with one version",
        ) from error


@dataclass(frozen=True)
class WorkerFacts:
    """A worker as the scheduler knows it; `name` is the host's name in a study."""

    name: str
    address: str
    measures: bool
    sends: bool = False


@dataclass(frozen=True)
class DaskCluster:
    """A connection to a scheduler. `address` is as the user named it."""

    address: str
    client: Client

    @property
    def connected(self) -> bool:
        return bool(self.client.status == "running")

    def workers(self) -> Mapping[str, WorkerFacts]:
        """All workers by their address at Dask, in the order of their names.

        Raises Unreachable where the scheduler is gone.
        """
        if not self.connected:
            raise self.lost()
        try:
            known = self.client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError) as error:
            raise self.lost() from error
        workers = []
        for address, facts in known.items():
            has = facts.get("resources", {})
            measures, sends = (float(has.get(what, 0)) >= 1 for what in (RESOURCE, SENDER))
            name = str(facts.get("name") or address)
            workers.append(WorkerFacts(name, address, measures, sends))
        return {w.address: w for w in sorted(workers, key=lambda w: w.name)}

    def measuring(self) -> Mapping[str, WorkerFacts]:
        """Those that may measure. Raises SetupError where there is none."""
        return self._those(RESOURCE, lambda worker: worker.measures, "")

    def sending(self) -> Mapping[str, WorkerFacts]:
        """Those that may send. Raises SetupError where there is none."""
        return self._those(SENDER, lambda worker: worker.sends, " --sends")

    def _those(
        self, resource: str, may: Callable[[WorkerFacts], bool], option: str
    ) -> Mapping[str, WorkerFacts]:
        workers = self.workers()
        if those := {address: w for address, w in workers.items() if may(w)}:
            return those
        has = f"has {len(workers)} workers" if workers else "has no worker"
        raise SetupError(
            f"the Dask scheduler at {self.address} {has}, and none with the resource {resource}=1",
            f"start one on each host: tune worker --dask {scheduler_address(self.address)}{option}",
        )

    def lost(self) -> Unreachable:
        return Unreachable(
            f"the Dask scheduler at {self.address} does not answer any more",
            "see whether it runs and can be reached; workers find it again by themselves",
        )

    def on_each(
        self, workers: Sequence[WorkerFacts], function: Callable[..., T], *arguments: object
    ) -> Mapping[str, T | TuneError]:
        """What a function returns on each worker, by the worker's address at Dask.

        It runs as a task. A TuneError stands for an answer that did not come in time, or that was
        another error.
        """
        futures = {
            worker.address: self.client.submit(
                function, *arguments, workers=[worker.address], pure=False, priority=10
            )
            for worker in workers
        }
        self.wait_for(list(futures.values()), ANSWER_SECONDS)
        return {w.address: answer_of(w, futures[w.address]) for w in workers}

    def wait_for(self, futures: Sequence[Future[Any]], seconds: float) -> None:
        """Wait until they are done, for at most so long."""
        from distributed import wait  # noqa: PLC0415 -- an extra

        with suppress(TimeoutError), self.client.as_current():
            wait(futures, timeout=seconds)

    def refuse_versions(self, workers: Sequence[WorkerFacts]) -> None:
        """Raise SetupError where a worker has another tune, Dask or Python, naming what differs."""
        for worker in workers:
            if fault := self.version_fault(worker):
                raise fault

    def version_fault(self, worker: WorkerFacts) -> SetupError | None:
        """The versions that a worker has other than this process, as an error; None where none."""
        here = {
            "tune": tuner.__version__,
            "Dask distributed": str(pkgutil.resolve_name("distributed:__version__")),
            "Python": ".".join(platform.python_version_tuple()[:2]),
        }
        there = {
            "tune": self._of_worker(worker, "tuner:__version__"),
            "Dask distributed": self._of_worker(worker, "distributed:__version__"),
            "Python": ".".join(self._of_worker(worker, "sys:version").split()[0].split(".")[:2]),
        }
        differ = [f"{n} {there[n]}, not {here[n]}" for n in here if there[n] != here[n]]
        if not differ:
            return None
        return SetupError(
            f"worker {worker.name} has {'; '.join(differ)}",
            "install the same versions there, into the environment of the worker, and start it"
            " again",
        )

    def _of_worker(self, worker: WorkerFacts, name: str) -> str:
        """A text that a module of the worker holds, `none` where it lacks the module.

        It is asked for by functions of Python's own, which a worker has whatever else it lacks.
        """
        try:
            found = self.client.run(pkgutil.resolve_name, name, workers=[worker.address])
            return str(found[worker.address])
        except ImportError:
            return "none"
        except (OSError, TimeoutError, KeyError) as error:
            raise SetupError(
                f"worker {worker.name} at {worker.address} does not answer",
                "see whether this machine reaches it: Dask needs the ports of its workers too",
            ) from error

    def reports(
        self, workers: Sequence[WorkerFacts], study: StudySpec, backend: str
    ) -> Mapping[str, HostReport]:
        """What each worker says of its host. Raises TuneError where one does not answer."""
        from tuner.backends.dask_host import host_report  # noqa: PLC0415 -- an extra

        found = self.on_each(workers, host_report, study, backend)
        reports = {}
        for address, report in found.items():
            if isinstance(report, TuneError):
                raise report
            reports[address] = report
        return reports


def answer_of(worker: WorkerFacts, future: Any) -> Any:  # noqa: ANN401 -- of any function
    """What a task on a worker returned; a TuneError where it returned nothing in time."""
    if future.status == "finished":
        return future.result()
    if future.status == "error":
        error = future.exception()
        if isinstance(error, TuneError):
            return error
        return SetupError(
            f"worker {worker.name} failed: {error!r}", "see the output of its `tune worker`"
        )
    future.cancel()
    return SetupError(
        f"worker {worker.name} did not answer in {ANSWER_SECONDS:.0f} s",
        "see whether it is busy (another run?) or hangs; end it by Ctrl-C and start it again",
    )


@contextmanager
def dask_cluster(on: str) -> Iterator[DaskCluster]:
    """A connection to the scheduler of that address.

    Raises InputError for what is no address and where Dask is not installed, SetupError where no
    scheduler answers.
    """
    address = scheduler_address(on)
    require_dask()
    from distributed import Client  # noqa: PLC0415 -- an extra
    from distributed.versions import VersionMismatchWarning  # noqa: PLC0415

    silence_dask()
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="tune")
    except (OSError, TimeoutError, ImportError, ValueError) as error:
        raise SetupError(
            f"no Dask scheduler answers at {on}: {in_a_line(error)}",
            "start one (`dask scheduler --host ADDRESS`), or mend the address; by TLS it is"
            " dask+tls://",
        ) from error
    try:
        yield DaskCluster(on, client)
    finally:
        client.close(timeout=CONNECT_SECONDS)


def silence_dask() -> None:
    """Nothing that Dask logs is printed: what this process reads in it, it says in one line.

    Dask sets up its loggers when it is imported, so this comes after.
    """
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(frozen=True)
class HostsThere:
    """The hosts of a cluster that may measure a study together, by the address at Dask."""

    workers: Mapping[str, WorkerFacts]
    reports: Mapping[str, HostReport]
    ignored: Sequence[str] = field(default_factory=tuple)

    @property
    def reference(self) -> HostReport:
        """That of the first: what others must be like."""
        return next(iter(self.reports.values()))

    @property
    def unmeasurable(self) -> Mapping[str, Missing]:
        """The metrics that one of them cannot measure, by name."""
        return {n: m for r in self.reports.values() for n, m in r.unmeasurable.items()}

    @property
    def host(self) -> Host:
        """What each of them has at least."""
        reports = self.reports.values()
        return Host(
            min(report.cpus for report in reports),
            min(report.host.memory_mib for report in reports),
        )


def hosts_there(cluster: DaskCluster, study: StudySpec, backend: str) -> HostsThere:
    """The hosts that may measure `study`; nothing is deployed.

    Raises TuneError where there is none, where one lacks something, and where two differ in what
    must be alike; the message names the host and what it is.
    """
    measuring = cluster.measuring()
    workers = list(measuring.values())
    cluster.refuse_versions(workers)
    there = HostsThere(
        measuring,
        cluster.reports(workers, study, backend),
        tuple(w.name for w in cluster.workers().values() if not w.measures),
    )
    first = workers[0]
    for worker in workers:
        report = there.reports[worker.address]
        if fault := host_fault(worker.name, report):
            raise fault
        fault = host_difference(study, first.name, there.reference, worker.name, report)
        if fault is not None:
            raise fault
    return there


def host_fault(host: str, report: HostReport) -> SetupError | None:
    """Why a host cannot measure, as an error; None where it can."""
    return None if report.fault is None else naming_host(host, report.fault)


def naming_host(host: str, fault: TuneError) -> SetupError:
    """What went wrong on a host, as an error that names it."""
    return SetupError(f"host {host}: {fault.message}", fault.mend)


def host_difference(
    study: StudySpec, host: str, report: HostReport, other: str, others: HostReport
) -> SetupError | None:
    """In what `other` differs from `host`, as an error; None where they are alike.

    Hosts of a study that says `hosts: any` may have other CPUs.
    """
    names = [*report.alike, *(name for name in others.alike if name not in report.alike)]
    differ = [
        f"{name} is {others.alike.get(name, 'unknown')}, not {report.alike.get(name, 'unknown')}"
        for name in names
        if others.alike.get(name) != report.alike.get(name)
        and (study.hosts == "alike" or name not in _OF_CPUS)
    ]
    if not differ:
        return None
    return SetupError(
        f"host {other} differs from host {host}: {'; '.join(differ)}",
        "make them alike, or end the workers of those that are not. Where only their CPUs differ,"
        " `hosts: any` in the study lets them take part",
    )
