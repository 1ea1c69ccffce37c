"""What the pages say of the code is so: the packages of the architecture, modules, files and links."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import gazami
from gazami.registry.providers.web import _EXTRAS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/architecture.md"
SOURCE = Path(gazami.__file__).parent
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "README.md", ROOT / "SECURITY.md"]
OF_TODAY = [page for page in PAGES if page.parent.name != "adr"]
"""Decisions name the code as it was when they were taken."""

NO_LAYER = {"values", "__main__", "__init__"}
"""Imported from everywhere, and the two ways in."""

ROOTS = "|".join(path.stem for path in SOURCE.iterdir() if path.suffix in ("", ".py") and not path.stem.startswith("_"))
MODULE = re.compile(rf"`(?:gazami\.)?((?:{ROOTS})(?:\.\w+)+)(?<!\.py)(?<!\.gz)(?<!\.html)(?<!\.com)(?<!\.example)`")
"""``package.module…`` in backticks, as opposed to a file or a host that begins with the same word."""


def top_level() -> set[str]:
    return {
        path.stem if path.is_file() else path.name
        for path in SOURCE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }


def test_the_page_and_its_picture_are_made_from_the_contracts() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/render_architecture.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_package_is_in_the_contract_and_so_in_the_page() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    assert top_level() - NO_LAYER <= named


@pytest.mark.parametrize("page", OF_TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_and_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    missing = [name for name in MODULE.findall(text) if not exists(name)]
    files = re.findall(r"`([\w./-]+\.py)`", text)
    missing += [path for path in files if not any((base / path).exists() for base in (SOURCE, ROOT))]
    assert not missing


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_a_name_that_is_gone_is_found() -> None:
    assert exists("builder.build") and exists("registry.transport.Transport.obeying")
    assert not exists("builder.schedule") and not exists("builder.files.trees.Indexes") and not exists("no.such.module")


def exists(name: str) -> bool:
    """Whether ``package.module``, or a name in it such as ``package.module.Class.method``, is there."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = SOURCE.joinpath(*parts[:length])
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            found: object = importlib.import_module(".".join(("gazami", *parts[:length])))
            return all((found := getattr(found, part, None)) is not None for part in parts[length:])
    return False


def test_the_readme_counts_the_cases() -> None:
    counted = re.search(r"(\d+) cases are built by gazami and by buildah", (ROOT / "README.md").read_text())
    assert counted is not None and int(counted[1]) == len([*(ROOT / "tests/conformance/cases").iterdir()])


def test_nothing_says_that_gazami_is_on_an_index() -> None:
    files = [*PAGES, *SOURCE.rglob("*.py"), *(ROOT / "deploy").rglob("*.y*ml"), ROOT / "action.yml"]
    wrong = [path.name for path in files if re.search(r"pipx? install (?:-\S+ )*['\"]?gazami\b(?!-)", path.read_text())]
    assert not wrong


def test_the_packages_that_messages_name_are_those_of_the_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {extra: [re.split(r"[<>=]", each)[0] for each in packages] for extra, packages in extras.items()}
    for extra, packages in _EXTRAS.items():
        assert packages.split() == names[extra]
    assert extras["k8s"] == ["lightkube>=1.0,<2"] and "'lightkube>=1.0,<2'" in (SOURCE / "cli/submit/command.py").read_text()
