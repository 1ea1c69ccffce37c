"""``/kaniko/executor``: one file that starts ``/kaniko``, and carries it for the images that it is copied to alone.

``executor.c`` opens with the format and how it is read. The files are appended in an order that brings like to like, so that a
dictionary of 16 MiB, which is what unpacking needs besides the files themselves, finds git's programs beside each other.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from machine import Machine

SOURCE = Path(__file__).with_name("executor.c")
PLACEHOLDER = b"/kaniko" + b"/" * 120
"""Where files name the folder that they lie in, so that another name of up to this length can be written over it."""
LEFT_OUT = frozenset({".builder-image", ".docker", ".program", "executor", "ho", "nsswitch.c", "resolv.c", "tmp", "warmer"})
"""Of the image: its entry points, and what only a container of its own has."""
FILTERS: dict[str, list[dict[str, int]]] = {
    "x86_64": [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 16 << 20}],
    "aarch64": [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 16 << 20}],
}


def write_executor(kaniko: Path, machine: Machine, edited: Callable[[Path, bytes], bytes]) -> None:
    """Write ``executor`` and ``.program`` into the folder. ``edited`` gives the bytes that a file is carried with."""
    index, contents = [], []
    for path in sorted(kaniko.rglob("*"), key=_order):
        name = path.relative_to(kaniko)
        if name.parts[0] in LEFT_OUT:
            continue
        if path.is_symlink():
            index.append(f"l {os.readlink(path)} {name}\n")
        elif path.is_dir():
            index.append(f"d {0o755:o} {name}\n")
        else:
            data = edited(path, path.read_bytes())
            kind = "r" if PLACEHOLDER in data else "f"
            index.append(f"{kind} {stat.S_IMODE(path.stat().st_mode):o} {len(data)} {hash64(data):x} {name}\n")
            contents.append(data)
    listed = "".join(index).encode()
    program = hashlib.sha256(listed + SOURCE.read_bytes()).hexdigest()
    (kaniko / ".program").write_text(program)
    whole = b"".join(contents)
    archive = lzma.compress(whole, lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, filters=FILTERS[machine.name])
    executor = kaniko / "executor"
    subprocess.run(machine.compiled(SOURCE, executor, f'-DPROGRAM="{program}"'), check=True)
    with executor.open("ab") as file:
        file.write(listed + archive + struct.pack("<QQQ8s", len(listed), len(archive), len(whole), b"gazami1\n"))
    executor.chmod(0o755)


def _order(path: Path) -> tuple[int, str, str]:
    """Folders first, each before those in it; programs and libraries together, by name."""
    if path.is_dir() and not path.is_symlink():
        return 0, "", str(path)
    return 1 if path.suffix in ("", ".so") or ".so." in path.name else 2, path.name, str(path)


def hash64(data: bytes) -> int:
    """``hash_of`` of executor.c: 64 bits that tell damage, as fast as memory is read there, slow here."""
    mask, factor = (1 << 64) - 1, 0x9E3779B97F4A7C15
    whole = len(data) & ~7
    value = len(data)
    for (word,) in struct.iter_unpack("<Q", data[:whole]):
        value = ((value ^ word) * factor) & mask
        value ^= value >> 29
    value = ((value ^ int.from_bytes(data[whole:], "little")) * factor) & mask
    return value ^ (value >> 29)
