"""The recipes of docs/how-to/recipes: each Dockerfile is checked, and some are built, with the page's own commands."""

from __future__ import annotations

import re
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.debian import debian_rootfs
from tests.programs import gazami
from tests.services import docker_registry

PAGES = Path(__file__).parents[3] / "docs/how-to/recipes"
FENCES = re.compile(r"^```(dockerfile|)\n(.*?)^```$", re.M | re.S)
NAMES = {"apt", "pip", "uv", "npm", "go", "monorepo"}


def dockerfiles(name: str) -> list[str]:
    return [text for kind, text in FENCES.findall((PAGES / f"{name}.md").read_text()) if kind == "dockerfile"]


def commands(name: str) -> list[list[str]]:
    """The words of each command of a page, without ``gazami``."""
    blocks = [text.replace("\\\n", "") for kind, text in FENCES.findall((PAGES / f"{name}.md").read_text()) if not kind]
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines() if line.startswith("gazami ")]


def test_there_is_a_page_for_each() -> None:
    assert {page.stem for page in PAGES.iterdir()} == NAMES
    assert all(dockerfiles(name) and commands(name) for name in NAMES)


@pytest.mark.parametrize(("name", "number"), [(name, number) for name in sorted(NAMES) for number in range(len(dockerfiles(name)))])
def test_gazami_finds_nothing_to_say(name: str, number: int, tmp_path: Path) -> None:
    text = dockerfiles(name)[number]
    (tmp_path / "Dockerfile").write_text(text)
    for word in re.findall(r"source=(\S+?),", text) + re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M):
        for path in word.split():
            place = tmp_path / path
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text("")
    done = gazami("lint", str(tmp_path / "Dockerfile"), "--format=concise", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


# -- built ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shop:
    """A registry with the images that stand for those of Docker Hub, and a state directory."""

    host: str
    work: Path

    def base(self, name: str, *steps: str, **files: Path) -> str:
        context = self.work / name
        context.mkdir()
        for file, source in files.items():
            shutil.copy2(source, context / file.replace("_", "."))
        (context / "Dockerfile").write_text("\n".join(steps) + "\n")
        self.run([str(context), "-t", f"{self.host}/{name}:1"])
        return f"docker-image://{self.host}/{name}:1"

    def run(self, words: list[str], cwd: Path | None = None, expected: int = 0) -> str:
        words = [word.replace("registry.example.com", self.host) for word in words]
        done = gazami("build", *words, "--state-dir", str(self.work / "state"), "--local-cache=off", cwd=cwd)
        assert done.returncode == expected, done.stderr
        return done.stderr + done.stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("recipes")
    with docker_registry(folder / "registry") as registry:
        yield Shop(f"localhost:{registry.port}", folder)


@pytest.fixture(scope="module")
def debian(shop: Shop) -> str:
    return shop.base("debian", "FROM scratch", "ADD rootfs.tar /", rootfs_tar=debian_rootfs())


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.network
@pytest.mark.root
@pytest.mark.slow
def test_apt(shop: Shop, debian: str, tmp_path: Path) -> None:
    with_cache, _ = dockerfiles("apt")
    [command] = commands("apt")
    command = [*command[1:], "--build-context", f"debian:12-slim={debian}"]
    app = write(tmp_path / "app", {"Dockerfile": with_cache})
    first = shop.run(command, cwd=app)
    assert "Setting up curl" in first
    again = shop.run([*command, "--no-cache", "--tar-path", str(tmp_path / "app.tar")], cwd=app)
    assert re.search(r"Need to get 0 B/[\d.,]+ .B of archives", again), again
    assert not left_over(app)


def left_over(folder: Path) -> list[str]:
    """What a build wrote beside the Dockerfile."""
    return [path.name for path in folder.iterdir() if path.name != "Dockerfile"]


@pytest.mark.network
@pytest.mark.root
@pytest.mark.slow
def test_pip(shop: Shop, debian: str, tmp_path: Path) -> None:
    wheel = tmp_path / "hello-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("hello.py", "word = 'hello'\n")
        archive.writestr("hello-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
        archive.writestr(
            "hello-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("hello-1.0.dist-info/RECORD", "")
    context = shop.work / "python"
    python = [
        f"FROM {debian.removeprefix('docker-image://')}",
        dockerfiles("apt")[0].partition("\n")[2].replace("ca-certificates curl", "python3-venv"),
        f"COPY {wheel.name} /wheels/",
        "COPY <<END /etc/pip.conf", "[global]", "no-index = true", "find-links = /wheels", "END",
    ]  # fmt: skip
    write(context, {"Dockerfile": "\n".join(python) + "\n"})
    shutil.copy2(wheel, context)
    shop.run([str(context), "-t", f"{shop.host}/python:1"])
    app = write(
        tmp_path / "app",
        {"Dockerfile": dockerfiles("pip")[0], "requirements.txt": "hello==1.0\n", "main.py": "import hello\nprint(hello.word)\n"},
    )
    command = [*commands("pip")[0][1:], "--build-context", f"python:3.12-slim=docker-image://{shop.host}/python:1"]
    assert "Successfully installed hello-1.0" in shop.run(command, cwd=app)
    write(app, {"main.py": "import hello\nprint(hello.word * 2)\n"})
    again = shop.run([*command, "-o", str(tmp_path / "files")], cwd=app)
    assert "Successfully installed" not in again, again
    assert list((tmp_path / "files/app/venv/lib").glob("python3*/site-packages/hello.py"))
    assert "* 2" in (tmp_path / "files/app/main.py").read_text()


def test_a_monorepo(shop: Shop, tmp_path: Path) -> None:
    first, library = dockerfiles("monorepo")
    api, web, probe, named = commands("monorepo")
    scratch = ["--build-context", "python:3.12-slim=docker-image://scratch"]
    common = {"libs/common/__init__.py": "", "services/api/main.py": "", "services/web/main.py": "", "services/big/file": "x"}
    repository = write(
        tmp_path,
        {
            **common,
            "services/api/Dockerfile": first,
            "services/web/Dockerfile": first.replace("services/api ./api", "services/web ./web").replace('"api"', '"web"'),
            "services/api/Dockerfile.dockerignore": "*\n!libs/common\n!services/api\n",
        },
    )
    for words in (api, web):
        shop.run([*words[1:], "--cache-copy-layers", *scratch], cwd=repository)
    shop.run([*probe[1:], *scratch], cwd=repository)
    write(repository, {"services/web/main.py": "changed"})
    shop.run([*probe[1:], *scratch], cwd=repository)
    write(repository, {"services/api/main.py": "changed"})
    assert "this step is not in the cache" in shop.run([*probe[1:], *scratch], cwd=repository, expected=3)

    write(repository, {"services/api/Dockerfile": library})
    shop.run([*named[1:], *scratch, "-o", "files"], cwd=repository)
    assert (repository / "files/usr/share/common/__init__.py").exists()
