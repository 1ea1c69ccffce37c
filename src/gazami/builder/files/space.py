"""Whether the bases of a build fit where they are unpacked, by the sizes in their manifests, before they are pulled."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gazami.errors import SpaceError
from gazami.image.manifest import Descriptor


def check_room(layers: Iterable[Descriptor], place: Path) -> None:
    """Raises :class:`SpaceError` where not even the compressed layers fit. They unpack to more than that: no build is refused that
    would have fitted, and many that do not fit are found out only later."""
    needed = sum(layer.size for layer in layers)
    while not place.exists() and place != place.parent:
        place = place.parent
    info = os.statvfs(place)
    free = info.f_bavail * info.f_frsize
    if needed > free:
        needs = f"{needed / 1e6:.1f} MB compressed, more when unpacked"
        raise SpaceError(
            f"the base images do not fit: they need {needs}; {place} has {free / 1e6:.1f} MB free",
            hint="choose a larger --state-dir, or a smaller base image",
        )
