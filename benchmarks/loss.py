"""Packet loss: what was asked against what the rules counted, per direction, and what it did.

    python benchmarks/loss.py [--seconds 8]

mnist on two real replicas, 16 connections. For each level of loss in one direction or both: packets
seen and dropped in both directions (all replicas together), the most unlikely replica's tail
probability under the asked loss, segments that either side sent again, ART and p99. Needs the
Docker Engine, the serving image and the mnist model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from scipy.stats import binom

from tuner.backends.docker import docker_backend
from tuner.measure.measurement import Estimate
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import Burst, Drops
from tuner.spec.host import Host
from tuner.spec.settings import only_configuration, study_of_model
from tuner.spec.study import NetworkSpec
from tuner.trial import deployment_spec, load_profile

LEVELS = (0.5, 1.0, 2.0, 5.0)
DIRECTIONS = {"in": (1, 0), "out": (0, 1), "both": (1, 1)}


def counted(drops: Sequence[Drops], direction: str) -> str:
    some = [d for d in drops if d.direction == direction]
    packets, dropped = sum(d.packets for d in some), sum(d.dropped for d in some)
    return f"{dropped:5} of {packets:6} {100 * dropped / packets:5.2f} %" if packets else "-"


def least_likely(drops: Sequence[Drops]) -> float:
    """The smallest two-sided tail probability of any replica and direction."""
    tails = [1.0]
    for d in drops:
        law = binom(d.packets, d.asked_percent / 100)
        tails.append(2 * min(law.cdf(d.dropped), law.sf(d.dropped - 1)))
    return min(tails)


def resent(burst: Burst) -> str:
    replicas = [
        after.retransmitted - before.retransmitted
        for before, after in zip(burst.counters_start, burst.counters_end, strict=True)
        if after.retransmitted is not None and before.retransmitted is not None
    ]
    before, after = burst.client_start[0].retransmitted, burst.client_end[0].retransmitted
    client = "-" if before is None or after is None else str(after - before)
    return f"{client:>6} {sum(replicas):7}"


def value(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=8, help="of each window")
    arguments = parser.parse_args()
    base = [f"min_seconds={arguments.seconds}", f"max_seconds={arguments.seconds}"]
    base += ["concurrency=16", "replicas=2", "cpu=1"]
    spec = study_of_model("mnist", base, Host.this())
    backend = docker_backend(spec)
    shown = ""
    with backend.deployer as deployer:
        print(
            f"{'asked':>10} {'dropped towards replicas':>26} {'dropped from replicas':>26}"
            f" {'least p':>8} {'client':>6} {'replicas':>8} {'ART ms':>7} {'p99 ms':>7}"
        )
        for name, (in_, out) in DIRECTIONS.items():
            for level in LEVELS:
                settings = [*base, f"loss_in={level * in_}", f"loss_out={level * out}"]
                spec = study_of_model("mnist", settings, Host.this())
                asked = only_configuration(spec)
                with (
                    deployer.deploy(deployment_spec(spec, asked), f"loss-{name}") as deployment,
                    backend.connect(deployment, load_profile(spec, asked)) as client,
                    deployment.impair(NetworkSpec.of(asked)) as impairment,
                ):
                    burst = client.run()
                    drops, facts = impairment.drops(), impairment.facts()
                    found = measure_burst(
                        burst, deployment.host_cpus, spec.load.batch_seconds, drops
                    )
                shown = f"{facts['method']}; dropped at {facts.get('where')}"
                print(
                    f"{level:4.1f} % {name:>4} {counted(drops, 'in'):>26}"
                    f" {counted(drops, 'out'):>26} {least_likely(drops):8.2g} {resent(burst)}"
                    f" {value(found.metrics.get('art_ms')):>8}"
                    f" {value(found.metrics.get('p99_ms')):>7}",
                    flush=True,
                )
    print(f"\n{shown}")


if __name__ == "__main__":
    main()
