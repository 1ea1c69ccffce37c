"""The same build from any working directory, by relative and absolute names, has the same digest."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.roots import busybox_root

pytestmark = [pytest.mark.root, pytest.mark.sandbox, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

DOCKERFILE = """\
FROM scratch AS base
ADD rootfs.tar /
FROM base
COPY --from=more more /
RUN --mount=type=bind,target=/m,source=sub --mount=type=bind,from=more,target=/o --mount=type=secret,id=s \
 cat /m/marker /o/more > /seen && cat /run/secrets/s >> /seen && ! test -e /m/usr
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import subprocess

    place = tmp_path_factory.mktemp("place")
    for folder in ("work/app/sub", "work/app/deep/er", "other", "more"):
        (place / folder).mkdir(parents=True)
    (place / "work/app/Dockerfile").write_text(DOCKERFILE)
    (place / "work/app/sub/marker").write_text("marker")
    (place / "more/more").write_text("more")
    (place / "work/secret").write_text("secret")
    root = busybox_root(place / "root")
    command = ["tar", "-C", str(root), "--numeric-owner", "--mtime=@0", "-cf", str(place / "work/app/rootfs.tar"), "."]
    subprocess.run(command, check=True)
    return place


def built(place: Path, cwd: Path, relative: bool, how: int) -> str:
    """``how`` chooses among the spellings of the context."""

    def path(name: str) -> str:
        return os.path.relpath(place / name, cwd) if relative else str(place / name)

    app = path("work/app")
    contexts = [
        [app], [f"--context=dir://{app}"], [f"{app}/"], [f"--context={path('work')}", "--context-sub-path=app"],
        ["-c", f"./{app}" if relative else app],
    ]  # fmt: skip
    state, out = f"state-{how}-{relative}-{cwd.name}", f"digest-{how}-{relative}-{cwd.name}"
    done = gazami(
        "build", *contexts[how], "-f", path("work/app/Dockerfile"), "--no-push", "--reproducible", "--isolation=chroot",
        f"--build-context=more={path('more')}", f"--secret=id=s,src={path('work/secret')}", f"--state-dir={path(state)}",
        f"--digest-file={path(out)}", f"--oci-layout-path={path('layout-' + out)}", f"--metadata-file={path('meta-' + out)}",
        cwd=cwd,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (place / f"layout-{out}/index.json").exists() and (place / f"meta-{out}").exists()
    assert (place / state).is_dir()
    return (place / out).read_text()


def test_every_working_directory_gives_the_same_digest(place: Path) -> None:
    chance = random.Random(5)
    expected = built(place, place, relative=False, how=0)
    for cwd in (place, place / "work", place / "work/app", place / "work/app/deep/er", place / "other"):
        for relative in (True, False):
            assert built(place, cwd, relative, chance.randrange(5)) == expected, (cwd, relative)
