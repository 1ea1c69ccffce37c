"""Platforms: ``os[/arch[/variant]]`` as containerd normalises them (OCI image-index.md, platform)."""

from __future__ import annotations

import re

from gazami.errors import UsageError
from gazami.values import fast_dataclass

_ARCH = {
    "x86_64": "amd64", "x86-64": "amd64", "amd64": "amd64",
    "aarch64": "arm64", "arm64": "arm64",
    "armhf": "arm", "armel": "arm", "arm": "arm", "armv7l": "arm", "armv6l": "arm",
    "i386": "386", "i686": "386", "386": "386",
    "riscv64": "riscv64", "s390x": "s390x", "ppc64le": "ppc64le", "ppc64el": "ppc64le",
    "loong64": "loong64", "loongarch64": "loong64", "mips64le": "mips64le", "wasm": "wasm",
}  # fmt: skip
_OS = frozenset({"linux", "windows", "darwin", "freebsd", "wasip1"})
_PART = re.compile(r"[A-Za-z0-9_.-]+\Z")
_OS_PART = re.compile(r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.+-]*)\))?\Z")


@fast_dataclass(frozen=True, slots=True)
class Platform:
    """``variant`` and ``os_version`` are empty where they do not apply."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def accepts(self, other: Platform) -> bool:
        """Whether an image for ``other`` runs where this platform is asked for."""
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        if self.variant == other.variant:
            return True
        if self.architecture == "arm":
            mine, theirs = _arm_version(self.variant), _arm_version(other.variant)
            return theirs <= mine
        return not self.variant or not other.variant


def _arm_version(variant: str) -> int:
    return int(variant[1:]) if re.fullmatch(r"v[0-9]{1,3}", variant) else 7


def host_platform(machine: str) -> Platform:
    """The Linux platform of ``machine``, uname's word for the processor (``x86_64``)."""
    variant = {"armv7l": "v7", "armv6l": "v6"}.get(machine, "")
    return _normalise("linux", _ARCH.get(machine, machine), variant, "")


def parse_platform(text: str, default_os: str = "linux", host: Platform | None = None) -> Platform:
    """Read ``os/arch[/variant]``, ``os``, or ``arch``. Raises :class:`UsageError`."""
    parts = text.strip().split("/")
    first = _OS_PART.match(parts[0])
    if not first or len(parts) > 3 or not all(_PART.match(part) for part in parts[1:]):
        raise UsageError(f"{text!r} is not a platform", hint="write it as os/arch[/variant], for example linux/arm64")
    os_name, os_version = first.group(1).lower(), first.group(2) or ""
    if len(parts) == 1:
        if os_name in _OS:
            fallback = host or Platform(os_name, "amd64")
            return Platform(os_name, fallback.architecture, fallback.variant, os_version)
        if os_name in _ARCH or re.match(r"armv[5-8]\Z", os_name):
            variant = os_name[3:] if os_name.startswith("armv") and os_name not in _ARCH else ""
            return _normalise(default_os, "arm" if variant else os_name, variant, os_version)
        raise UsageError(f"unknown operating system or architecture {text!r}")
    return _normalise(os_name, parts[1].lower(), parts[2].lower() if len(parts) == 3 else "", os_version)


def _normalise(os_name: str, arch: str, variant: str, os_version: str) -> Platform:
    arch = _ARCH.get(arch, arch)
    if arch == "arm64" and variant in ("8", "v8"):
        variant = ""
    elif arch == "arm":
        variant = variant or "v7"
        variant = variant if variant.startswith("v") else f"v{variant}"
    elif arch == "amd64" and variant == "v1":
        variant = ""
    return Platform({"macos": "darwin"}.get(os_name, os_name), arch, variant, os_version)
