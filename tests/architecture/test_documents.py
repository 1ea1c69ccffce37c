"""What the page of the architecture says of the code is so."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import gazami

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/architecture.md"
SOURCE = Path(gazami.__file__).parent
NO_LAYER = {"values", "__main__", "__init__"}
"""Imported from everywhere, and the two ways in."""


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


def test_every_module_that_the_page_names_exists() -> None:
    text = PAGE.read_text()
    packages = "|".join(sorted(path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"))
    for name in re.findall(rf"`((?:{packages})(?:\.\w+)+)`", text):
        assert exists(name), name
    for path in re.findall(r"`([\w/]+\.py)`", text):
        assert any((base / path).exists() for base in (SOURCE, SOURCE / "sandbox")), path


def exists(name: str) -> bool:
    """Whether ``package.module`` or ``package.module.Name`` is there."""
    module = f"gazami.{name}"
    if importlib.util.find_spec(module.rpartition(".")[0]) is None:
        return False
    return importlib.util.find_spec(module) is not None if is_module(module) else hasattr(imported(module), name.rpartition(".")[2])


def is_module(module: str) -> bool:
    path = SOURCE.parent / module.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


def imported(module: str) -> object:
    return importlib.import_module(module.rpartition(".")[0])
