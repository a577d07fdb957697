"""The parts of a container image's name."""

from __future__ import annotations

import re

from dagforge.frozen import frozen

DOCKER_HUB = "docker.io"
# https://github.com/distribution/reference: what is before the first slash is a host when it has a
# dot or a port, or is localhost.
_HOST = re.compile(r"(?:[^/]*[.:][^/]*|localhost)/")
_TAG = re.compile(r":(?P<tag>[^/:]*)$")


@frozen
class Image:
    """The parts of an image's name.

    Attributes:
        repository: with its registry, that of Docker Hub where the name has none.
        tag: None without one.
        digest: whether the name ends with one.
    """

    repository: str
    tag: str | None
    digest: bool


def parse_image(name: str) -> Image:
    """Return the parts of an image's name."""
    name, at, _ = name.partition("@")
    match = _TAG.search(name)
    repository = name if match is None else name[: match.start()]
    if _HOST.match(repository) is None:
        path = repository if "/" in repository else f"library/{repository}"
        repository = f"{DOCKER_HUB}/{path}"
    return Image(repository, None if match is None else match["tag"], bool(at))


def is_below(repository: str, registry: str) -> bool:
    """Say whether a repository is in a registry, or in a part of one such as `ghcr.io/acme`."""
    registry = registry.rstrip("/")
    return repository == registry or repository.startswith(f"{registry}/")
