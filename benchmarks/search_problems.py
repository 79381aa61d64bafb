"""Search problems whose truth is known: every configuration of a simulated host, free of noise.

A to D are for judging and for nothing else: whoever changes a sampler looks at T1 and T2, which
have other parameters, grids, hosts and deviations. All have what no sampler knows: a smooth random
deviation from the network's mathematics (random Fourier features; Rahimi and Recht, Random Features
for Large-Scale Kernel Machines, NIPS 2007).

A: small model, total CPU usage. B: medium model, mean CPU usage of a replica, many configurations
run out of memory. C: large and slow. D: as A, the deviation three times larger.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from benchmarks.search_network import Model, serve, working_set_mib
from benchmarks.search_truth import Noisy, Problem
from tuner.arrays import Floats, Mask
from tuner.model.lattice import Lattice
from tuner.spec.space import Configuration, Parameter, SearchSpace


@dataclass(frozen=True)
class Setting:
    """What a simulated problem is made of."""

    model: Model
    concurrency: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    cpu: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    memory: tuple[int, ...] = (128, 256, 512, 1024)
    replicas: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    loss: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 5.0)
    host_cpus: float = 4.0
    mean_cpu: bool = False
    deviation: float = 0.1
    length: float = 0.55
    freedom: float | None = None
    seed: int = 0

    def space(self) -> SearchSpace:
        middle = {name: len(getattr(self, name)) // 2 for name in ("cpu", "memory", "concurrency")}
        return SearchSpace(
            (
                Parameter(
                    "concurrency",
                    "int",
                    "scenario",
                    self.concurrency[middle["concurrency"] - 1],
                    choices=self.concurrency,
                ),
                Parameter("cpu", "float", "decision", self.cpu[middle["cpu"]], choices=self.cpu),
                Parameter("memory", "int", "decision", self.memory[-1], choices=self.memory),
                Parameter("replicas", "int", "decision", self.replicas[0], choices=self.replicas),
                Parameter("loss", "float", "scenario", self.loss[0], choices=self.loss),
            )
        )


SMALL = Model(service_ms=1.4, base_mib=84.0, request_mib=2.2)

SETTINGS = {
    "A": Setting(SMALL, seed=101),
    "B": Setting(
        Model(service_ms=9.0, base_mib=205.0, request_mib=13.0, packets=4.0, network_ms=0.6),
        mean_cpu=True,
        seed=102,
    ),
    "C": Setting(
        Model(service_ms=75.0, base_mib=430.0, request_mib=21.0, packets=7.0, serial=0.12),
        seed=103,
    ),
    "D": Setting(SMALL, deviation=0.3, seed=104),
    "T1": Setting(
        Model(service_ms=3.1, base_mib=70.0, request_mib=4.0, packets=3.0, serial=0.02),
        concurrency=(1, 3, 6, 12, 24),
        cpu=(0.3, 0.7, 1.0, 1.5, 3.0),
        memory=(96, 160, 320, 640),
        replicas=(1, 2, 3, 5, 7),
        loss=(0.0, 0.8, 3.0),
        host_cpus=6.0,
        deviation=0.12,
        seed=201,
    ),
    "T2": Setting(
        Model(service_ms=26.0, base_mib=310.0, request_mib=15.0, packets=5.0, crowding=0.2),
        concurrency=(1, 2, 5, 10, 20, 40),
        cpu=(0.2, 0.4, 0.8, 1.6),
        memory=(192, 384, 768, 1536),
        replicas=(1, 2, 4, 5, 8, 10),
        loss=(0.0, 0.4, 2.5),
        host_cpus=3.0,
        mean_cpu=True,
        deviation=0.16,
        seed=202,
    ),
}
JUDGED = ("A", "B", "C", "D")
TUNED = ("T1", "T2")


def varied(number: int) -> Setting:
    """A problem made by chance: model, host and deviation, which may be rougher than that of
    `SETTINGS`. Numbers from 100 are for judging, those below are for whoever changes a model.
    """
    rng = np.random.default_rng([number, 77])

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(math.log(low), math.log(high))))

    base = between(60, 400)
    return Setting(
        Model(
            service_ms=between(1, 60),
            base_mib=base,
            request_mib=between(2, 16),
            serial=between(0.01, 0.15),
            packets=float(rng.integers(2, 8)),
            network_ms=between(0.2, 0.8),
            host_ms=between(0.03, 0.1),
            idle_cores=between(0.003, 0.02),
            lost_core_ms=between(0.1, 0.3),
            crowding=between(0.1, 0.5),
        ),
        concurrency=(1, 2, 5, 10, 24),
        memory=(int(1.2 * base), int(2 * base), int(4 * base), int(8 * base)),
        replicas=(1, 2, 3, 5, 8),
        loss=(0.0, 0.5, 2.0, 4.0),
        host_cpus=float(rng.choice([2, 4, 6, 8])),
        mean_cpu=bool(rng.integers(2)),
        deviation=(0.1, 0.2, 0.3)[number % 3],
        length=between(0.35, 0.9),
        freedom=(None, 3.0, 5.0)[int(rng.integers(3))],
        seed=1000 + number,
    )


@cache
def problem(name: str) -> Problem:
    """One of `SETTINGS`, by name, or `V<number>`, which is `varied`; about a second, once."""
    setting = varied(int(name[1:])) if name[0] == "V" else SETTINGS[name]
    space = setting.space()
    rng = np.random.default_rng(setting.seed)
    lattice = Lattice(space)
    every = [lattice.configuration(i) for i in range(lattice.size)]
    art, cores, speed = _steady_states(setting, every)
    replicas = np.array([c["replicas"] for c in every], dtype=np.float64)
    percent = 100 * cores / (replicas if setting.mean_cpu else setting.host_cpus)
    places = _places(space, every)
    field = partial(smooth_field, length=setting.length, freedom=setting.freedom)
    # The second objective deviates less: CPU time is counted, not waited for.
    art *= np.exp(setting.deviation * field(places, rng))
    percent *= np.exp(0.6 * setting.deviation * field(places, rng))
    truth = np.column_stack([art, percent])
    truth[~_fits(setting, every)] = np.nan
    rough = np.sqrt(np.array([float(c["loss"]) for c in every]) / max(setting.loss))
    wobble = np.exp(0.15 * field(places, rng))
    sd = np.column_stack(
        [
            (0.035 + 0.06 * rough + 0.035 * (1 - speed)) * wobble,
            (0.03 + 0.025 * rough + 0.02 * (1 - speed)) * wobble,
        ]
    )
    return Problem(
        name,
        space,
        ("art_ms", "cpu_percent"),
        setting.host_cpus,
        truth,
        Noisy(truth, np.clip(sd, 0.03, 0.14)),
    )


def smooth_field(
    places: Floats,
    rng: np.random.Generator,
    *,
    length: float = 0.55,
    freedom: float | None = None,
) -> Floats:
    """A smooth random function over `places`, shape (n, d) in [0, 1], of mean 0 and sd 1 there.

    `length` is that of each dimension; the third, memory, hardly matters. With `freedom`, the
    frequencies are of a t distribution of so many degrees instead of a normal one: the function
    is as rough as one of a Matern kernel of smoothness `freedom` / 2.
    """
    features = 40
    lengths = np.full(places.shape[1], length)
    lengths[2] = 3.0
    waves = rng.standard_normal((places.shape[1], features)) / lengths[:, None]
    if freedom is not None:
        waves /= np.sqrt(rng.chisquare(freedom, features) / freedom)
    field = np.cos(places @ waves + rng.uniform(0, 2 * np.pi, features)).sum(axis=1)
    standard: Floats = (field - field.mean()) / field.std()
    return standard


def _places(space: SearchSpace, every: list[Configuration]) -> Floats:
    """Positions of the values among those of their parameter, from 0 to 1; shape (n, d)."""
    columns = []
    for parameter in space:
        values = parameter.values() or ()
        position = {v: i / max(1, len(values) - 1) for i, v in enumerate(values)}
        columns.append([position[c[parameter.name]] for c in every])
    return np.array(columns, dtype=np.float64).T


def _steady_states(setting: Setting, every: list[Configuration]) -> tuple[Floats, Floats, Floats]:
    """ART in ms, cores in use and speed of each configuration."""
    keys = ("concurrency", "replicas", "cpu", "loss")
    known = {
        values: serve(
            setting.model,
            setting.host_cpus,
            concurrency=int(values[0]),
            replicas=int(values[1]),
            cpu=float(values[2]),
            loss=float(values[3]),
        )
        for values in itertools.product(*(getattr(setting, key) for key in keys))
    }
    states = [known[tuple(c[key] for key in keys)] for c in every]
    return (
        np.array([s.response_ms for s in states]),
        np.array([s.cores for s in states]),
        np.array([s.speed for s in states]),
    )


def _fits(setting: Setting, every: list[Configuration]) -> Mask:
    return np.array(
        [
            working_set_mib(setting.model, int(c["concurrency"]), int(c["replicas"]))
            <= float(c["memory"])
            for c in every
        ]
    )
