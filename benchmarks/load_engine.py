"""The load engine beside wrk and ab: one server, one run, one table.

    python benchmarks/load_engine.py [--seconds 2] [--rounds 3]

nginx answers a 2.9 KB POST on loopback, on a CPU of its own where there are two; whoever sends
has another. Rounds are interleaved and medians are shown, since neighbours come and go. Needs
nginx; a peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
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
from tuner.measure.samples import ContainerCounters, Outcome
from tuner.spec.study import LoadProfile, LoadSpec

BODY = b'{"instances":[' + b"0.125," * 480 + b"1]}"
PATH = "/v1/models/m:predict"


@dataclass(frozen=True)
class Result:
    """One run of one sender."""

    rate_rps: float
    p50_us: float
    p99_us: float
    cpu_us: float
    """CPU time of the sender per request."""


class Nginx:
    """The server, seen as a target; its counters are of no interest here."""

    model_name = "m"

    def __init__(self, port: int) -> None:
        self.addresses = (("127.0.0.1", port),)
        self.url = f"http://127.0.0.1:{port}{PATH}"

    def counters(self) -> tuple[ContainerCounters, ...]:
        return ()


@contextmanager
def nginx(directory: Path, cpu: int) -> Iterator[Nginx]:
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
            location / {{ default_type application/json; return 200 '{{"predictions":[1]}}'; }}
          }}
        }}
        """
    )
    command = ["nginx", "-e", f"{directory}/error.log", "-c", str(configuration)]
    server = subprocess.Popen(command)
    os.sched_setaffinity(server.pid, {cpu})
    try:
        _await(port)
        yield Nginx(port)
    finally:
        server.terminate()
        server.wait()


def _await(port: int) -> None:
    deadline = time.monotonic() + 5
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
    with LoadGenerator().connect(target, profile, [BODY]) as client:
        burst = client.run()
    samples = burst.samples
    end = samples.start_ns + samples.duration_ns
    window = samples.select((end >= burst.window_start_ns) & (end < burst.window_end_ns))
    if (samples.outcome != Outcome.OK).any():
        sys.exit("requests failed")
    p50, p99 = np.percentile(window.duration_ns, [50, 99]) / 1e3
    n = len(window)
    lasted = (burst.window_end_ns - burst.window_start_ns) / 1e9
    return Result(n / lasted, float(p50), float(p99), burst.client_cpu_ns / n / 1e3)


def with_wrk(target: Nginx, concurrency: int, seconds: int) -> Result:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            f"wrk.method = 'POST'\nwrk.body = '{BODY.decode()}'\n"
            "wrk.headers['Content-Type'] = 'application/json'\n"
            "done = function(summary, latency, requests)\n"
            "  io.write(string.format('RESULT %d %d %f %f\\n', summary.requests,"
            " summary.duration, latency:percentile(50), latency:percentile(99)))\nend\n"
        )
        script.flush()
        command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", "-s", script.name]
        output, cpu = _run([*command, target.url])
    found = re.search(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+)", output)
    assert found, output
    n, lasted_us, p50, p99 = (float(group) for group in found.groups())
    return Result(n / lasted_us * 1e6, p50, p99, cpu / n * 1e6)


def with_ab(target: Nginx, concurrency: int, seconds: int) -> Result:
    with tempfile.TemporaryDirectory() as name:
        body, table = Path(name, "body"), Path(name, "table.csv")
        body.write_bytes(BODY)
        command = ["ab", "-q", "-k", f"-c{concurrency}", f"-t{seconds}", "-n100000000"]
        command += ["-p", str(body), "-T", "application/json", "-e", str(table)]
        output, cpu = _run([*command, target.url])
        lines = [line.split(",") for line in table.read_text().splitlines()[1:]]
    milliseconds = {int(share): float(value) for share, value in lines}
    rate = re.search(r"Requests per second:\s+([\d.]+)", output)
    total = re.search(r"Complete requests:\s+(\d+)", output)
    assert rate, output
    assert total, output
    p50, p99 = 1e3 * milliseconds[50], 1e3 * milliseconds[99]
    return Result(float(rate[1]), p50, p99, cpu / int(total[1]) * 1e6)


def _run(command: list[str]) -> tuple[str, float]:
    """Standard output, and the CPU seconds that the command took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


SENDERS: dict[str, Callable[[Nginx, int, int], Result]] = {
    "wrk": with_wrk,
    "ab": with_ab,
    "tune": with_tune,
}


def start_up_seconds(target: Nginx) -> float:
    """From nothing to one open connection."""
    began = time.perf_counter()
    with LoadGenerator().connect(target, LoadProfile(1, LoadSpec(), 0), [BODY]):
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=int, default=2, help="of each window")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 64])
    arguments = parser.parse_args()
    if not shutil.which("nginx"):
        sys.exit("nginx is not installed")
    senders = {n: s for n, s in SENDERS.items() if n == "tune" or shutil.which(n)}

    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[-1]})
    results: dict[tuple[int, str], list[Result]] = {}
    with tempfile.TemporaryDirectory() as name, nginx(Path(name), cpus[0]) as target:
        ready = statistics.median(start_up_seconds(target) for _ in range(5))
        for _ in range(arguments.rounds):
            for concurrency in arguments.concurrency:
                for sender, send in senders.items():
                    result = send(target, concurrency, arguments.seconds)
                    results.setdefault((concurrency, sender), []).append(result)

    print(f"engine ready in {ready:.3f} s; {len(cpus)} CPUs, {arguments.rounds} rounds of")
    print(f"{arguments.seconds} s, medians; CPU is the sender's, per request\n")
    print(
        f"{'c':>4} {'sender':8} {'req/s':>9} {'x wrk':>6} {'p50 us':>8} {'p99 us':>8} {'CPU us':>7}"
    )
    for (concurrency, sender), some in results.items():
        rate, p50, p99, cpu = (
            statistics.median(getattr(r, name) for r in some)
            for name in ("rate_rps", "p50_us", "p99_us", "cpu_us")
        )
        peer = results.get((concurrency, "wrk"))
        # The ratio of each round, since both sides of it had the same neighbours.
        pairs = zip(some, peer, strict=True) if peer else ()
        ratios = [r.rate_rps / p.rate_rps for r, p in pairs]
        ratio = f"{statistics.median(ratios):.2f}" if ratios else "-"
        print(f"{concurrency:4} {sender:8} {rate:9.0f} {ratio:>6} {p50:8.0f} {p99:8.0f} {cpu:7.1f}")


if __name__ == "__main__":
    main()
