"""An image whose config claims the diff ids of another one, over layers that are never unpacked: it can only spoil itself.

What gazami learns of an image's files serves later copies, in this build and in later ones on this machine. It is kept by the
blobs that were read, which their digests prove, and not by what a config says of them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.services import docker_registry

from gazami.builder.files.layer_files import WORTH_A_PROCESS

FILLER = os.urandom(WORTH_A_PROCESS + 100)


def a_tar(*, app_is_a_link: bool, text: bytes = b"", programs: bool = False) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("etc", "app"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            if name == "app" and app_is_a_link:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc"
            archive.addfile(info)
        busybox = Path("/bin/busybox").read_bytes() if programs else b""
        for path, data in (("filler", FILLER), ("app/seen", text), ("busybox", busybox)):
            if data:
                info = tarfile.TarInfo(path)
                info.size, info.mode = len(data), 0o755
                archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


GOOD, EVIL = a_tar(app_is_a_link=False), a_tar(app_is_a_link=True)


def layout(place: Path, tar: bytes, claims: bytes, blob: bytes = b"", notes: dict[str, str] | None = None) -> Path:
    """An image with one layer, whose config has the diff id of ``claims``. ``notes`` are the layer's annotations."""
    blobs = place / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    kind = "application/vnd.oci.image."
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(claims).hexdigest()}"]}
    config = put(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode())
    layers = [{"mediaType": f"{kind}layer.v1.tar+gzip", **put(blob or gzip.compress(tar, 1)), "annotations": notes or {}}]
    text = {"schemaVersion": 2, "config": {"mediaType": f"{kind}config.v1+json", **config}, "layers": layers}
    manifest = put(json.dumps({**text, "mediaType": f"{kind}manifest.v1+json"}).encode())
    index = {"schemaVersion": 2, "manifests": [{"mediaType": f"{kind}manifest.v1+json", **manifest}]}
    (place / "index.json").write_text(json.dumps(index))
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return place


def built(place: Path, dockerfile: str, *flags: str) -> subprocess.CompletedProcess[str]:
    context = place / "context"
    context.mkdir(exist_ok=True)
    (context / "file").write_text("text")
    (context / "Dockerfile").write_text(dockerfile)
    return gazami(
        "build", str(context), "--no-push", f"--state-dir={place / 'state'}", f"--oci-layout-path={place / 'out'}",
        "--platform=linux/amd64", *flags,
        *(f"--build-context={name}=oci-layout://{place / name}" for name in ("good", "evil", "third") if (place / name).exists()),
    )  # fmt: skip


def copied(place: Path, dockerfile: str, *flags: str) -> list[str]:
    """Where the last layer's file went."""
    return list(files(place, dockerfile, *flags))


def files(place: Path, dockerfile: str, *flags: str) -> dict[str, bytes]:
    """The files of the last layer."""
    done, out = built(place, dockerfile, *flags), place / "out"
    assert done.returncode == 0, done.stderr
    manifests = json.loads((out / "index.json").read_text())["manifests"]
    manifest = json.loads((out / "blobs" / manifests[-1]["digest"].replace(":", "/")).read_text())
    with tarfile.open(out / "blobs" / manifest["layers"][-1]["digest"].replace(":", "/")) as archive:
        return {each.name: file.read() for each in archive if (file := archive.extractfile(each)) is not None}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    layout(tmp_path / "good", GOOD, GOOD)
    layout(tmp_path / "evil", EVIL, GOOD)
    return tmp_path


COPY = "COPY file /app/\n"


def test_control_the_image_has_another_tree(place: Path) -> None:
    (place / "evil").rename(place / "liar")
    layout(place / "evil", EVIL, EVIL)
    assert copied(place, f"FROM evil\n{COPY}") == ["etc/file"]


@pytest.mark.parametrize(
    "output", ["--tar-path={}", "--oci-layout-path={}", "--output=type=oci,dest={}", "--output=type=tar,dest={}"]
)
def test_an_image_of_a_registry_that_leaves_is_what_it_says(place: Path, output: str) -> None:
    context = place / "context"
    context.mkdir()
    with docker_registry(place / "registry") as registry:
        name = f"{registry.host}/evil:1"
        assert gazami("push", str(place / "evil"), f"--destination={name}", "--insecure").returncode == 0
        (context / "Dockerfile").write_text(f"FROM {name}\nCOPY Dockerfile /app/\n")
        flags = ("--no-push", f"--state-dir={place / 'state'}", "--insecure-pull", "--platform=linux/amd64")
        done = gazami("build", str(context), *flags, output.format(place / "out"))
    assert done.returncode == 1
    assert "does not unpack to its diff id" in done.stderr
    assert not (place / "out").exists()


@pytest.mark.parametrize("first", ["good", "evil"])
def test_a_later_build_on_this_machine(place: Path, first: str) -> None:
    found = {}
    for name in (first, "evil" if first == "good" else "good"):
        if name == "good":
            found[name] = copied(place, f"FROM {name}\n{COPY}")
        else:  # it is built from, and not written, since an image that leaves has its diff ids checked
            copied(place, f"FROM {name} AS one\n{COPY}FROM scratch\nCOPY --from=one /app/file /\n")
    assert found == {"good": ["app/file"]}


