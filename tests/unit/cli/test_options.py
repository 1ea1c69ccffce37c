"""The table of flags is complete, consistent, and the reference page shows it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from gazami.cli.flags.help import flag_rows
from gazami.cli.flags.kinds import BOOL
from gazami.cli.flags.options import BUILD, ELSEWHERE

_KANIKO = """
annotation azure-container-registry-config bucket build-arg cache cache-copy-layers cache-dir cache-repo cache-run-layers
cache-ttl cleanup compressed-caching compression compression-level context context-sub-path credential-helpers
custom-platform customPlatform destination digest-file dockerfile dryrun force force-build-metadata git ignore-path
ignore-var-run image-download-retry image-format image-fs-extract-retry image-name-tag-with-digest-file
image-name-with-digest-file insecure insecure-pull insecure-registry kaniko-dir label log-format log-timestamp materialize
no-push no-push-cache oci-layout-path pre-cleanup preserve-context push-ignore-immutable-tag-errors push-retry
registry-certificate registry-client-cert registry-map registry-mirror reproducible secret single-snapshot
skip-default-registry-fallback skip-push-permission-check skip-tls-verify skip-tls-verify-pull skip-tls-verify-registry
skip-unused-stages snapshot-mode snapshotMode tar-path tarPath target use-new-run verbosity whitelist-var-run
"""
KANIKO = _KANIKO.split()

SCRIPT = Path(__file__).parents[3] / "scripts" / "render_reference.py"


@pytest.mark.parametrize("name", KANIKO)
def test_every_flag_of_kaniko_is_accepted(name: str) -> None:
    assert BUILD.long(name) is not None


@pytest.mark.parametrize(
    "letter, name", [("v", "verbosity"), ("f", "dockerfile"), ("c", "context"), ("b", "bucket"), ("d", "destination")]
)
def test_shorthands_of_kaniko(letter: str, name: str) -> None:
    option = BUILD.short(letter)
    assert option is not None and option.name == name


def test_what_is_called_kanikos_is() -> None:
    assert {option.name for option in BUILD if option.kaniko} <= set(KANIKO)


def test_no_spelling_is_taken_twice() -> None:
    names = [name for option in BUILD for name in option.spellings]
    letters = [letter for option in BUILD for letter in option.shorthands]
    assert len(names) == len(set(names)) and len(letters) == len(set(letters))
    assert not set(ELSEWHERE) & set(names) and "h" not in letters


@pytest.mark.parametrize("option", list(BUILD), ids=lambda option: option.name)
def test_rows_are_consistent(option) -> None:
    assert option.help.endswith(".")
    if option.kind is BOOL:
        assert option.default in ("true", "false")
    assert option.unwritten in (None, "", 0, ()) or option.default


def test_help_shows_every_flag_within_its_width() -> None:
    text = flag_rows(BUILD, 80)
    assert all(f"--{option.name}" in text for option in BUILD if not option.hidden)
    assert max(len(line) for line in text.splitlines()) <= 80


def test_the_reference_page_is_up_to_date() -> None:
    script = runpy.run_path(str(SCRIPT))
    for page, text in script["pages"]().items():
        assert page.read_text(encoding="utf-8") == text, "run scripts/render_reference.py"
