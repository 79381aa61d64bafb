"""The load engine beside wrk, ab, h2load, aiohttp and Locust: one server, one run, one table.

    python benchmarks/load_engine.py [--seconds 2] [--rounds 3] [--peers-python PYTHON]

nginx answers a 2.9 KB POST on loopback, on a CPU of its own where there are two; whoever sends
has another. Rounds are interleaved and medians are shown, since neighbours come and go. Needs
nginx; a peer that is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tuner.load.sender import LoadGenerator
from tuner.measure.resources import client_cpu_ns
from tuner.measure.samples import ContainerCounters, RequestOutcome
from tuner.serving.servers.call import Call
from tuner.spec.study import LoadProfile, LoadSpec

BODY = b'{"instances":[' + b"0.125," * 480 + b"1]}"
JSON = "application/json"
PATH = "/v1/models/m:predict"
SPARE_SECONDS = 60
"""How much longer than its window a sender may take, start included."""


@dataclass(frozen=True)
class Result:
    """One run of one sender."""

    rate_rps: float
    p50_us: float
    p99_us: float
    cpu_us: float
    """CPU time of the sender per request."""


@dataclass(frozen=True)
class Nginx:
    """The server, seen as a target; its counters are of no interest here."""

    port: int
    client_cpus: tuple[int, ...]
    model_name = "m"
    client_namespace = None
    local = True

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        return (("127.0.0.1", self.port),)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def counters(self) -> tuple[ContainerCounters, ...]:
        return ()

    def cpu_times(self) -> tuple[tuple[int, int], ...]:
        return ()


Sender = Callable[[Nginx, int, int], Result]
"""Sends with so many connections for so many seconds."""


@contextmanager
def nginx(directory: Path, cpu: int, client_cpu: int) -> Iterator[Nginx]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"""
        daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
        events {{ worker_connections 4096; }}
        http {{
          access_log off; keepalive_requests 1000000000; client_body_temp_path {directory}/body;
          server {{
            listen 127.0.0.1:{port} backlog=4096;
            location / {{ default_type {JSON}; return 200 '{{"predictions":[1]}}'; }}
          }}
        }}
        """
    )
    command = ["nginx", "-e", f"{directory}/error.log", "-c", str(configuration)]
    server = subprocess.Popen(command)
    os.sched_setaffinity(server.pid, {cpu})
    try:
        await_port(port)
        yield Nginx(port, (client_cpu,))
    finally:
        server.terminate()
        server.wait()


def await_port(port: int) -> None:
    """Wait, at most 10 s, until something listens there."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def with_tune(target: Nginx, concurrency: int, seconds: int) -> Result:
    # A precision that no window reaches: it ends at its limit.
    spec = LoadSpec(min_seconds=seconds, max_seconds=seconds, precision=0.0, warmup_max_seconds=0.5)
    profile = LoadProfile(concurrency, spec, seed=0)
    with LoadGenerator().connect(target, profile, [Call("/v1/models/m:predict", BODY)]) as client:
        burst = client.run()
    samples = burst.samples
    end = samples.start_ns + samples.duration_ns
    window = samples.select((end >= burst.window_start_ns) & (end < burst.window_end_ns))
    if (samples.outcome != RequestOutcome.OK).any():
        sys.exit("requests failed")
    n = len(window)
    lasted = (burst.window_end_ns - burst.window_start_ns) / 1e9
    cpu_ns = client_cpu_ns(burst)
    return Result(n / lasted, *_percentiles(window.duration_ns / 1e3), cpu_ns / n / 1e3)


def with_wrk(target: Nginx, concurrency: int, seconds: int) -> Result:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            f"wrk.method = 'POST'\nwrk.body = '{BODY.decode()}'\n"
            f"wrk.headers['Content-Type'] = '{JSON}'\n"
            "done = function(summary, latency, requests)\n"
            "  io.write(string.format('RESULT %d %d %f %f\\n', summary.requests,"
            " summary.duration, latency:percentile(50), latency:percentile(99)))\nend\n"
        )
        script.flush()
        command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", "-s", script.name]
        output, cpu = _run([*command, target.url], seconds)
    found = re.search(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+)", output)
    assert found, output
    n, lasted_us, p50, p99 = (float(group) for group in found.groups())
    return Result(n / lasted_us * 1e6, p50, p99, cpu / n * 1e6)


