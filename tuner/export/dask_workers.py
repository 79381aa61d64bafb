"""What starts `tune worker` on hosts: a script for SSH, a job for Slurm, objects for Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from tuner.spec.yaml_text import yaml_text

SSH, SLURM, KUBERNETES = "ssh.sh", "slurm.sbatch", "kubernetes.yaml"
DASK_FILES = (SSH, SLURM, KUBERNETES)
MARK = "# Starts a worker of tune on each host"

_ENGINE_IMAGE = "docker:27-dind"
_LABELS = {"app.kubernetes.io/name": "tune-worker", "app.kubernetes.io/managed-by": "tune"}


@dataclass(frozen=True)
class WorkersAsked:
    """What workers are for: a study by name, its model and backend, and a scheduler's address."""

    study: str
    model: str
    backend: str
    scheduler: str
    image: str | None = None

    @property
    def command(self) -> list[str]:
        backend = [] if self.backend == "docker" else ["--backend", self.backend]
        return ["tune", "worker", "--dask", self.scheduler, *backend]


def to_dask_workers(asked: WorkersAsked) -> Mapping[str, str]:
    """The files by their names, each complete by itself."""
    return {SSH: _ssh(asked), SLURM: _slurm(asked), KUBERNETES: _kubernetes(asked)}


def _head(asked: WorkersAsked, how: str) -> str:
    return (
        f"{MARK}, for study {asked.study}:\n"
        f"#   {how}\n"
        "# A worker needs tune with the extra `dask`, in the versions of the process that asks, a\n"
        f"# Docker Engine with the serving image, and model {asked.model}, built below the\n"
        "# directory in which it runs. Then, where the study is stored:\n"
        f"#   tune run --study {quote(asked.study)} --on {_on(asked.scheduler)}\n"
    )


def _on(scheduler: str) -> str:
    return scheduler.replace("tcp://", "dask://").replace("tls://", "dask+tls://")


def _ssh(asked: WorkersAsked) -> str:
    return f"""#!/bin/sh
{_head(asked, "sh ssh.sh HOST...   until Ctrl-C, which ends all of them")}
set -eu
: "${{TUNE_DIRECTORY:=tune}}"  # on each host, below the home directory or absolute
[ $# -gt 0 ] || {{ echo "usage: sh ssh.sh HOST..." >&2; exit 2; }}

workers=
trap 'kill $workers 2>/dev/null || :; wait' INT TERM EXIT
for host in "$@"; do
  # With a terminal over there (-tt) the worker ends when this script does.
  ssh -tt "$host" "cd '$TUNE_DIRECTORY' && exec {" ".join(map(quote, asked.command))}" &
  workers="$workers $!"
done
wait
"""


def _slurm(asked: WorkersAsked) -> str:
    return f"""#!/bin/bash
{_head(asked, "sbatch --nodes=4 slurm.sbatch   from the directory with the model; scancel ends it")}
#SBATCH --job-name=tune-workers
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --signal=TERM@60
# Alone on its node: what others run there is in every measurement.
exec srun --kill-on-bad-exit=0 bash -c \\
  'exec {" ".join(map(quote, asked.command))} --name "$SLURMD_NODENAME"'
"""


def _kubernetes(asked: WorkersAsked) -> str:
    image = asked.image or "REGISTRY/tune:VERSION"
    worker = {
        "name": "worker",
        "image": image,
        "workingDir": "/tune",
        "command": [*asked.command, "--name", "$(NODE)"],
        "env": [
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "DOCKER_HOST", "value": "unix:///run/engine/docker.sock"},
        ],
        "volumeMounts": [
            {"name": "engine", "mountPath": "/run/engine"},
            {"name": "tune", "mountPath": "/tune"},
        ],
    }
    engine = {
        "name": "engine",
        "image": _ENGINE_IMAGE,
        "args": ["--host=unix:///run/engine/docker.sock"],
        "securityContext": {"privileged": True},
        "volumeMounts": [
            {"name": "engine", "mountPath": "/run/engine"},
            {"name": "tune", "mountPath": "/tune"},
            {"name": "images", "mountPath": "/var/lib/docker"},
        ],
    }
    pod = {
        "containers": [worker, engine],
        "terminationGracePeriodSeconds": 60,
        "volumes": [
            {"name": "engine", "emptyDir": {}},
            {"name": "images", "emptyDir": {}},
            {"name": "tune", "persistentVolumeClaim": {"claimName": "tune"}},
        ],
    }
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "tune-worker", "labels": _LABELS},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": "tune-worker"}},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }
    return (
        _head(asked, "kubectl apply -f kubernetes.yaml   and kubectl delete -f kubernetes.yaml")
        + "# Each pod has an engine of its own, which is privileged. The claim `tune` is the\n"
        "# working directory with the built model. This file was checked against Kubernetes'\n"
        "# schemas, and never run.\n" + yaml_text(manifest)
    )
