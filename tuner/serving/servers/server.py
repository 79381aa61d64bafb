"""What tune knows of a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tuner.errors import InputError
from tuner.measure.golden import Golden, load_golden
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.image import ImageRecipe
from tuner.serving.servers.call import Call
from tuner.spec.study import LoadProtocol, ModelSpec, ServingSpec


@dataclass(frozen=True)
class Requests:
    """The requests of a load, encoded once, and the judge of their answers.

    `wrong` says why a body (of gRPC: the message) is not the right answer to the call of that
    number; empty where it is.
    """

    calls: tuple[Call, ...]
    wrong: Callable[[int, bytes], str]

    def right(self, number: int, body: bytes) -> bool:
        return not self.wrong(number, body)


MakePlan = Callable[[ServingSpec, ModelSpec, str], ContainerPlan]
"""From what runs in each replica, the model and the image's reference to the plan of a container.

Raises InputError where the study sets a flag or variable that the plan itself decides.
"""

MakeRequests = Callable[[ModelSpec, Golden], Requests]
"""From a model and golden requests to calls.

Raises SetupError where a file of the model is needed and missing, InputError for a request that
does not fit the model.
"""


@dataclass(frozen=True)
class Server:
    """A server, as everything that serves models is asked for.

    `requests` has the protocols that it speaks; REST must be one, since replicas are checked in it.
    `golden` reads the requests of a model with their answers, by default the model's file.
    `image` is how tune builds an image for it; None where a study must name one. `model_file` is
    what makes a directory a version of a model; None where the image has the model inside.
    `search_space` is the shipped one whose parameters with `flag` or `env` are the server's knobs.
    `reading_from` changes a plan so that the server reads the model in another directory.
    """

    title: str
    plan: MakePlan
    requests: Mapping[LoadProtocol, MakeRequests]
    golden: Callable[[ModelSpec], Golden] = lambda model: load_golden(model.golden)
    image: ImageRecipe | None = None
    model_file: str | None = None
    search_space: str | None = None
    reading_from: Callable[[ContainerPlan, str], ContainerPlan] | None = None

    def requests_in(self, protocol: LoadProtocol, model: ModelSpec, golden: Golden) -> Requests:
        """The golden requests in a protocol. Raises InputError where the server lacks it."""
        if protocol not in self.requests:
            raise InputError(
                f"{self.title} does not speak {protocol}, but {' and '.join(self.requests)}",
                "Correct load.protocol, or the parameter `protocol`, of the study.",
            )
        return self.requests[protocol](model, golden)


def json_judge(golden: Golden, tolerance: float) -> Callable[[int, bytes], str]:
    """Judges answers in JSON by the golden ones, numbers within `tolerance`."""

    def wrong(number: int, body: bytes) -> str:
        if golden.answered(number, body, tolerance):
            return ""
        return (
            f"expected {short(golden.encoded(number))}, got {short(body.decode(errors='replace'))}"
        )

    return wrong


def refuse_taken(kind: str, names: Mapping[str, str], taken: tuple[str, ...]) -> None:
    """Raise InputError where `names`, flags or variables of a study, has one of `taken`."""
    for name in names:
        if name in taken:
            raise InputError(
                f"tune itself sets the server {kind} {name!r}, so a study cannot",
                f"remove {name!r} from the study's serving {kind}s or parameters",
            )


def short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."
