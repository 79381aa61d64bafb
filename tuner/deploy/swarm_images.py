"""Brings images to the nodes of a swarm that lack them."""

from __future__ import annotations

from docker import DockerClient
from docker.errors import ImageNotFound
from docker.models.images import Image

from tuner.deploy.swarm_nodes import SwarmNode
from tuner.errors import SetupError


def bring_image(manager: DockerClient, node: SwarmNode, reference: str) -> bool:
    """Copy the manager's image of that name to a node, through this machine; no registry is asked.

    Returns False where the node has it already. Raises SetupError where the node then has another.
    """
    image = manager.images.get(reference)
    # A digest cannot be saved by its name.
    name = reference if reference in image.tags else None
    wanted = name or str(image.id)
    if _has(node.client, wanted, image):
        return False
    # In parts, since as a whole an image is a gigabyte. It is posted, as a file is.
    parts = image.save(named=name or False)
    node.client.images.load(parts)  # type: ignore[arg-type]
    if not _has(node.client, wanted, image):
        raise SetupError(
            f"node {node.name} was sent image {reference} and does not have it as {image.id}",
            "let all nodes keep their images in the same way (`docker info`: Storage Driver)",
        )
    return True


def _has(client: DockerClient, name: str, image: Image) -> bool:
    try:
        return client.images.get(name).id == image.id
    except ImageNotFound:
        return False