def with_ab(target: Nginx, concurrency: int, seconds: int) -> Result:
    with tempfile.TemporaryDirectory() as name:
        body, table = Path(name, "body"), Path(name, "table.csv")
        body.write_bytes(BODY)
        command = ["ab", "-q", "-k", f"-c{concurrency}", f"-t{seconds}", "-n100000000"]
        command += ["-p", str(body), "-T", JSON, "-e", str(table)]
        output, cpu = _run([*command, target.url], seconds)
        lines = [line.split(",") for line in table.read_text().splitlines()[1:]]
    milliseconds = {int(share): float(value) for share, value in lines}
    rate = re.search(r"Requests per second:\s+([\d.]+)", output)
    total = re.search(r"Complete requests:\s+(\d+)", output)
    assert rate, output
    assert total, output
    p50, p99 = 1e3 * milliseconds[50], 1e3 * milliseconds[99]
    return Result(float(rate[1]), p50, p99, cpu / int(total[1]) * 1e6)


def with_h2load(target: Nginx, concurrency: int, seconds: int) -> Result:
    """HTTP/1.1; percentiles are those of its log, the writing of which it is charged for."""
    with tempfile.TemporaryDirectory() as name:
        body, log = Path(name, "body"), Path(name, "log")
        body.write_bytes(BODY)
        command = ["h2load", "--h1", "-t1", f"-c{concurrency}", f"-D{seconds}", f"-d{body}"]
        command += ["-H", f"Content-Type: {JSON}", f"--log-file={log}"]
        output, cpu = _run([*command, target.url], seconds)
        durations = np.loadtxt(log, np.float64, usecols=2)
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", output)
    assert rate, output
    return Result(float(rate[1]), *_percentiles(durations), cpu / len(durations) * 1e6)


AIOHTTP = """
import asyncio, json, resource, sys, time
import aiohttp, uvloop

url, concurrency, seconds, body = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
headers = {"Content-Type": "application/json"}

async def one(session, durations, until):
    while (start := time.perf_counter()) < until:
        async with session.post(url, data=body, headers=headers) as answer:
            await answer.read()
            assert answer.status == 200
        durations.append((time.perf_counter() - start) * 1e6)

async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        for lasts in (0.5, seconds):  # warm-up, window
            durations, began = [], time.perf_counter()
            cpu = resource.getrusage(resource.RUSAGE_SELF)
            until = began + lasts
            await asyncio.gather(*(one(session, durations, until) for _ in range(concurrency)))
        now = resource.getrusage(resource.RUSAGE_SELF)
        cpu = now.ru_utime + now.ru_stime - cpu.ru_utime - cpu.ru_stime
        print(json.dumps([time.perf_counter() - began, cpu, durations]))

uvloop.run(main())
"""
"""Run by the peers' Python, in a process of its own."""

LOCUST = """
import json, os, resource, time
import gevent
from locust import FastHttpUser, events, task

seconds, body = float(os.environ["SECONDS"]), os.environ["BODY"]
headers = {"Content-Type": "application/json"}
durations = []

class Caller(FastHttpUser):
    @task
    def predict(self):
        self.client.post(os.environ["URL"], data=body, headers=headers)

@events.request.add_listener
def note(response_time, exception, **_):
    assert exception is None, exception
    durations.append(response_time * 1e3)

@events.test_start.add_listener
def begin(environment, **_):
    gevent.spawn(window, environment.runner)

def window(runner):
    gevent.sleep(1)  # warm-up
    durations.clear()
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    gevent.sleep(seconds)
    lasted, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime
    with open(os.environ["OUT"], "w") as file:
        json.dump([lasted, cpu, durations], file)
    runner.quit()
"""
"""A locustfile."""


def with_aiohttp(target: Nginx, concurrency: int, seconds: int, *, python: str) -> Result:
    command = [python, "-c", AIOHTTP, target.url, str(concurrency), str(seconds), BODY.decode()]
    return _of_peer(_run(command, seconds)[0])


def with_locust(target: Nginx, concurrency: int, seconds: int, *, python: str) -> Result:
    with tempfile.TemporaryDirectory() as name:
        file, out = Path(name, "locustfile.py"), Path(name, "out.json")
        file.write_text(LOCUST)
        users = ["--users", str(concurrency), "--spawn-rate", str(concurrency)]
        command = [python, "-m", "locust", "--headless", "--only-summary", "-f", str(file), *users]
        more = {"SECONDS": str(seconds), "BODY": BODY.decode(), "URL": target.url, "OUT": str(out)}
        _run([*command, "--host", target.url], seconds, more)
        return _of_peer(out.read_text())


