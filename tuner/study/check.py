"""What must be there before a study runs, each with the mend where it is not."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tuner.backends.backend import Backend, DeployingBackend
from tuner.backends.dask_cluster import RESOURCE, DaskCluster, HostsThere, dask_cluster, hosts_there
from tuner.backends.quiet import MOST_SECONDS, too_busy
from tuner.deploy.docker_engine import connect, serving_image
from tuner.deploy.network_tools import NetworkTools, probe_tools
from tuner.deploy.ownership import LABEL, Owner
from tuner.deploy.rules import plan_rules
from tuner.errors import SetupError, TuneError
from tuner.files import require_writable
from tuner.load.engine_place import allow_files, require_ports
from tuner.measure.host_use import HostUse, watch_host
from tuner.measure.measurement import Missing
from tuner.measure.powercap import missing_energy
from tuner.measure.proc import SYS
from tuner.measure.score import refuse_unmeasurable
from tuner.results.percentile_needs import percentile_needs
from tuner.search.make_sampler import require_sampler
from tuner.serving.built_model import model_checksum, require_built
from tuner.serving.image import base_tag
from tuner.spec.host import Host
from tuner.spec.metrics import PERCENTILES
from tuner.spec.study import NetworkSpec, StudySpec
from tuner.study.check_line import Check, checked
from tuner.study.check_swarm import swarm_checks
from tuner.study.start import refuse_another
from tuner.study.storage import (
    finished_trials,
    open_storage,
    optuna_study,
    sqlite_path,
    summaries,
)
from tuner.study.storage_url import without_password

_MIN_DISK_MIB = 1024
_LOOK_SECONDS = 1.0

Watch = Callable[[float], HostUse | None]
"""Says who uses this host in the next seconds."""


def checks(
    study: StudySpec,
    results: Path,
    url: str,
    make: Callable[[], Backend],
    *,
    backend: str = "docker",
    watch: Watch = watch_host,
    senders_on: str | None = None,
) -> Iterator[Check]:
    """All checks, each as soon as it is done; none raises for what it looks for.

    `make` makes the backend of that name for the study. Engine, model and host are needed by
    `docker` only, a swarm by `swarm`, the hosts of a Dask cluster where they send (`senders_on`).
    """
    made: list[Backend] = []

    def backend_made() -> str:
        made.append(make())
        return f"backend {backend} can measure this study"

    if backend == "docker":
        yield from _engine(study)
        yield checked("model", lambda: _model(study))
    if backend == "swarm":
        yield from swarm_checks(study)
        yield checked("model", lambda: _model(study))
    yield checked("backend", backend_made)
    yield checked("metrics", lambda: _measurable(study, made))
    if senders_on is not None:
        yield checked("senders", lambda: _senders(made))
    yield checked("sampler", lambda: _sampler(study))
    if PERCENTILES.keys() & set(study.metrics):
        done = partial(finished_trials, study.name, url)
        yield checked("percentiles", lambda: str(percentile_needs(study, done())))
    if backend == "swarm":
        yield checked("nodes tried", lambda: _tried(study, made))
    if backend in {"docker", "swarm"}:
        yield checked("connections", lambda: _connections(study))
    if backend == "docker":
        yield _resources(study)
        yield _quiet(study, watch)
    yield _disk(results)
    yield checked("results", lambda: _writable(results, url))
    yield checked("storage", lambda: _storage(study, url, backend))


def checks_on(
    on: str, study: StudySpec, results: Path, url: str, *, backend: str
) -> Iterator[Check]:
    """As `checks`, for a run on the hosts of a Dask cluster (`on`): each host looks at itself.

    Where two hosts say the same it is one line; what a host lacks has a line of its own.
    """
    with ExitStack() as world:
        found: list[tuple[DaskCluster, HostsThere]] = []

        def hosts() -> str:
            cluster = world.enter_context(dask_cluster(on))
            there = hosts_there(cluster, study, backend)
            found.append((cluster, there))
            names = ", ".join(w.name for w in there.workers.values())
            alike = ", ".join(f"{name} {text}" for name, text in there.reference.alike.items())
            without = f"; not used, without the resource {RESOURCE}: {', '.join(there.ignored)}"
            return f"{names}: {alike}{without if there.ignored else ''}"

        yield checked("hosts", hosts)
        for cluster, there in found:
            yield checked("metrics", partial(_measured_in, study, there.unmeasurable))
            if backend == "docker":
                answers = cluster.on_each(list(there.workers.values()), host_checks, study)
                yield from _of_all({there.workers[a].name: each for a, each in answers.items()})
    yield checked("sampler", lambda: _sampler(study))
    yield _disk(results)
    yield checked("results", lambda: _writable(results, url))
    yield checked("storage", lambda: _storage(study, url, backend))


def host_checks(study: StudySpec) -> tuple[Check, ...]:
    """What a host finds of itself that is to measure a study of containers, which another machine
    has sent.
    """
    from tuner.backends.dask_host import study_here  # noqa: PLC0415 -- an extra

    here = study_here(study)
    return (
        *_engine(here),
        checked("model", lambda: _model(here)),
        checked("connections", lambda: _connections(here)),
        _resources(here),
        _quiet(here, watch_host),
    )


def _of_all(found: Mapping[str, Sequence[Check] | TuneError]) -> Iterator[Check]:
    """The checks of several hosts, by their names, as those of one."""
    of_name: dict[str, dict[str, Check]] = {}
    for host, checks_there in found.items():
        if isinstance(checks_there, TuneError):
            yield Check(f"host {host}", False, checks_there.message, checks_there.mend)
            continue
        for check in checks_there:
            of_name.setdefault(check.name, {})[host] = check
    for name, by_host in of_name.items():
        texts = {check.found for check in by_host.values() if check.ok}
        if len(texts) == 1:
            yield Check(name, True, f"{texts.pop()}, on each host")
        elif texts:
            good = (f"{host}: {check.found}" for host, check in by_host.items() if check.ok)
            yield Check(name, True, "; ".join(good))
        for host, check in by_host.items():
            if not check.ok:
                yield Check(f"{name} on {host}", False, check.found, check.mend)


def require_places(results: Path, url: str) -> None:
    """Raise InputError where a run could not write its results, or the SQLite file at `url`."""
    require_writable(results)
    if (path := sqlite_path(url)) is not None:
        require_writable(path.parent)


def _engine(study: StudySpec) -> Iterator[Check]:
    with ExitStack() as world:
        client = None

        def engine() -> str:
            nonlocal client
            client = world.enter_context(connect())
            return f"Docker Engine {client.version()['Version']}"

        yield checked("engine", engine)
        if client is not None:
            engine_client = client

            yield checked("image", lambda: serving_image(engine_client, study.serving))
            yield checked(
                "network",
                lambda: _network(probe_tools(engine_client, base_tag(), _labels()), study),
            )
        else:
            yield Check("image", False, "not looked for: no engine", "see above")
            yield Check("network", False, "not tried: no engine", "see above")


def _labels() -> dict[str, str]:
    return {LABEL: str(Owner.this())}


def _network(tools: NetworkTools, study: StudySpec) -> str:
    """The network tools in words. Raises SetupError where the worst network needs more."""

    def highest(*names: str) -> float:
        ends = [p.choices or (p.high,) for p in study.search_space if p.name in names]
        return max((float(end) for values in ends for end in values if end is not None), default=0)

    worst = NetworkSpec(
        loss_in=highest("loss", "loss_in"),
        loss_out=highest("loss", "loss_out"),
        delay_ms=highest("delay"),
        bandwidth_mbit=highest("bandwidth") or None,
    )
    plan_rules(worst, tools, ("192.0.2.1",), 1, None)  # an address for documentation, RFC 5737
    return str(tools)


def _tried(study: StudySpec, made: Sequence[Backend]) -> str:
    """What every node's kernel can do to a network, once all was made there that a run makes.

    Raises as the backend, and SetupError where the worst network needs more.
    """
    if not made:
        raise SetupError("not tried: there is no backend", "see above")
    with made[0] as backend:
        tools = backend.environment()["network_tools"]
    return f"each was asked by this machine; {_network(NetworkTools(**tools), study)}"


def _senders(made: Sequence[Backend]) -> str:
    """Who sends, once each has been asked. Raises as a `SenderPlace`."""
    backend = made[0] if made else None
    if not isinstance(backend, DeployingBackend) or backend.senders is None:
        raise SetupError("not tried: there is no backend that sends", "see above")
    with backend.senders as place:
        return place.in_words()


def _measurable(study: StudySpec, made: Sequence[Backend]) -> str:
    """The metrics of the study in words. Raises InputError where this host cannot measure one."""
    return _measured_in(study, made[0].unmeasurable() if made else missing_energy(SYS))


def _measured_in(study: StudySpec, missing: Mapping[str, Missing]) -> str:
    refuse_unmeasurable(study.metrics, missing)
    return ", ".join(study.metrics)


def _sampler(study: StudySpec) -> str:
    require_sampler(study.search.sampler, study.search_space)
    return study.search.sampler


def _connections(study: StudySpec) -> str:
    """The most connections. Raises SetupError where the load engine could not open them."""
    most = _most(study, "concurrency")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        allow_files(most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    require_ports(most, min(int(n) for n in study.search_space["replicas"].values() or (1,)))
    return f"{most} at most"


def _most(study: StudySpec, name: str) -> int:
    parameter = study.search_space[name]
    return max(int(value) for value in parameter.values() or (parameter.high,) if value is not None)


def _writable(results: Path, url: str) -> str:
    require_places(results, url)
    return str(results)


def _model(study: StudySpec) -> str:
    require_built(study.model)
    checksum = model_checksum(study.model)
    where = "in its image" if checksum is None else f"sha256 {checksum[:12]}"
    return f"{study.model.name}, {where}"


def _resources(study: StudySpec) -> Check:
    host = Host.this()
    memory, replicas = _most(study, "memory"), _most(study, "replicas")
    available = _available_mib()
    resources = f"{host.cpus} CPUs, {available} MiB of memory available"
    if memory * replicas > available:
        return Check(
            "host",
            False,
            f"{resources}; {replicas} replicas of {memory} MiB may need {memory * replicas} MiB",
            "lower the highest `memory` or `replicas` of the search space, or free memory",
        )
    return Check("host", True, resources)


def _quiet(study: StudySpec, watch: Watch) -> Check:
    """How much of the host others use. A busy host is no reason not to run: a run waits."""
    use = watch(_LOOK_SECONDS)
    if use is None:
        return Check("quiet", True, "not known: this machine has no /proc/stat")
    used = (
        f"other processes use {use.foreign_percent:.0f} % of the host's CPU time, other machines"
        f" {use.steal_percent:.0f} %"
    )
    if not too_busy(use, study.load.max_foreign_percent):
        return Check("quiet", True, used)
    return Check(
        "quiet",
        True,
        f"{used}: too busy now. A run waits for quiet, at most {MOST_SECONDS / 60:.0f} min; stop"
        " what else runs (`top` shows it), or raise load.max_foreign_percent (now"
        f" {study.load.max_foreign_percent:g}), which a study that has begun takes too",
    )


def _available_mib() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return Host.this().memory_mib


def _disk(results: Path) -> Check:
    place = results
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free // 2**20
    ok = free >= _MIN_DISK_MIB
    return Check(
        "disk", ok, f"{free} MiB free at {place}", "" if ok else f"free {_MIN_DISK_MIB} MiB there"
    )


def _storage(study: StudySpec, url: str, backend: str) -> str:
    path = sqlite_path(url)
    if path is not None and not path.exists():
        return f"{url} (will be made)"
    storage = open_storage(url, create=False)
    if study.name in {held.name for held in summaries(storage)}:
        refuse_another(study, optuna_study(study.name, storage), backend)
    return without_password(url)
