"""Layers and archives that try to write outside of the stage's root, or are broken: refused or confined, never obeyed."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest
from tests.conformance.flatten import read_layout
from tests.integration.commandline.images import directory, file, member, push_layers, tar_of
from tests.programs import gazami

pytestmark = [pytest.mark.service]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking as root is what is tested")

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
OUTSIDE = f"/tmp/gazami-escaped{_WORKER}"
VICTIM = f"gazami-victim{_WORKER}"

ESCAPES = {
    "symlink-then-file": [member("a", tarfile.SYMTYPE, "/tmp"), file("a/gazami-escaped")],
    "relative-symlink-then-file": [member("a", tarfile.SYMTYPE, "../../../../../../tmp"), file("a/gazami-escaped")],
    "symlink-chain": [member("a", tarfile.SYMTYPE, "b"), member("b", tarfile.SYMTYPE, "/tmp"), file("a/gazami-escaped")],
    "symlinked-directory-entry": [member("a", tarfile.SYMTYPE, "/tmp/gazami-escaped"), directory("a/d"), file("a/d/x")],
    "absolute-name": [file("/tmp/gazami-escaped")],
    "file-over-symlink": [member("a", tarfile.SYMTYPE, OUTSIDE), file("a", b"replaced")],
    "whiteout-through-symlink": [member("a", tarfile.SYMTYPE, "/tmp"), file(f"a/.wh.{VICTIM}")],
    "opaque-through-symlink": [member("a", tarfile.SYMTYPE, f"/tmp/{VICTIM}-dir"), file("a/.wh..wh..opq")],
}
REFUSED = {
    "dot-dot": [file("../gazami-escaped")],
    "dot-dot-inside": [file("a/../../gazami-escaped")],
    "hard-link-to-the-host": [member("a", tarfile.LNKTYPE, "/etc/passwd")],
    "hard-link-dot-dot": [member("a", tarfile.LNKTYPE, "../../../etc/passwd")],
    "hard-link-through-symlink": [member("s", tarfile.SYMTYPE, "/etc"), member("a", tarfile.LNKTYPE, "s/passwd")],
    "file-below-a-file": [file("a"), file("a/b")],
    "symlink-loop": [member("a", tarfile.SYMTYPE, "b"), member("b", tarfile.SYMTYPE, "a"), file("a/x")],
    "name-too-long": [file("/".join(["n" * 255] * 20))],
}


@pytest.fixture(autouse=True)
def nothing_escapes() -> None:
    victim, folder = Path(f"/tmp/{VICTIM}"), Path(f"/tmp/{VICTIM}-dir")
    victim.write_text("still here")
    folder.mkdir(exist_ok=True)
    (folder / "x").write_text("still here")
    yield
    assert not Path(OUTSIDE).exists()
    assert victim.read_text() == "still here"
    assert (folder / "x").exists()


@as_root
@pytest.mark.parametrize("isolation", ["namespaces", "chroot", "userns-single"])
@pytest.mark.parametrize("case", ESCAPES)
def test_layers_are_confined(case: str, isolation: str, host: str, busybox: str, context: Path, tmp_path: Path) -> None:
    reference = f"{host}/hostile/{case}-{isolation}"
    push_layers(reference, [tar_of(*ESCAPES[case])], tmp_path)
    (context / "Dockerfile").write_text(
        f'FROM {reference}\nCOPY --from={busybox} /bin/busybox /bin/busybox\nRUN ["/bin/busybox", "true"]\n'
    )
    done = gazami("build", str(context), "--no-push", f"--state-dir={tmp_path / 's'}", f"--isolation={isolation}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", REFUSED)
def test_bad_layers_are_refused_by_the_index(case: str, host: str, context: Path, tmp_path: Path) -> None:
    reference = f"{host}/refused/{case}"
    push_layers(reference, [tar_of(*REFUSED[case])], tmp_path)
    (context / "Dockerfile").write_text(f"FROM {reference}\nCOPY Dockerfile /x\n")
    done = gazami("build", str(context), "--no-push", f"--state-dir={tmp_path / 's'}")
    if case == "name-too-long":  # an index can hold it; only a file system cannot
        assert done.returncode == 0
        return
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "bug in gazami" not in done.stderr
    assert "layer sha256:" in done.stderr


@as_root
@pytest.mark.parametrize("case", REFUSED)
def test_bad_layers_are_refused_by_unpacking(case: str, host: str, context: Path, tmp_path: Path) -> None:
    reference = f"{host}/unpack/{case}"
    push_layers(reference, [tar_of(*REFUSED[case])], tmp_path)
    (context / "Dockerfile").write_text(f'FROM {reference}\nRUN ["/x"]\n')
    done = gazami("build", str(context), "--no-push", f"--state-dir={tmp_path / 's'}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "bug in gazami" not in done.stderr


@pytest.mark.parametrize("case", [*ESCAPES, *REFUSED])
def test_add_archives(case: str, context: Path, tmp_path: Path) -> None:
    (context / "evil.tar").write_bytes(tar_of(*{**ESCAPES, **REFUSED}[case]))
    (context / "Dockerfile").write_text("FROM scratch\nADD evil.tar /dest/\n")
    done = gazami("build", str(context), "--no-push", f"--state-dir={tmp_path / 's'}", f"--oci-layout-path={tmp_path / 'out'}")
    assert "Traceback" not in done.stderr and "bug in gazami" not in done.stderr
    if done.returncode == 0:
        _, files = read_layout(tmp_path / "out")
        assert all(path == "dest" or path.startswith("dest/") for path in files)
    else:
        assert done.returncode == 1
        assert not (tmp_path / "out").exists()


def test_a_layer_that_lies_about_its_diff_id(host: str, context: Path, tmp_path: Path) -> None:
    reference = f"{host}/hostile/lies"
    push_layers(reference, [tar_of(file("a"))], tmp_path, diff_ids=["sha256:" + "0" * 64])
    (context / "Dockerfile").write_text(f"FROM {reference}\nCOPY Dockerfile /x\n")
    done = gazami("build", str(context), "--no-push", f"--state-dir={tmp_path / 's'}")
    assert done.returncode == 1
    assert "diff id" in done.stderr


@pytest.mark.parametrize("cut", [30, 500, 1500])
def test_a_truncated_archive_is_an_error_or_a_plain_file(cut: int, context: Path, tmp_path: Path) -> None:
    data = tar_of(file("a", b"x" * 2000))[:cut]
    (context / "cut.tar").write_bytes(data)
    (context / "Dockerfile").write_text("FROM scratch\nADD cut.tar /d/\n")
    done = gazami("build", str(context), "--no-push", f"--state-dir={tmp_path / 's'}")
    assert done.returncode == (1 if cut > 512 else 0), done.stderr
    if cut > 512:
        assert "truncated" in done.stderr and ">>>" in done.stderr


@as_root
def test_a_copy_never_reads_a_host_file_through_a_layer_s_symlink(host: str, busybox: str, context: Path, tmp_path: Path) -> None:
    """The layer's own bytes are wanted, not those of the host file of the same name and size."""
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "f").write_bytes(b"host")
    reference = f"{host}/hostile/read-through-symlink"
    push_layers(reference, [tar_of(member("a", tarfile.SYMTYPE, str(planted)), file("a/f", b"mine"))], tmp_path)
    inside = str(planted / "f")
    dockerfile = f"""FROM {reference} AS evil
COPY --from={busybox} /bin/busybox /bin/busybox
RUN ["/bin/busybox", "true"]
FROM scratch
COPY --from=evil {inside} /f
"""
    (context / "Dockerfile").write_text(dockerfile)
    out = tmp_path / "out"
    done = gazami("build", str(context), "--no-push", f"--state-dir={tmp_path / 's'}", f"--oci-layout-path={out}")
    assert done.returncode == 0, done.stderr
    assert read_layout(out)[1]["f"]["sha256"] == hashlib.sha256(b"mine").hexdigest()
