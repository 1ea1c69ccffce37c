"""Variables: global ARGs, stage ARGs and ENV, and what each instruction may see (frontend reference, variables)."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.image.platform import Platform
from gazami.plan.versions import Versions
from gazami.values import fast_dataclass, field, replace

PROXY_ARGS = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
_CONTROL_ARGS = frozenset(
    {"SOURCE_DATE_EPOCH", "BUILDKIT_BUILD_NAME", "BUILDKIT_CACHE_MOUNT_NS", "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
     "BUILDKIT_INLINE_CACHE", "BUILDKIT_MULTI_PLATFORM", "BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_SYNTAX",
     "BUILDKIT_DOCKERFILE_CHECK", "BUILDKIT_ATTEST_SBOM", "BUILDKIT_ATTEST_PROVENANCE"}
)  # fmt: skip
_NEVER_IN_ENV = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})


def predefined(build: Platform, target: Platform, target_stage: str) -> dict[str, str]:
    """The platform arguments that exist without a declaration in FROM lines and can be declared in a stage."""
    out: dict[str, str] = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        out[f"{prefix}PLATFORM"] = str(platform)
        out[f"{prefix}OS"] = platform.os
        out[f"{prefix}OSVERSION"] = platform.os_version
        out[f"{prefix}ARCH"] = platform.architecture
        out[f"{prefix}VARIANT"] = platform.variant
    out["TARGETSTAGE"] = target_stage or "default"
    return out


@fast_dataclass(frozen=True, slots=True)
class GlobalScope:
    """Values of ARGs before the first FROM, seeded with the predefined ones. ``declared`` are those of the file."""

    values: Versions[str]
    declared: Versions[None] = field(default_factory=Versions)

    def declare(self, name: str, value: str | None) -> GlobalScope:
        """The scope after ``ARG name``; None leaves the value that a predefined one has."""
        values = self.values if value is None else self.values.having(((name, value),))
        return GlobalScope(values, self.declared.having(((name, None),)))


@fast_dataclass(frozen=True, slots=True)
class StageScope:
    """``env`` is what expansion and RUN see: base Env, ENV and ARG values, the latest of a name winning. ``config_env`` is what the
    image's config has of it: the same without ARGs.

    ``args`` are the stage's ARGs in the order of first declaration, with the last value; None is unset.
    """

    env: Versions[str]
    config_env: Versions[str]
    args: Versions[str | None] = field(default_factory=Versions)

    def with_env(self, pairs: tuple[tuple[str, str], ...]) -> StageScope:
        return replace(self, env=self.env.having(pairs), config_env=self.config_env.having(pairs))

    def with_arg(self, name: str, value: str | None) -> StageScope:
        args = self.args.having(((name, value),))
        env = self.env if value is None or name in _NEVER_IN_ENV else self.env.having(((name, value),))
        return replace(self, env=env, args=args)

    def inherited(self) -> StageScope:
        """What a stage built FROM this one starts with: an ARG hides an ENV in its own stage only."""
        return replace(self, env=self.env.having(self.config_env.items()))


def proxy_env(build_args: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Proxy settings given as build args in any spelling, in upper and lower case, for RUN only."""
    out: list[tuple[str, str]] = []
    given = {name.upper(): value for name, value in sorted(build_args.items(), reverse=True)}
    for name in PROXY_ARGS:
        value = given.get(name)
        if value:
            out += [(name, value), (name.lower(), value)]
    return tuple(out)


def unconsumed(build_args: Mapping[str, str], declared: frozenset[str]) -> tuple[str, ...]:
    """Build args that nothing declares, those with a meaning of their own excepted."""
    known = {*_CONTROL_ARGS, *declared}
    return tuple(sorted(name for name in build_args if name not in known and name.upper() not in PROXY_ARGS))
