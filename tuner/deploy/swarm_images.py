"""Brings images to the nodes of a swarm that lack them."""

from __future__ import annotations

from typing import Literal

from docker import DockerClient
from docker.errors import APIError, ImageNotFound
from docker.models.images import Image

from tuner.deploy.swarm_nodes import SwarmNode
from tuner.errors import SetupError

Way = Literal["there", "pulled", "copied"]


def bring_image(manager: DockerClient, node: SwarmNode, reference: str) -> Way:
    """Let a node have the manager's image of that name; how it came there.

    A node pulls it by its digest from a registry that the manager has it from, or had it pushed to.
    Where none gives it to the node, it is copied through this machine. Raises SetupError where the
    node then has another image.
    """
    image = manager.images.get(reference)
    # A digest cannot be saved by its name.
    name = reference if reference in image.tags else None
    wanted = name or str(image.id)
    if _has(node.client, wanted, image):
        return "there"
    if any(_pulled(node.client, digest, name) for digest in image.attrs.get("RepoDigests") or ()):
        way: Way = "pulled"
    else:
        way = "copied"
        # In parts, since as a whole an image is a gigabyte. It is posted, as a file is.
        parts = image.save(named=name or False)
        node.client.images.load(parts)  # type: ignore[arg-type]
    if not _has(node.client, wanted, image):
        raise SetupError(
            f"node {node.name} was sent image {reference} and does not have it as {image.id}",
            "let all nodes keep their images in the same way (`docker info`: Storage Driver)",
        )
    return way


def _pulled(client: DockerClient, digest: str, name: str | None) -> bool:
    """Whether an engine got an image from its registry, which then has that name there."""
    try:
        image = client.images.pull(digest)
    except APIError:  # no such registry for it, or it asks who this is
        return False
    return name is None or image.tag(name)


def _has(client: DockerClient, name: str, image: Image) -> bool:
    try:
        return client.images.get(name).id == image.id
    except ImageNotFound:
        return False
