"""Entries in a repository of a registry, one tag for each key."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

from gazami.cache.entry import CONFIG, EMPTY, CacheEntry, decode_entry, encode_entry
from gazami.cache.store import Blob, Listed
from gazami.errors import NotFoundError, RegistryError
from gazami.image.manifest import Descriptor, Manifest
from gazami.image.model import Origin, Remote
from gazami.image.reference import Reference
from gazami.registry.client import RegistryClient
from gazami.registry.flights import Flights
from gazami.registry.upload import How


class RepositoryStore:
    """``repository`` is a reference whose tag does not matter."""

    def __init__(self, client: RegistryClient, repository: Reference) -> None:
        self._client = client
        self._repository = repository
        self._config: Flights[str, How] = Flights()
        self._leases: set[str] = set()
        """Tags of leases that nobody holds, as far as the repository was listed."""

    @property
    def name(self) -> str:
        return self._repository.context

    @property
    def repository(self) -> Reference:
        return self._repository

    def of(self, tag: str) -> RepositoryStore:
        return self

    def get(self, tag: str, *, anew: bool = False) -> CacheEntry | None:
        try:
            found = self._client.get_manifest(self._repository.with_tag(tag), anew=anew)
        except NotFoundError:
            return None
        if not isinstance(found, Manifest):
            raise RegistryError(f"{self.name}:{tag} is not a cache entry but an index")
        return decode_entry(found)

    def origin(self, descriptor: Descriptor) -> Origin:
        return Remote(self._repository)

    def put(self, tags: tuple[str, ...], entry: CacheEntry, blobs: tuple[Blob, ...]) -> None:
        for descriptor, open_file, origin in blobs:
            mounts = (origin.reference,) if isinstance(origin, Remote) else ()
            self._client.push_blob(self._repository, descriptor, open_file, mounts)
        self.push_config()
        manifest = encode_entry(entry)
        for tag in tags:
            self._client.push_manifest(self._repository.with_tag(tag), manifest.raw, manifest.media_type)

    def push_config(self) -> None:
        """Have the blob that is the config of every manifest of the cache, once in a build."""

        def push() -> How:
            return self._client.push_blob(self._repository, CONFIG, lambda: io.BytesIO(EMPTY))

        self._config.get("config", push, self._client.transport.cancel)

    def read(self, descriptor: Descriptor, limit: int) -> bytes:
        return self._client.read_blob(self._repository, descriptor, limit)

    def entries(self) -> Iterator[Listed]:
        for tag in self._client.list_tags(self._repository):
            try:
                entry = self.get(tag)
            except RegistryError:
                self._note_lease(tag)
                continue  # something else that shares the repository
            if entry is not None:
                yield Listed(tag, entry)

    def _note_lease(self, tag: str) -> None:
        from gazami.cache.lease import LEASE, decode_lease

        if tag.endswith(LEASE):
            with contextlib.suppress(RegistryError):
                found = self._client.get_manifest(self._repository.with_tag(tag))
                if isinstance(found, Manifest) and decode_lease(found).state != "held":
                    self._leases.add(tag)

    def remove(self, *tags: str) -> None:
        """With them leases that nobody holds. Raises :class:`RegistryError` where the registry does not allow deletions."""
        for tag in (*tags, *sorted(self._leases)):
            self._client.transport.cancel.check()
            self._client.delete_manifest(self._repository.with_tag(tag))
