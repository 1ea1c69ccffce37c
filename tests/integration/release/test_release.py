"""``make release`` in a repository of its own, with images of a few bytes, to a real registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.services import docker_registry

ROOT = Path(__file__).parents[3]
NEW = "7.8.9"
COPIED = (
    "src/gazami",
    "scripts",
    "requirements",
    "pyproject.toml",
    "CHANGELOG.md",
    "README.md",
    "LICENSE",
    "SECURITY.md",
    ".gitignore",
)
IMAGES = """#!/bin/sh
set -e
version=$(.venv/bin/python scripts/version.py)
for name in executor:$version executor:$version-debug warmer:$version; do
  case $name in "$BREAKS"*) echo "no $name" >&2; exit 1 ;; esac
  printf 'FROM scratch\\nLABEL name=%s\\n' "$name" | .venv/bin/python -m gazami build - -q -t "$1/$name"
done
"""


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": str(folder / "src"), "GIT_CONFIG_GLOBAL": "/dev/null", "BREAKS": "-", **more}
    for who in ("AUTHOR", "COMMITTER"):
        environ |= {f"GIT_{who}_NAME": "a", f"GIT_{who}_EMAIL": "a@example.com"}
    return subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with this checkout's files, one commit, and this environment."""
    monkeypatch.setenv("GAZAMI_STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "checkout"
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".gitignore").write_text((ROOT / ".gitignore").read_text() + ".venv\n")
    images = folder / "scripts/images"
    images.write_text(IMAGES)
    images.chmod(0o755)
    assert run(folder, "git", "init", "-q").returncode == 0
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    assert run(folder, "git", "add", "-A").returncode == 0
    assert run(folder, "git", "commit", "-qm", "work").returncode == 0


def test_a_release_is_packages_images_digests_and_a_tag(checkout: Path, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as registry:
        repository = f"{registry.host}/gazami"
        early = run(checkout, "scripts/release", repository)
        assert (early.returncode, early.stdout) == (1, "")
        assert "entries below [Unreleased]" in early.stderr or "says nothing of" in early.stderr

        assert run(checkout, sys.executable, "scripts/version.py", NEW).returncode == 0
        dirty = run(checkout, "scripts/release", repository)
        assert (dirty.returncode, dirty.stdout) == (1, "") and "not committed" in dirty.stderr
        commit(checkout)
        away = run(checkout, "scripts/release", "127.0.0.1:1/gazami")
        assert away.returncode == 1 and "cannot see whether 127.0.0.1:1/gazami/executor" in away.stderr
        assert "connection refused" in away.stderr and "Traceback" not in away.stderr and not (checkout / "dist").exists()
        broken = run(checkout, "scripts/release", repository, BREAKS="warmer")
        assert broken.returncode == 1 and "no warmer" in broken.stderr
        assert not run(checkout, "git", "tag").stdout and not (checkout / "dist/images.txt").exists()
        half = run(checkout, "scripts/release", repository)
        assert half.returncode == 1 and "AGAIN=1 repeats it" in half.stderr
        done = run(checkout, "scripts/release", repository, AGAIN="1")
        assert done.returncode == 0, done.stderr

        images = (checkout / "dist/images.txt").read_text().splitlines()
        assert [line.partition("@")[0] for line in images] == [
            f"{repository}/{name}" for name in (f"executor:{NEW}", f"executor:{NEW}-debug", f"warmer:{NEW}")
        ]
        for line in images:
            tag, _, digest = line.partition("@")
            seen = run(checkout, sys.executable, "-m", "gazami", "inspect", tag, "--json")
            assert json.loads(seen.stdout)["Digest"] == digest
        assert {path.name for path in (checkout / "dist").iterdir()} == {
            f"gazami-{NEW}-py3-none-any.whl", f"gazami-{NEW}.tar.gz", "SHA256SUMS", "images.txt",
        }  # fmt: skip
        assert run(checkout / "dist", "sha256sum", "-c", "SHA256SUMS").returncode == 0
        assert run(checkout, "git", "cat-file", "-t", f"v{NEW}").stdout == "tag\n"

        again = run(checkout, "scripts/release", repository)
        assert again.returncode == 1 and "a version is pushed once" in again.stderr
        assert "did not come to its end" in run(checkout, "scripts/release", repository, AGAIN="1").stderr
    (checkout / "README.md").write_text("another commit\n")
    commit(checkout)
    moved = run(checkout, "scripts/release", "registry.example.com/gazami")
    assert moved.returncode == 1 and "the tag of another commit" in moved.stderr


def test_raising_the_version_moves_the_entries_and_the_mentions(checkout: Path) -> None:
    changelog = checkout / "CHANGELOG.md"
    before = changelog.read_text()
    changelog.write_text(before.replace("## [Unreleased]\n", "## [Unreleased]\n\n### Added\n\n- something new\n", 1))
    old = run(checkout, sys.executable, "scripts/version.py").stdout.strip()
    for name, text in {"a.yaml": f"image: r.example/gazami/executor:{old}-debug", "b.md": f"O/gazami@v{old}, debian:{old}"}.items():
        (checkout / name).write_text(text)
    commit(checkout)
    assert run(checkout, sys.executable, "scripts/version.py", NEW).returncode == 0
    text = changelog.read_text()
    assert text.index("## [Unreleased]") < text.index(f"## [{NEW}] - 2") < text.index("- something new") < text.index(f"## [{old}]")
    assert (checkout / "a.yaml").read_text() == f"image: r.example/gazami/executor:{NEW}-debug"
    assert (checkout / "b.md").read_text() == f"O/gazami@v{NEW}, debian:{old}"
    assert run(checkout, sys.executable, "scripts/version.py", "--released").returncode == 0
    assert run(checkout, sys.executable, "scripts/version.py", NEW).returncode == 1
    for word in ("8", "v8.0.0", "8.0.0rc1"):
        assert "is not X.Y.Z" in run(checkout, sys.executable, "scripts/version.py", word).stderr
    (checkout / "a.yaml").write_text(f"image: r.example/gazami/executor:{old}")
    left = run(checkout, sys.executable, "scripts/version.py", "--check")
    assert left.returncode == 1 and f"a.yaml names {old}" in left.stderr


def test_a_release_says_what_it_needs(checkout: Path) -> None:
    done = run(checkout, "scripts/release", "")
    assert done.returncode == 1 and "make release REPO=" in done.stderr


def test_the_same_commit_makes_the_same_packages(checkout: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert (
            run(
                checkout,
                "sh",
                "-c",
                'umask "$1"; exec scripts/dist "$2"',
                "sh",
                "077" if name == "two" else "022",
                str(tmp_path / name),
            ).returncode
            == 0
        )
    assert (tmp_path / "one/SHA256SUMS").read_text() == (tmp_path / "two/SHA256SUMS").read_text()
