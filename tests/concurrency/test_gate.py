"""No build is silently wrong: what leaves it was checked, wherever its bytes had lain. Each damage has a control: the same build
without it passes, and without the gate the damage would be in the output."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.programs import gazami

pytestmark = pytest.mark.timeout(120)


def build(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return gazami("build", str(folder), "--no-push", f"--state-dir={folder.parent / 'state'}", *arguments, timeout=60)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "file").write_bytes(bytes(range(256)) * 4096)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    return folder


def layer_of(archive: Path) -> tuple[str, bytes]:
    """The config's diff id and the blob of an archive's last layer."""
    with tarfile.open(archive) as tar:
        manifest = json.loads(tar.extractfile("manifest.json").read())[0]  # type: ignore[union-attr]
        config = json.loads(tar.extractfile(manifest["Config"]).read())  # type: ignore[union-attr]
        return config["rootfs"]["diff_ids"][-1], tar.extractfile(manifest["Layers"][-1]).read()  # type: ignore[union-attr]


def is_whole(archive: Path) -> bool:
    diff_id, blob = layer_of(archive)
    try:
        return diff_id == "sha256:" + hashlib.sha256(subprocess.check_output(["zcat"], input=blob)).hexdigest()
    except subprocess.CalledProcessError:
        return False


def largest(folder: Path) -> Path:
    return max((each for each in (folder / "blobs/sha256").iterdir()), key=lambda each: each.stat().st_size)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other(path: Path) -> None:
    """A good gzip stream of another tar: its digest and its diff id are wrong."""
    path.write_bytes(subprocess.check_output(["gzip", "-c"], input=b"\0" * 1024))


def gone(path: Path) -> None:
    path.unlink()


DAMAGES = [flip, cut, empty, other]


@pytest.mark.parametrize("damage", [*DAMAGES, gone], ids=lambda each: each.__name__)
@pytest.mark.parametrize("output", ["tar", "oci"])
def test_a_damaged_layer_of_a_directory_cache_is_built_again(context: Path, output: str, damage: object) -> None:
    cache = context.parent / "cache"
    flags = ["--cache", "--cache-copy-layers", f"--cache-repo=oci:{cache}"]
    assert build(context, *flags).returncode == 0
    out = context.parent / "out.tar"
    wanted = f"--tar-path={out}" if output == "tar" else f"--output=type=oci,dest={out}"
    done = build(context, *flags, wanted)  # the control: a hit
    assert done.returncode == 0, done.stderr
    assert "1 of 1" in done.stderr or "cached" in done.stderr.lower(), done.stderr
    out.unlink()
    damage(largest(cache))  # type: ignore[operator]
    done = build(context, *flags, wanted)
    assert done.returncode == 0, done.stderr
    assert "bug in gazami" not in done.stderr
    if output == "tar":
        assert is_whole(out)
    else:
        with tarfile.open(out) as tar:
            for member in tar:
                if member.name.startswith("blobs/sha256/") and member.isfile():
                    assert hashlib.sha256(tar.extractfile(member).read()).hexdigest() == member.name[-64:]  # type: ignore[union-attr]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_a_damaged_base_of_a_layout_is_an_error_that_names_the_layer(context: Path, damage: object) -> None:
    layout = context.parent / "layout"
    assert build(context, f"--oci-layout-path={layout}").returncode == 0
    (context / "Dockerfile").write_text("FROM base\nENV A=1\n")
    out = context.parent / "out.tar"
    flags = [f"--build-context=base=oci-layout://{layout}", f"--tar-path={out}"]
    done = build(context, *flags)
    assert done.returncode == 0, done.stderr
    assert is_whole(out)  # the control
    out.unlink()
    blob = largest(layout)
    damage(blob)  # type: ignore[operator]
    done = build(context, *flags)
    assert done.returncode != 0
    assert blob.name[:12] in done.stderr
    assert not out.exists()


LIMITS = [1 << 10, 64 << 10, 250 << 10, 280 << 10, 299_000, 300_500]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_file_that_may_not_grow(context: Path, compression: str, limit: int) -> None:
    """RLIMIT_FSIZE fails a write as a full disk does, at any byte: an error within seconds, or a whole layer."""
    (context / "file").write_bytes(b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(9375)))
    done = subprocess.run(
        [sys.executable, "-m", "gazami", "build", str(context), "--no-push", f"--compression={compression}",
         f"--state-dir={context.parent / 'state'}"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )  # fmt: skip
    if limit < 300_000:
        assert done.returncode != 0
        assert "File too large" in done.stderr
    assert "bug in gazami" not in done.stderr
    assert not list((context.parent / "state").glob("build-*"))
