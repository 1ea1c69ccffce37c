"""The packages of gazami in a picture and in the page, from the contracts in pyproject.toml and the packages' docstrings.

``scripts/render_architecture.py`` writes them, with ``--check`` it ends with 1 when they are out of date.
"""

from __future__ import annotations

import ast
import html
import re
import sys
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE, PICTURE = ROOT / "docs/architecture.md", ROOT / "docs/images/packages.svg"
BEGIN, END = "<!-- packages: made by scripts/render_architecture.py -->\n", "<!-- end of packages -->\n"
WIDTH, HEIGHT, LEFT, GAP = 1180, 74, 150, 10


def floors(container: str) -> list[list[str]]:
    """The layers of a package's contract, top first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found = next(each["layers"] for each in contracts if each["type"] == "layers" and each["containers"] == [container])
    return [re.split(r" [|:] ", layer) for layer in found]


def purpose(module: str) -> str:
    """The first sentence of a module's or package's docstring."""
    path = ROOT / "src" / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = " ".join((ast.get_docstring(ast.parse(file.read_text())) or "").split())
    sentence = re.split(r"(?<=[.!?])\s", text)[0].rstrip(".")
    return re.sub(r":\w+:`~?\.?([^`]*)`", r"\1", sentence).replace("``", "`")


def section() -> str:
    """The part of the page between the marks."""
    rows = floors("gazami")
    drawn = "\n".join(" | ".join(names) for names in rows)
    parts = [f"```\n{drawn}\n```\n\n| Package | Holds |\n|---|---|\n"]
    parts += [f"| `{name}` | {purpose(f'gazami.{name}')} |\n" for names in rows for name in names]
    for container in ("builder", "sandbox", "cli"):
        parts.append(f"\nInside of `{container}`:\n\n| Module | Holds |\n|---|---|\n")
        rooms = floors(f"gazami.{container}")
        parts += [f"| `{name}` | {purpose(f'gazami.{container}.{name}')} |\n" for names in rooms for name in names]
    return "".join(parts)


def picture() -> str:
    """A band for each floor; what lies higher imports what lies lower, never the other way."""
    boxes: list[str] = []
    top = 50
    for container, title in (("gazami", "gazami"), ("gazami.builder", "builder")):
        boxes.append(f'<text x="24" y="{top + 8}" class="title">{title}</text>')
        for names in floors(container):
            width = (WIDTH - LEFT - 24 - GAP * (len(names) - 1)) // len(names)
            for number, name in enumerate(names):
                boxes += box(LEFT + number * (width + GAP), top - 20, width, name, purpose(f"{container}.{name}"))
            top += HEIGHT + GAP
        top += 30
    style = (
        "<style>.box { fill: #fff; stroke: #94a3b8; stroke-width: 1.5 } .name { font-weight: 700 } .title { font-weight: 700; "
        "font-size: 16px } .small { font-size: 12px; fill: #475569 }</style>"
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" aria-labelledby="t" '
        'font-family="system-ui, \'DejaVu Sans\', sans-serif" font-size="14" fill="#0f172a">'
    )
    title = '<title id="t">The packages of gazami in layers: each imports those below it only</title>'
    back = f'<rect width="{WIDTH}" height="{top}" rx="16" fill="#f8fafc"/>'
    return "\n".join([head, title, style, back, *boxes, "</svg>\n"])


def box(left: int, top: int, width: int, name: str, text: str) -> list[str]:
    lines = textwrap.wrap(text.replace("`", ""), max(18, width // 7))[:3]
    drawn = [f'<rect class="box" x="{left}" y="{top}" width="{width}" height="{HEIGHT}" rx="8"/>']
    drawn.append(f'<text x="{left + 12}" y="{top + 20}" class="name">{name}</text>')
    for number, line in enumerate(lines):
        drawn.append(f'<text x="{left + 12}" y="{top + 36 + 15 * number}" class="small">{html.escape(line)}</text>')
    return drawn


def page() -> str:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return before + BEGIN + section() + END + rest.partition(END)[2]


def main() -> int:
    made = {PAGE: page(), PICTURE: picture()}
    if "--check" in sys.argv[1:]:
        old = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
        if old:
            sys.exit(f"{', '.join(map(str, old))}: out of date, run scripts/render_architecture.py")
        return 0
    for path, text in made.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