def test_another_stage_of_the_same_build(place: Path) -> None:
    text = f"FROM evil AS one\n{COPY}FROM good AS two\nCOPY --from=one /app/file /seen\n{COPY}"
    assert copied(place, text) == ["app/file"]


def test_an_image_that_leaves_is_what_it_says(place: Path) -> None:
    """Written to a layout, or unpacked for a command, its diff ids are checked."""
    done = built(place, f"FROM evil\n{COPY}")
    assert done.returncode == 1
    assert "does not unpack to its diff id" in done.stderr


UNUSED = f"FROM evil AS one\n{COPY}FROM scratch\nCOPY --from=one /app/file /\n"
"""A copy onto the image, of which nothing is unpacked."""


def test_a_layer_that_the_cache_has_of_it(place: Path) -> None:
    """A step's key is that of the blobs below it, not only of what the config says that they are."""
    cache = ("--cache", "--cache-copy-layers", f"--cache-repo=oci:{place / 'cache'}")
    copied(place, UNUSED, *cache)
    assert copied(place, f"FROM good\n{COPY}", *cache) == ["app/file"]


def test_a_cached_layer_of_a_copy_from_it(place: Path) -> None:
    cache = ("--cache", "--cache-copy-layers", f"--cache-repo=oci:{place / 'cache'}")
    assert files(place, "FROM scratch\nCOPY --from=evil /app /app\n", *cache) == {}
    layout(place / "third", a_tar(app_is_a_link=False, text=b"good"), GOOD)
    shutil.rmtree(place / "evil")
    (place / "third").rename(place / "evil")
    done = built(place, "FROM scratch\nCOPY --from=evil /app /app\n", *cache)
    assert done.returncode == 1
    assert "does not unpack to its diff id" in done.stderr


def test_the_tree_that_a_layer_cache_has_of_it(place: Path) -> None:
    """Another machine, which has only the cache: what it says of one image is not what the other one gets."""
    cache = ("--cache", f"--cache-repo=oci:{place / 'cache'}")
    layout(place / "third", a_tar(app_is_a_link=False), EVIL)  # says that it is the one with a link, and has none
    copied(place, UNUSED.replace("evil", "third"), *cache)
    shutil.rmtree(place / "state")
    (place / "evil").rename(place / "liar")
    layout(place / "evil", EVIL, EVIL)
    assert copied(place, f"FROM evil\n{COPY}", *cache) == ["etc/file"]


def test_an_image_of_the_same_blobs_that_claims_the_diff_ids_of_a_third(tmp_path: Path) -> None:
    """What the copy reads is the file of the image that it names."""
    good, third = (a_tar(app_is_a_link=False, text=text) for text in (b"good", b"evil"))
    for name, tar, claims in (("good", good, good), ("evil", good, third), ("third", third, third)):
        layout(tmp_path / name, tar, claims)
    text = f"FROM evil AS one\n{COPY}FROM scratch\n"
    text += "COPY --from=one /app/file /\nCOPY --from=third /app/seen /\nCOPY --from=good /app/seen /\n"
    assert files(tmp_path, text) == {"seen": b"good"}


def test_a_file_that_the_layer_of_that_diff_id_does_not_have(tmp_path: Path) -> None:
    for name, text in (("good", b""), ("evil", b"more")):
        layout(tmp_path / name, a_tar(app_is_a_link=False, text=text), a_tar(app_is_a_link=False))
    text = f"FROM evil AS one\n{COPY}FROM good AS two\nCOPY --from=one /app/file /\nFROM scratch\n"
    done = built(tmp_path, f"{text}COPY --from=two /file /\nCOPY --from=one /app/seen /\n")
    assert done.returncode == 1
    assert "does not unpack to its diff id" in done.stderr


RUNS = """FROM good AS one
RUN ["/busybox", "touch", "/made"]
FROM evil AS two
COPY --from=one /made /x
RUN ["/busybox", "touch", "/seen"]
FROM scratch
COPY --from=two /seen /
"""


@pytest.mark.sandbox
@pytest.mark.parametrize("isolation", ["namespaces", "userns", "chroot"])
@pytest.mark.parametrize("honest", [True, False], ids=["control", "lying"])
def test_a_command_in_it_beside_one_in_the_other(tmp_path: Path, isolation: str, honest: bool) -> None:
    """It does not run in the other one's unpacked files, and unpacking its own shows what it is."""
    good, evil = (a_tar(app_is_a_link=link, programs=True) for link in (False, True))
    layout(tmp_path / "good", good, good)
    layout(tmp_path / "evil", evil, evil if honest else good)
    done = built(tmp_path, RUNS, f"--isolation={isolation}")
    assert done.returncode == int(not honest), done.stderr
    assert ("does not unpack to its diff id" in done.stderr) is not honest
