"""Repositories that have to exist before they are pushed to (``--create-repository``): Amazon ECR makes none by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gazami.events import Emit, Message
from gazami.image.reference import Reference
from gazami.registry.client import RegistryClient


def create_repositories(references: Iterable[Reference], environ: Mapping[str, str], registry: RegistryClient, emit: Emit) -> None:
    """Make those of ECR that are missing; ``environ`` has Amazon's variables.

    One that cannot be made may exist all the same: that is a warning, and the push says more.
    """
    from gazami.registry.providers.choose import amazon
    from gazami.registry.providers.ecr import create_repository, is_ecr
    from gazami.registry.providers.grant import Unavailable

    web = amazon(environ, registry.transport)
    for reference in {each.context: each for each in references}.values():
        if not is_ecr(reference.registry):
            continue
        try:
            if create_repository(reference.registry, reference.repository, environ, web):
                emit(Message("info", f"Created the repository {reference.context}"))
        except Unavailable as error:
            emit(Message("warning", f"cannot create the repository {reference.context}: {error.message}"))
