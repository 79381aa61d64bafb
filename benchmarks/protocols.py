"""REST and gRPC side by side in one run: response times, their ratio, and CPU of both ends.

    python benchmarks/protocols.py [--model mnist] [--concurrency 1 8]

In each round the same configuration is deployed anew for either protocol, in an order that
alternates, and sent the same inputs. Ratios are taken within a round, as the two of a round had the
same neighbours, and then the median. A sample of the answers is checked; a wrong one ends it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from statistics import median

from tuner.backends.backend import DeployingBackend
from tuner.backends.docker import docker_backend
from tuner.deploy.protocol import Deployer
from tuner.measure.golden import load_golden
from tuner.measure.measuring import measure_burst
from tuner.serving.servers.tensorflow_serving import TENSORFLOW_SERVING
from tuner.spec.host import Host
from tuner.spec.settings import only_configuration, study_of_model
from tuner.spec.study import LoadProtocol, StudySpec
from tuner.trial import deployment_spec, load_profile

PROTOCOLS: tuple[LoadProtocol, ...] = ("rest", "grpc")
HEAD = ("connections", "protocol", "ART ms", "p50 ms", "requests/s", "server us", "client us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", default="mnist")
    parser.add_argument("--image", default="tune", help="as `serving.image` of a study")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each window")
    arguments = parser.parse_args()
    base = [f"min_seconds={arguments.seconds}", f"max_seconds={arguments.seconds}"]

    def spec_of(protocol: LoadProtocol, concurrency: int) -> StudySpec:
        settings = [*base, f"protocol={protocol}", f"concurrency={concurrency}"]
        spec = study_of_model(arguments.model, settings, Host.this())
        return replace(spec, serving=replace(spec.serving, image=arguments.image))

    backends = {name: docker_backend(spec_of(name, 1)) for name in PROTOCOLS}
    model = spec_of("rest", 1).model
    golden = load_golden(model.golden)
    for name in PROTOCOLS:
        requests = TENSORFLOW_SERVING.requests_in(name, model, golden)
        sizes = [len(call.body) for call in requests.calls]
        print(f"{name}: {median(sizes):,.0f} bytes in a request's body (median)")
    print("  ".join(f"{title:>11}" for title in HEAD) + "   (medians over the rounds)")
    with backends["rest"].deployer as deployer:
        for concurrency in arguments.concurrency:
            rounds: list[dict[LoadProtocol, list[float]]] = []
            for number in range(arguments.rounds):
                order = PROTOCOLS if number % 2 == 0 else PROTOCOLS[::-1]
                rounds.append(
                    {
                        name: figures(deployer, backends[name], spec_of(name, concurrency))
                        for name in order
                    }
                )
            for name in PROTOCOLS:
                columns = zip(*(found[name] for found in rounds), strict=True)
                cells = [f"{median(column):11.2f}" for column in columns]
                print("  ".join([f"{concurrency:11}", f"{name:>11}", *cells]), flush=True)
            for index, title in enumerate(("ART", "p50")):
                ratios = sorted(found["rest"][index] / found["grpc"][index] for found in rounds)
                print(
                    f"{concurrency:11}  {title} of REST / gRPC: median {median(ratios):.2f},"
                    f" from {ratios[0]:.2f} to {ratios[-1]:.2f} over {len(ratios)} rounds"
                )


def figures(deployer: Deployer, backend: DeployingBackend, spec: StudySpec) -> list[float]:
    """Those of `HEAD` from the third on."""
    asked = only_configuration(spec)
    with (
        deployer.deploy(deployment_spec(spec, asked), spec.load.protocol) as deployment,
        backend.connect(deployment, load_profile(spec, asked)) as client,
    ):
        burst = client.run()
        found = measure_burst(burst, deployment.host_cpus, spec.load.batch_seconds)
    if found.errors:
        sys.exit(f"{spec.load.protocol}: {dict(found.errors)}")
    value = {name: estimate.value for name, estimate in found.metrics.items()}
    client_us = 1e4 * value["client_cpu_percent"] / value["throughput_rps"]
    return [value[name] for name in ("art_ms", "p50_ms", "throughput_rps")] + [
        1000 * value["cpu_ms_per_request"],
        client_us,
    ]


if __name__ == "__main__":
    main()
