#!/usr/bin/env python3
"""Makes src/gazami/sandbox/kernel/seccomp_table.py: scripts/seccomp_table.py PROFILE.json VERSION

PROFILE.json is ``seccomp/default.json`` of moby's profiles, VERSION its tag ("seccomp/v0.2.3"), which the table names. The
numbers are those of the kernel's headers (Debian's linux-libc-dev, and gcc to read the generic table), and of NEWER below
for calls that are younger than the headers.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent.parent / "src/gazami/sandbox/kernel/seccomp_table.py"
NEWER = {
    name: number
    for number, name in enumerate(
        (
            "cachestat", "fchmodat2", "map_shadow_stack", "futex_wake", "futex_wait", "futex_requeue", "statmount", "listmount",
            "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "mseal", "setxattrat", "getxattrat", "listxattrat",
            "removexattrat", "open_tree_attr", "file_getattr", "file_setattr", "listns",
        ),
        start=451,
    )
}  # fmt: skip
"""Linux 6.5 to 6.19; one number on all architectures."""
CONDITIONAL = {"clone", "clone3", "personality", "socket"}
CAPABILITIES = {"CAP_SYS_CHROOT"}
"""Of Docker's, those that the profile asks for."""
GENERIC = """
#define __BITS_PER_LONG 64
#define __ARCH_WANT_RENAMEAT
#define __ARCH_WANT_NEW_STAT
#define __ARCH_WANT_SET_GET_RLIMIT
#define __ARCH_WANT_SYS_CLONE3
#define __ARCH_WANT_MEMFD_SECRET
#include <asm-generic/unistd.h>
"""
HEAD = '''"""System call numbers of what Docker's default seccomp profile lets through, for containers with Docker's capabilities.

Made by scripts/seccomp_table.py from moby's profiles, {version}; do not edit. The numbers are the kernel's own (the ``unistd``
tables of each architecture). ``clone``, ``clone3``, ``personality`` and ``socket`` are let through with conditions (see
``_seccomp``).
"""

from __future__ import annotations

from typing import Final

NEWEST: Final = {newest}
"""The last number that was known when the table was made, allowed or not."""
'''
TAIL = '''

def numbers(table: str) -> dict[str, int]:
    """A table as name → number."""
    return {name: int(number) for name, _, number in (entry.partition("=") for entry in table.split())}
'''


def main() -> None:
    profile, version = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]
    parts = [HEAD.format(version=version, newest=max(NEWER.values()))]
    for name, arches, known in (
        ("X86_64", {"amd64"}, numbers_of("x86_64-linux-gnu/asm/unistd_64.h") | {"uretprobe": 335}),
        ("I386", {"amd64", "x86"}, numbers_of("x86_64-linux-gnu/asm/unistd_32.h")),
        ("AARCH64", {"arm64"}, generic_numbers()),
    ):
        known = {**known, **NEWER}
        allowed = sorted((known[call], call) for call in allowed_calls(profile, arches) if call in known)
        rows = textwrap.fill(" ".join(f"{call}={number}" for number, call in allowed), 116)
        parts.append(f'\n{name}: Final = """\n{rows}\n"""\n')
    TABLE.write_text("".join(parts) + TAIL)


def allowed_calls(profile: dict[str, Any], arches: set[str]) -> set[str]:
    """The names that a rule allows, without or with conditions on arguments."""
    names: set[str] = set()
    for rule in profile["syscalls"]:
        wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
        if not set(wanted.get("caps", ())) <= CAPABILITIES or set(unwanted.get("caps", ())) & CAPABILITIES:
            continue
        if ("arches" in wanted and not arches & set(wanted["arches"])) or arches & set(unwanted.get("arches", ())):
            continue
        conditional = bool(rule.get("args")) or rule["action"] != "SCMP_ACT_ALLOW"
        if conditional and not set(rule["names"]) <= CONDITIONAL:
            raise SystemExit(f"a condition that _seccomp.py does not know: {rule}")
        names.update(rule["names"])
    return names


def numbers_of(header: str) -> dict[str, int]:
    text = (Path("/usr/include") / header).read_text()
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}


def generic_numbers() -> dict[str, int]:
    done = subprocess.run(["gcc", "-E", "-dM", "-"], input=GENERIC, capture_output=True, text=True, check=True)
    defined = dict(re.findall(r"#define (__NR\w*) (\w+)", done.stdout))
    found: dict[str, int] = {}
    for name, value in defined.items():
        while not value.isdigit() and value in defined:
            value = defined[value]
        if value.isdigit() and name.startswith("__NR_"):
            found[name.removeprefix("__NR_")] = int(value)
    return found


if __name__ == "__main__":
    main()
