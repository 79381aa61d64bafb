"""What every export for Kubernetes says: names, labels, the model's origin, notes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tuner.errors import InputError
from tuner.export.autoscaler import Autoscaling
from tuner.export.header import header, metrics_note, needs_image
from tuner.export.names import check_deployed_name, check_namespace, dns_label
from tuner.export.provenance import ANNOTATION, provenance
from tuner.export.served import Served, check_reference
from tuner.results.predicted_front import Predicted

_SUBDOMAIN = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
_LONGEST_SUBDOMAIN = 253
_URI = re.compile(r"[a-z][a-z0-9+.-]*://[!#%&+,./0-9:;=?@A-Z_a-z~-]+")


@dataclass(frozen=True)
class Claim:
    """The model is in the PersistentVolumeClaim `name`: its numbered versions at the top."""

    name: str

    def notes(self) -> list[str]:
        return [
            f"Needs the PersistentVolumeClaim {self.name} in the same namespace, which has the",
            "model's versions at its top: 1/saved_model.pb and so on. tune does not make it,",
            "because storage is the cluster's.",
        ]


@dataclass(frozen=True)
class Fetched:
    """Each pod gets the model from `source` (a URI) before its server starts.

    An init container of `image` gets the two words `source` and directory, and leaves the numbered
    versions in that directory. KServe's storage initializer does that. Without an image, KServe
    adds its own.
    """

    source: str
    image: str | None = None

    def notes(self) -> list[str]:
        if self.image is None:
            return [
                f"KServe fetches the model's versions (1/saved_model.pb ...) from {self.source}"
            ]
        return [
            f"The init container {self.image} fetches the model. Its arguments are",
            f"{self.source} and the directory in which it must leave the versions",
            "(1/saved_model.pb and so on). It has the limits of a replica.",
        ]


@dataclass(frozen=True)
class ClusterWorkload:
    """The replicas of `served` under `name`, with the model from `model`.

    `model` None is inside the image. `namespace` None leaves it to whoever applies the file.
    `autoscaling` None keeps the number of replicas that was measured.
    """

    served: Served
    name: str
    namespace: str | None
    model: Claim | Fetched | None
    autoscaling: Autoscaling | None = None
    predicted: Predicted | None = None

    @property
    def most_replicas(self) -> int:
        scaling = self.autoscaling
        return self.served.replicas if scaling is None else scaling.max_replicas

    @property
    def selected(self) -> dict[str, str]:
        """The labels that select the pods.

        Without the trial: a selector cannot change when the next export replaces this.
        """
        return {
            "app.kubernetes.io/name": self.name,
            "app.kubernetes.io/component": "model-server",
        }

    @property
    def labels(self) -> dict[str, str]:
        return {
            **self.selected,
            "app.kubernetes.io/managed-by": "tune",
            "tune/study": dns_label(self.served.study.name),
            "tune/trial": str(self.served.trial.number),
        }

    @property
    def metadata(self) -> dict[str, Any]:
        namespace = {} if self.namespace is None else {"namespace": self.namespace}
        return {"name": self.name, **namespace, "labels": self.labels}

    @property
    def origin(self) -> dict[str, str]:
        """The annotation with the provenance."""
        served = self.served
        return {ANNOTATION: provenance(served.study, served.trial, self.predicted).to_json()}

    @property
    def scraped(self) -> dict[str, str]:
        """The annotations of pods by which Prometheus finds their metrics."""
        plan = self.served.plan
        if plan.metrics_path is None:
            return {}
        return {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(plan.port),
            "prometheus.io/path": plan.metrics_path,
        }

    def header(self, *notes: str) -> str:
        """The comments at the top of the file, with `notes` on how to use it first."""
        scaling = self.autoscaling
        return header(
            self.served,
            self.predicted,
            [
                *notes,
                *(() if self.model is None else self.model.notes()),
                needs_image(self.served),
                "Every node must be able to pull or hold it.",
                *metrics_note(self.served),
                *(() if scaling is None else scaling.notes),
                "All replicas were measured on one host. Here they spread over nodes where there",
                "are several, so each shares its node's CPUs with other pods than in the",
                "measurement. The Service spreads connections, not requests: clients should hold",
                "several.",
            ],
        )


def workload(
    served: Served,
    predicted: Predicted | None = None,
    *,
    name: str | None = None,
    namespace: str | None = None,
    claim: str | None = None,
    model_source: str | None = None,
    init_image: str | None = None,
    autoscaling: Autoscaling | None = None,
) -> ClusterWorkload:
    """The workload of `served`.

    By default it has the model's name, and a claim `<name>-model` where the image does not have the
    model inside.

    Raises InputError for a name that Kubernetes would refuse, for what is no URI or image, and for
    a model that would come from two places.
    """
    name = dns_label(served.study.model) if name is None else check_deployed_name(name)
    if namespace is not None:
        check_namespace(namespace)
    if served.plan.model_mount is None:
        if claim is not None or model_source is not None or init_image is not None:
            raise InputError(
                f"the image {served.plan.image} has the model inside, so nothing brings it there",
                "leave out --claim, --model-source and --init-image",
            )
        model: Claim | Fetched | None = None
    elif model_source is None:
        if init_image is not None:
            raise InputError(
                "--init-image has no model to fetch", "add --model-source URI, or leave it out"
            )
        model = Claim(f"{name}-model" if claim is None else _claim(claim))
    elif claim is not None:
        raise InputError(
            "the model would come from two places, --claim and --model-source",
            "give one of the two",
        )
    else:
        model = Fetched(_source(model_source), init_image and check_reference(init_image))
    return ClusterWorkload(served, name, namespace, model, autoscaling, predicted)


def _claim(name: str) -> str:
    if len(name) > _LONGEST_SUBDOMAIN or re.fullmatch(_SUBDOMAIN, name) is None:
        raise InputError(
            f"{name!r} is not the name of a PersistentVolumeClaim",
            "give one that `kubectl get pvc` lists: small letters, digits, - and .",
        )
    return name


def _source(uri: str) -> str:
    if _URI.fullmatch(uri) is None:
        raise InputError(
            f"{uri!r} is not the URI of a model",
            "give one such as s3://bucket/models/mnist, without spaces, quotes or $",
        )
    return uri
