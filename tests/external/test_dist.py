"""The packages of ``make dist``, each installed into an empty environment and used from there, far from the checkout."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import gazami

ROOT = Path(__file__).parents[2]
EXTRAS = "aws,gcp,k8s"
DOCKERFILE = "FROM scratch\nCOPY hello /hello\nLABEL a=b\n"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([str(ROOT / "scripts/dist"), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def installed(request: pytest.FixtureRequest, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment with the package: the wheel with all extras, the sdist, which pip makes a wheel of, without."""
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder, with_pip=True)
    [package] = packages.glob("*.whl" if request.param == "wheel" else "*.tar.gz")
    words = [str(package) + (f"[{EXTRAS}]" if request.param == "wheel" else "")]
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if request.param == "wheel":
        subprocess.run([*pip, *words], check=True, cwd=folder)
    else:  # as scripts/setup does it: everything by hash, and no backend of pip's own choice
        for name in ("runtime", "build"):
            subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / f"requirements/{name}.txt")], check=True, cwd=folder)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", *words], check=True, cwd=folder)
    yield folder


def run(folder: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GAZAMI_"))}
    environ = kept | {"HOME": str(cwd), "GAZAMI_STATE_DIR": str(cwd / "state")}
    return subprocess.run(
        [str(folder / "bin" / words[0]), *words[1:]], cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.network
def test_it_runs_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = run(installed, "python", "-c", "import gazami; print(gazami.__file__)", cwd=tmp_path)
    assert where.stdout.startswith(str(installed)), where
    assert run(installed, "gazami", "--version", cwd=tmp_path).stdout == f"gazami {gazami.__version__}\n"

    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "hello").write_text("hello")
    built = run(installed, "gazami", "build", ".", "--no-push", "-q", "--oci-layout-path", "out", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    executor = ("python", "-m", "gazami.cli.kaniko.executor", "--context", str(tmp_path), "--no-push", "--oci-layout-path", "out2")
    kaniko = run(installed, *executor, "--digest-file", "digest", cwd=tmp_path)
    assert kaniko.returncode == 0, kaniko.stderr
    assert (tmp_path / "digest").read_text() in (tmp_path / "out2/index.json").read_text()


@pytest.mark.network
def test_every_module_is_in_the_package(installed: Path) -> None:
    [package] = installed.glob("lib/python3*/site-packages/gazami")
    ours = {path.relative_to(ROOT / "src/gazami") for path in (ROOT / "src/gazami").rglob("*") if "__pycache__" not in path.parts}
    assert ours == {path.relative_to(package) for path in package.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.network
def test_the_extras_bring_what_they_are_for(installed: Path, tmp_path: Path) -> None:
    code = "import boto3, google.auth, google.oauth2.service_account, lightkube"
    done = run(installed, "python", "-c", code, cwd=tmp_path)
    assert done.returncode == (0 if "wheel" in installed.name else 1), done.stderr
