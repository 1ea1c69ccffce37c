"""Who may write to the layer cache may lie about files of images; no lie reaches an image.

Every Dockerfile is built with the lies and without a cache, each time with an empty state: the digests have to be the same.
The control is that a builder that believed an index would have another image.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.programs import gazami

from gazami.cache.directory import DirectoryStore
from gazami.cache.entry import FILES, CacheEntry, FileList
from gazami.image.digest import digest_of
from gazami.image.manifest import Descriptor
from gazami.image.model import LocalFile
from gazami.layer.entry import BytesContent, Kind
from gazami.rootfs.kept_tree import KeptTree, decode_members, encode_members, encode_tree
from gazami.rootfs.tree import Node, Tree
from gazami.values import replace

EVIL = b"#!/bin/evil\n"
LIMIT = 1 << 28


def evil_file(tree: Tree) -> None:
    children(tree, "bin")["tool"] = Node(Kind.FILE, 0o4755, size=len(EVIL), content=BytesContent(EVIL))


def evil_accounts(tree: Tree) -> None:
    data = b"root:x:0:0::/:\napp:x:0:0::/:\n"
    children(tree, "etc")["passwd"] = Node(Kind.FILE, 0o644, size=len(data), content=BytesContent(data))


def evil_link(tree: Tree) -> None:
    children(tree, "")["app"] = Node(Kind.SYMLINK, 0o777, link="/etc")


def evil_owner(tree: Tree) -> None:
    node = tree.get("app")
    assert node is not None
    node.mode, node.uid, node.gid = 0o777, 1000, 1000


def evil_absence(tree: Tree) -> None:
    del children(tree, "")["etc"]


def evil_attribute(tree: Tree) -> None:
    node = tree.get("app")
    assert node is not None
    node.xattrs = (("security.capability", b"\1\0\0\2"),)


def evil_link_in_place_of_a_file(tree: Tree) -> None:
    children(tree, "app")["config"] = Node(Kind.SYMLINK, 0o777, link="/bin/tool")


def evil_kinds_of_values(tree: Tree) -> None:
    children(tree, "")["app"] = Node(Kind.SYMLINK, 0o777, link=["etc"])  # type: ignore[arg-type]


def evil_text(tree: Tree) -> None:
    children(tree, "")["app"] = Node(Kind.SYMLINK, 0o777, link="e\ud800tc")


def evil_number(tree: Tree) -> None:
    node = tree.get("app")
    assert node is not None
    node.mode, node.uid = 493.0, False  # type: ignore[assignment]


def children(tree: Tree, path: str) -> dict[str, Node]:
    node = tree.get(path)
    assert node is not None
    return tree.children_of(node)


LIES: dict[str, tuple[Callable[[Tree], None], str]] = {
    "a copy from the image": (evil_file, "FROM scratch\nCOPY --from=trusted /bin/tool /tool\n"),
    "a folder from the image": (evil_file, "FROM scratch\nCOPY --from=trusted /bin /b/\n"),
    "a copy from a stage on it": (evil_file, "FROM trusted AS s\nCOPY f /f\nFROM scratch\nCOPY --from=s /bin/tool /t\n"),
    "a copy from a stage on a stage": (
        evil_file, "FROM trusted AS r\nCOPY f /f\nFROM r AS s\nCOPY f /g\nFROM scratch\nCOPY --from=s /bin/tool /t\n",
    ),
    "after a copy onto it": (
        evil_file, "FROM trusted AS s\nCOPY f /app/\nFROM scratch\nCOPY --from=trusted /bin/tool /\nCOPY --from=s /bin /b/\n",
    ),
    "the name of an owner": (evil_accounts, "FROM trusted\nCOPY f /app/f\nCOPY --chown=app f /app/g\n"),
    "the directory of a user": (evil_accounts, "FROM trusted\nUSER app\nWORKDIR /new/dir\n"),
    "a link on the way": (evil_link, "FROM trusted\nCOPY f /app/f\n"),
    "a link as the directory": (evil_link, "FROM trusted\nCOPY . /app\n"),
    "a link on the way to a directory": (evil_link, "FROM trusted\nWORKDIR /app/x\nCOPY f .\n"),
    "a link, for a download": (evil_link, "FROM trusted\nADD f /app/\n"),
    "the owner of a directory": (evil_owner, "FROM trusted\nCOPY f /app/f\n"),
    "the attributes of a directory": (evil_attribute, "FROM trusted\nCOPY f /app/f\n"),
    "a directory that is said to be away": (evil_absence, "FROM trusted\nCOPY --chown=1000:1000 f /etc/f\n"),
    "the same with a mode": (evil_absence, "FROM trusted\nCOPY --chmod=0777 f /etc/f\n"),
    "the same with a user": (evil_absence, "FROM trusted\nUSER 1000\nWORKDIR /etc/x\n"),
    "a link as the file": (evil_link_in_place_of_a_file, "FROM trusted\nCOPY f /app/config\n"),
}  # fmt: skip

BROKEN: dict[str, tuple[Callable[[Tree], None], str]] = {
    "a link that is no text": (evil_kinds_of_values, "FROM trusted\nCOPY f /app/f\n"),
    "a link that is no Unicode": (evil_text, "FROM trusted\nCOPY f /app/f\n"),
    "a mode that is no whole number": (evil_number, "FROM trusted\nCOPY f /app/f\n"),
}
"""What no header can hold: nobody believes it, and no build ends by it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A context with a file ``f``, and an image ``image`` in a layout."""
    source = tmp_path / "image-context"
    for name, text in {"bin/tool": "GENUINE", "etc/passwd": "root:x:0:0::/:\napp:x:77:77::/:\n", "app/old": ""}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    (source / "Dockerfile").write_text("FROM scratch\nCOPY bin /bin\nCOPY etc /etc\nCOPY app /app\n")
    done = gazami("build", str(source), "--no-push", f"--oci-layout-path={tmp_path / 'image'}", f"--state-dir={tmp_path / 's'}")
    assert done.returncode == 0, done.stderr
    (tmp_path / "context").mkdir()
    (tmp_path / "context/f").write_text("ours")
    return tmp_path


def build(folder: Path, dockerfile: str, *arguments: str, state: str) -> str:
    """The digest of the image."""
    (folder / "context/Dockerfile").write_text(dockerfile)
    out = folder / f"digest-{state}"
    done = gazami(
        "build", str(folder / "context"), "--no-push", "--reproducible", f"--digest-file={out}",
        f"--build-context=trusted=oci-layout://{folder / 'image'}", f"--state-dir={folder / state}", *arguments,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out.read_text()


def lie(cache: Path, change: Callable[[Tree], None], *, embedded: bool = True) -> int:
    """Put another index under the tag of each image, and none of the cached layers; how many there were."""
    store = DirectoryStore(cache)
    found = 0
    for listed in list(store.entries()):
        if not listed.tag.startswith("index-"):
            store.remove(listed.tag)
            continue
        assert listed.entry.files is not None
        tree = KeptTree(listed.entry.files.read(store.read, LIMIT))
        try:
            change(tree)
        except AssertionError:
            continue  # another image
        data = encode_tree(tree, tree.layers)  # type: ignore[arg-type]
        assert data is not None
        put(store, (listed.tag,), CacheEntry(datetime.now(UTC), text="x"), data, embedded=embedded)
        found += 1
    return found


def put(store: DirectoryStore, tags: tuple[str, ...], entry: CacheEntry, data: bytes, *, embedded: bool = True) -> None:
    index = Descriptor(FILES, digest_of(data), len(data))
    blobs = () if embedded else ((index, lambda: io.BytesIO(data), LocalFile("")),)
    store.put(tags, entry.with_files(FileList(index, data if embedded else None)), blobs)


@pytest.mark.parametrize("what", LIES | BROKEN)
@pytest.mark.parametrize("embedded", [True, False], ids=["in the entry", "a blob"])
def test_a_lie_about_an_image_changes_nothing(what: str, embedded: bool, folder: Path) -> None:
    change, dockerfile = (LIES | BROKEN)[what]
    cache = (f"--cache-repo=oci:{folder / 'cache'}", "--cache", "--cache-copy-layers")
    honest = build(folder, dockerfile, state="honest")
    build(folder, "FROM trusted\nCOPY --chown=0:0 f /x\n", *cache, state="filling")
    assert lie(folder / "cache", change, embedded=embedded) == 1
    assert build(folder, dockerfile, *cache, state="victim") == honest
    shutil.rmtree(folder / "cache")
    assert build(folder, dockerfile, state="victim") == honest, "nor is it kept"


@pytest.mark.parametrize("what", LIES | BROKEN)
def test_a_lie_in_a_directory_of_bases_changes_nothing(what: str, folder: Path) -> None:
    """``--cache-dir`` may be a volume that others write to."""
    change, dockerfile = (LIES | BROKEN)[what]
    honest = build(folder, dockerfile, state="honest")
    filling = (f"--cache-repo=oci:{folder / 'cache'}", "--cache", "--cache-copy-layers")
    build(folder, "FROM trusted\nCOPY --chown=0:0 f /x\n", *filling, state="filling")
    assert lie(folder / "cache", change) == 1
    entry = next(listed for listed in DirectoryStore(folder / "cache").entries() if listed.tag.startswith("index-"))
    assert entry.entry.files is not None and entry.entry.files.data is not None
    (folder / "bases/.trees").mkdir(parents=True)
    (folder / "bases/.trees" / entry.tag).write_bytes(entry.entry.files.data)
    cache = (f"--cache-repo=oci:{folder / 'empty'}", "--cache", "--cache-copy-layers", f"--cache-dir={folder / 'bases'}")
    assert build(folder, dockerfile, *cache, state="victim") == honest


@pytest.mark.parametrize("what", LIES)
def test_control_a_builder_that_believed_it_would_have_another_image(what: str, folder: Path) -> None:
    """The lie, put where this machine's own indexes lie, is believed: that place is the builder's own."""
    change, dockerfile = LIES[what]
    cache = (f"--cache-repo=oci:{folder / 'cache'}", "--cache", "--cache-copy-layers")
    build(folder, "FROM trusted\nCOPY --chown=0:0 f /x\n", *cache, state="filling")
    lie(folder / "cache", change)
    store = DirectoryStore(folder / "cache")
    entry = next(listed.entry for listed in store.entries() if listed.tag.startswith("index-"))
    assert entry.files is not None
    own = next((folder / "filling/indexes").glob("image-*"))
    own.write_bytes(entry.files.read(store.read, LIMIT))
    assert build(folder, dockerfile, state="filling") != build(folder, dockerfile, state="honest")


def test_a_lie_about_a_cached_layer_is_in_no_copy_from_it(folder: Path) -> None:
    stage = "FROM trusted AS s\nCOPY f /made/f\n"
    dockerfile = f"{stage}FROM scratch\nCOPY --from=s /made /other\n"
    cache = (f"--cache-repo=oci:{folder / 'cache'}", "--cache", "--cache-copy-layers")
    honest = build(folder, dockerfile, state="honest")
    build(folder, f"{stage}FROM s\nCOPY f /second\n", *cache, state="filling")
    store = DirectoryStore(folder / "cache")
    changed = 0
    for listed in list(store.entries()):
        entry = listed.entry
        if entry.layer is None or entry.files is None:
            continue
        rows = [
            (replace(row, mode=0o4755, size=len(EVIL)), EVIL) if row.path == "made/f" else (row, data)
            for row, data in decode_members(entry.files.read(store.read, LIMIT))
        ]
        put(store, (listed.tag,), entry, encode_members(rows))
        changed += any(data == EVIL for _, data in rows)
    assert changed
    assert build(folder, dockerfile, *cache, state="victim") == honest


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": Kind.SYMLINK, "link": ["etc"]},
        {"kind": Kind.SYMLINK, "link": "e\ud800tc"},
        {"mode": 493.0},
        {"uid": False},
        {"xattrs": ((5, b"x"),)},
    ],
    ids=str,
)
def test_a_list_of_a_layer_that_no_header_could_hold_is_not_used(broken: dict[str, Any], folder: Path) -> None:
    dockerfile = "FROM trusted\nCOPY f /made/f\n"
    cache = (f"--cache-repo=oci:{folder / 'cache'}", "--cache", "--cache-copy-layers")
    honest = build(folder, f"{dockerfile}COPY f /made/g\n", state="honest")
    build(folder, dockerfile, *cache, state="filling")
    store = DirectoryStore(folder / "cache")
    changed = 0
    for listed in list(store.entries()):
        if listed.entry.layer is None or listed.entry.files is None:
            continue
        rows = list(decode_members(listed.entry.files.read(store.read, LIMIT)))
        rows = [(replace(row, **broken), data) if row.path == "made" else (row, data) for row, data in rows]
        put(store, (listed.tag,), listed.entry, encode_members(rows))
        changed += any(row.path == "made" for row, _ in rows)
    assert changed
    assert build(folder, f"{dockerfile}COPY f /made/g\n", *cache, state="victim") == honest


def test_a_base_keeps_its_own_blobs_whatever_a_cache_entry_claims(folder: Path) -> None:
    """An entry names a diff id and a blob; the diff id of a base's layer must not bring its blob into the base."""
    dockerfile = "FROM trusted\nCOPY f /f\n"
    cache = (f"--cache-repo=oci:{folder / 'cache'}", "--cache", "--cache-copy-layers")
    layout = f"--oci-layout-path={folder / 'out'}"
    build(folder, dockerfile, *cache, state="filling")
    import json

    def layers(place: Path) -> tuple[list[str], list[str]]:
        index = json.loads((place / "index.json").read_bytes())
        manifest = json.loads((place / "blobs" / index["manifests"][0]["digest"].replace(":", "/")).read_bytes())
        config = json.loads((place / "blobs" / manifest["config"]["digest"].replace(":", "/")).read_bytes())
        return [each["digest"] for each in manifest["layers"]], config["rootfs"]["diff_ids"]

    blobs, diff_ids = layers(folder / "image")
    store = DirectoryStore(folder / "cache")
    for listed in list(store.entries()):
        if listed.entry.layer is not None:
            store.put((listed.tag,), replace(listed.entry, diff_id=diff_ids[0]), ())
    build(folder, dockerfile, *cache, layout, state="victim")
    assert layers(folder / "out")[0][: len(blobs)] == blobs


def test_what_an_entry_says_of_its_layer_is_not_in_the_image(folder: Path) -> None:
    """Annotations of a base's layers stay in the image; those of a cached layer are whatever a writer of the cache says."""
    dockerfile = "FROM trusted\nCOPY f /x\n"
    cache = (f"--cache-repo=oci:{folder / 'cache'}", "--cache", "--cache-copy-layers")
    honest = build(folder, dockerfile, *cache, state="filling")
    store, changed = DirectoryStore(folder / "cache"), 0
    for listed in list(store.entries()):
        if (layer := listed.entry.layer) is not None:
            noted = replace(layer, annotations=(("containerd.io/snapshot/stargz/toc.digest", "sha256:" + "0" * 64),))
            store.put((listed.tag,), replace(listed.entry, layer=noted), ())
            changed += 1
    assert changed
    assert build(folder, dockerfile, *cache, state="victim") == honest
