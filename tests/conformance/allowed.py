"""Every difference between gazami and buildah that is allowed, with its reason. Docker's documented behaviour wins."""

from __future__ import annotations

import re

FILES: tuple[tuple[str, str, str], ...] = (
    # (case pattern, path pattern, reason)
    (r".*", r"(proc|sys|dev)", "BuildKit keeps the mount points of RUN in the layer; buildah removes or keeps them as it likes"),
    (r".*", r"run/\.containerenv|run/secrets.*", "buildah mounts these into every step and leaves the mount points"),
    (r".*", r"run", "made by buildah as the parent of its own mount points"),
    (r".*", r"etc/(hosts|resolv\.conf|hostname)", "buildah leaves empty files where it mounts its own"),
    (r"copy-onto-symlinked-file", r"real/target(/a\.txt)?", "buildah 1.28 takes a dangling link for a directory to be made"),
    (
        r"copy-onto-linked-file",
        r"l|real",
        "COPY follows a link that its destination is, as BuildKit's does; buildah replaces the link",
    ),
    (r"expansion-in-json-volume", r"x(/a b)?", "buildah makes the directories of VOLUME; BuildKit leaves the files alone"),
    (r"volume", r"logs|data|var/x", "buildah makes the directories of VOLUME; BuildKit leaves the files alone"),
    (r"volume-then-write", r"data/f", "buildah drops what is written to a volume; BuildKit keeps it"),
    (
        r"debian-dpkg",
        r"etc/(group|passwd|shadow|gshadow|subuid|subgid)-",
        "useradd keeps the time of its backups, and some change no size: buildah on vfs compares size and time and misses them",
    ),
    (r"debian-.*", r"var/cache/ldconfig/aux-cache", "ldconfig records inode numbers and times in it"),
    (r"copy-modes", r"x/dir/c\.txt", "BuildKit keeps setuid bits of context files; buildah 1.28 drops them"),
    (
        r"copy-(modes|directory.*|everything|symlink-in-directory|chown.*|chmod.*)|add-.*",
        r"x|y",
        "a directory that COPY creates is 0755 root, not the source's mode; buildah 1.28 copies the mode",
    ),
)

CONFIG: tuple[tuple[str, str, str], ...] = (
    (r".*", r"ArgsEscaped", "BuildKit sets it with every CMD; buildah never"),
    (
        r".*",
        r"Hostname|Domainname|Attach(Stdin|Stdout|Stderr)|Tty|OpenStdin|StdinOnce|Image|MacAddress",
        "fields of Docker's old container config, which buildah still writes in docker format",
    ),
    (r".*", r"Labels\.io\.buildah\.version", "buildah's own label"),
    (r"escape-directive", r"Env", "buildah 1.28 treats a backslash as an escape whatever the directive says"),
    (r".*", r"WorkingDir", "BuildKit always writes one, / by default; buildah leaves it out"),
)  # fmt: skip


def file_reason(case: str, path: str) -> str | None:
    return _reason(FILES, case, path)


def config_reason(case: str, key: str) -> str | None:
    return _reason(CONFIG, case, key)


def _reason(table: tuple[tuple[str, str, str], ...], case: str, key: str) -> str | None:
    for pattern, keys, reason in table:
        if re.fullmatch(pattern, case) and re.fullmatch(keys, key):
            return reason
    return None