def _of_peer(text: str) -> Result:
    """From what a Python peer says about its window: seconds, CPU seconds, durations in us."""
    lasted, cpu, durations = json.loads(text)
    n = len(durations)
    return Result(n / lasted, *_percentiles(np.array(durations)), cpu / n * 1e6)


def _percentiles(durations_us: np.ndarray) -> tuple[float, float]:
    p50, p99 = np.percentile(durations_us, [50, 99])
    return float(p50), float(p99)


def _run(
    command: list[str], seconds: int, environment: dict[str, str] | None = None
) -> tuple[str, float]:
    """Standard output, and the CPU seconds that the command took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + SPARE_SECONDS,
        env=os.environ | (environment or {}),
    )
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def installed(python: str) -> tuple[dict[str, Sender], list[str]]:
    """Senders by name, and the names of peers that are not there."""
    tools: dict[str, Sender] = {"wrk": with_wrk, "ab": with_ab, "h2load": with_h2load}
    there = {name: sender for name, sender in tools.items() if shutil.which(name)}
    there["tune"] = with_tune
    absent = [name for name in tools if name not in there]
    for name, modules, sender in (
        ("aiohttp", "aiohttp, uvloop", with_aiohttp),
        ("locust", "locust", with_locust),
    ):
        found = subprocess.run(
            [python, "-c", f"import {modules}"], capture_output=True, check=False
        )
        if found.returncode:
            absent.append(name)
        else:
            there[name] = functools.partial(sender, python=python)
    return there, absent


def start_up_seconds(target: Nginx) -> float:
    """From nothing to one open connection."""
    began = time.perf_counter()
    with LoadGenerator().connect(
        target, LoadProfile(1, LoadSpec(), 0), [Call("/v1/models/m:predict", BODY)]
    ):
        return time.perf_counter() - began


def show(results: dict[tuple[int, str], list[Result]]) -> None:
    """One line per concurrency and sender: medians over the rounds.

    Against a peer each round is compared with its own, as both had the same neighbours.
    """

    def median(values: list[float], form: str) -> str:
        return format(statistics.median(values), form) if values else "-"

    print(
        f"{'c':>4} {'sender':8} {'req/s':>8} {'x wrk':>6} {'p50 us':>8} {'p99 us':>8}"
        f" {'p50-ab':>8} {'p99-ab':>8} {'CPU us':>7}"
    )
    for (concurrency, sender), some in results.items():
        wrk = list(zip(some, results.get((concurrency, "wrk"), []), strict=False))
        ab = list(zip(some, results.get((concurrency, "ab"), []), strict=False))
        cells = (
            f"{concurrency:4} {sender:8}",
            f"{median([r.rate_rps for r in some], '.0f'):>8}",
            f"{median([r.rate_rps / peer.rate_rps for r, peer in wrk], '.2f'):>6}",
            f"{median([r.p50_us for r in some], '.0f'):>8}",
            f"{median([r.p99_us for r in some], '.0f'):>8}",
            f"{median([r.p50_us - peer.p50_us for r, peer in ab], '+.0f'):>8}",
            f"{median([r.p99_us - peer.p99_us for r, peer in ab], '+.0f'):>8}",
            f"{median([r.cpu_us for r in some], '.1f'):>7}",
        )
        print(*cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=int, default=2, help="of each window")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument(
        "--peers-python", default=sys.executable, help="the Python that has aiohttp and Locust"
    )
    arguments = parser.parse_args()
    if not shutil.which("nginx"):
        sys.exit("nginx is not installed")
    senders, absent = installed(arguments.peers_python)

    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[-1]})
    results: dict[tuple[int, str], list[Result]] = {}
    with (
        tempfile.TemporaryDirectory() as name,
        nginx(Path(name), cpus[0], cpus[-1]) as target,
    ):
        ready = statistics.median(start_up_seconds(target) for _ in range(5))
        for _ in range(arguments.rounds):
            for concurrency in arguments.concurrency:
                for sender, send in senders.items():
                    result = send(target, concurrency, arguments.seconds)
                    results.setdefault((concurrency, sender), []).append(result)

    print(f"{len(cpus)} CPUs; medians of {arguments.rounds} rounds of {arguments.seconds} s;")
    print("CPU is the sender's per request; -ab is the difference to ab's in the same round.")
    print(f"The engine of tune is ready in {ready:.3f} s.")
    if absent:
        print(f"Not installed: {', '.join(absent)}.")
    print()
    show(results)


if __name__ == "__main__":
    main()
