"""The site, built as ``make site`` builds it: what it shows, and that it fetches nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MKDOCS = ROOT / ".venv-site/bin/mkdocs"


def mkdocs(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    if not MKDOCS.exists():
        pytest.skip("there is no .venv-site: scripts/setup site")
    words = [str(MKDOCS), "build", "--strict", "--config-file", str(config), "--site-dir", str(folder)]
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = mkdocs(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_there_and_what_pages_link_to(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT / "docs").with_suffix(".html")).replace("README", "index")
        assert (site / name).exists(), name
    assert "securityContext" in (site / "files/deploy/kubernetes/restricted.yaml.html").read_text()
    assert "pod.yaml" in (site / "files/deploy/kubernetes/index.html").read_text()
    assert "Threat model" in (site / "project/SECURITY.html").read_text()


def test_no_link_leads_nowhere(site: Path) -> None:
    """mkdocs looks at the links of pages; here those of the site are followed, pictures and style sheets too."""
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        for link in re.findall(r'(?:href|src)="([^"#?]+)', page.read_text()):
            if not re.match(r"[a-z]+:", link):
                assert (page.parent / link).exists(), f"{page.relative_to(site)}: {link}"


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert not re.findall(r'<(?:script|img|iframe)[^>]* src="(?:https?:)?//[^"]*"', text), page
        assert not [link for link in re.findall(r"<link[^>]*>", text) if "//" in link and 'rel="canonical"' not in link], page


def test_a_bar_in_a_table_is_a_bar(site: Path) -> None:
    text = (site / "reference/flags.html").read_text()
    assert r"\|" not in text
    assert "trace&#124;debug" in text or "trace|debug" in text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[x](nowhere.md)", "'nowhere.md'"),
        ("[x](README.md#nothing)", "no such anchor"),
        ("", "zz.md"),
        ("[x](/README.md)", "absolute link"),
    ],
)
def test_what_the_strict_build_refuses(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/README.md").write_text(f"# Home\n\n{text}\n")
    if not text:
        (tmp_path / "docs/zz.md").write_text("# Nobody names it\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"INHERIT: {ROOT}/mkdocs.yml\nhooks: []\nnav: [README.md]\ndocs_dir: {tmp_path}/docs\n")
    done = mkdocs(tmp_path / "site", config)
    assert done.returncode != 0
    assert found in done.stderr
