"""A hook of mkdocs: what pages link to outside of docs/ becomes part of the site, so that no link leads out of it.

Pages of the repository (README, CHANGELOG, …) are pages below ``project/``, other files are pages below ``files/`` that show
them, and a folder is a list of its files. Links are written for the repository; here they are turned to where the site has them.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)]*)?\))")
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.M | re.S)
ROW = re.compile(r"^\|.*$", re.M)
CODE = re.compile(r"`([^`\n]+)`")
BAR = r"\|"
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".md": "markdown", "": "dockerfile"}
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/results.md",
    "benchmarks/peers.md",
    "benchmarks/README.md",
)
"""Pages outside of docs/ that have a place in the menu, or are linked from one that has."""


def on_files(files: Files, config: Any) -> Files:
    """Add what is linked, and what that links to."""
    seen: set[str] = set()
    left = [*PAGES, *(target for file in files.documentation_pages() for target in outside(f"docs/{file.src_uri}"))]
    while left:
        path = left.pop()
        if path in seen:
            continue
        seen.add(path)
        level = InclusionLevel.INCLUDED if path in PAGES else InclusionLevel.NOT_IN_NAV
        if (ROOT / path).suffix != ".png":
            files.append(File.generated(config, where(path), content=text_of(path), inclusion=level))
        else:
            files.append(File.generated(config, where(path), abs_src_path=str(ROOT / path)))
        left += members(path) if (ROOT / path).is_dir() else outside(path)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links of a page that came from the repository as it is."""
    origin = source_of(page.file.src_uri)
    if not origin.endswith(".md") or page.file.src_uri.startswith("files/"):
        return markdown
    here = PurePosixPath(page.file.src_uri).parent

    def turned(found: re.Match[str]) -> str:
        target = os.path.normpath(str(PurePosixPath(origin).parent / found[2]))
        return found[1] + os.path.relpath(where(target), here) + found[3]

    return between_fences(markdown, lambda text: ROW.sub(bars, LINK.sub(turned, text)))


def bars(row: re.Match[str]) -> str:
    """A bar in code in a table is written with a backslash, which GitHub takes away and mkdocs shows."""
    return CODE.sub(
        lambda code: f"<code>{html.escape(code[1]).replace(BAR, '&#124;')}</code>" if BAR in code[1] else code[0], row[0]
    )


def between_fences(markdown: str, change: Any) -> str:
    """Change the text that is not code."""
    parts, at = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [change(markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, change(markdown[at:])])


def outside(path: str) -> list[str]:
    """What a page links to that is not below docs/, as paths of the repository."""
    if not path.endswith(".md"):
        return []
    links: list[str] = []
    between_fences((ROOT / path).read_text(), lambda text: links.extend(found[2] for found in LINK.finditer(text)) or text)
    targets = {os.path.normpath(str(PurePosixPath(path).parent / link)) for link in links}
    return sorted(target for target in targets if not target.startswith(("docs/", "..")) and (ROOT / target).exists())


def members(folder: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split()


def where(path: str) -> str:
    """The source path in the site of a path in the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.endswith(".md"):
        return f"project/{path}"
    return f"files/{path}/index.md" if (ROOT / path).is_dir() else f"files/{path}.md"


def source_of(uri: str) -> str:
    return uri.removeprefix("project/") if uri.startswith("project/") else f"docs/{uri}"


def text_of(path: str) -> str:
    """The page that shows ``path``."""
    place = ROOT / path
    if place.is_dir():
        rows = [f"- [`{name}`]({os.path.relpath(where(name), f'files/{path}')})" for name in members(path)]
        return "\n".join([f"# {path}", "", *rows, ""])
    text = place.read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall(r"`+", text))])
    return f"# {path}\n\n{fence}{LANGUAGES.get(place.suffix, 'text')}\n{text.rstrip()}\n{fence}\n"
