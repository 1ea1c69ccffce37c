"""Record what gazami shows on a terminal, as pictures for the README: ``python scripts/render_terminal.py [FOLDER]``.

Each recording is a real build of examples/hello on a pseudo terminal, with a registry on loopback that has the base. A picture
is an SVG of text: its last frame is the screen as the build leaves it, the frames before are shown one after the other where style
sheets and motion are wanted. Needs Debian's docker-registry and busybox-static (scripts/setup demo).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tests.roots import busybox_root  # noqa: E402
from tests.services import docker_registry  # noqa: E402

COLUMNS, ROWS = 100, 30
WIDTH, HEIGHT, MARGIN = 8.4, 19, 16
"""Pixels of a letter, of a line, and around all of them."""
PAUSE, LAST = 0.25, 5.0
"""Seconds: the least between two frames, and how long the last one stays."""
NAMES = {"built": "A build", "cached": "The same build again", "failed": "A build that fails"}
_TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")
_STYLES = {
    "1": "b",
    "2": "dim",
    "31": "red",
    "32": "green",
    "33": "yellow",
    "34": "blue",
    "35": "magenta",
    "36": "cyan",
    "90": "dim",
}

Line = list[tuple[str, str]]
"""A letter and the names of its styles, for each column."""


class Screen:
    """What a person sees: letters with their styles."""

    def __init__(self) -> None:
        self.lines: list[Line] = [[]]
        self.row = self.column = 0
        self.style = ""

    def write(self, data: str) -> None:
        for parameters, final, control, text in _TOKEN.findall(data):
            if final:
                self._sequence(parameters, final)
            elif control == "\r":
                self.column = 0
            elif control:
                self.row += 1
                self.lines += [[] for _ in range(self.row + 1 - len(self.lines))]
            else:
                self._put(text)

    def _put(self, text: str) -> None:
        line = self.lines[self.row]
        line += [(" ", "")] * (self.column + len(text) - len(line))
        line[self.column : self.column + len(text)] = [(letter, self.style) for letter in text]
        self.column += len(text)

    def _sequence(self, parameters: str, final: str) -> None:
        match final:
            case "A":
                self.row = max(0, self.row - int(parameters or 1))
            case "K":
                del self.lines[self.row][0 if parameters == "2" else self.column :]
            case "J":
                del self.lines[self.row][self.column :], self.lines[self.row + 1 :]
            case "m":
                codes = [code for code in parameters.split(";") if code not in ("", "0")]
                self.style = " ".join(filter(None, (_STYLES.get(code, "") for code in codes)))

    def text(self) -> list[str]:
        return ["".join(letter for letter, _ in line).rstrip() for line in self.lines]

    def copy(self) -> list[Line]:
        """All lines, folded as a terminal of this width folds them."""
        return [line[at : at + COLUMNS] for line in self.lines for at in range(0, max(1, len(line)), COLUMNS)]


@dataclass
class Recording:
    """Frames with the second of their beginning, and the exit status."""

    frames: list[tuple[float, list[Line]]]
    status: int

    @property
    def text(self) -> list[str]:
        return ["".join(letter for letter, _ in line).rstrip() for line in self.frames[-1][1]]


def record(command: str, folder: Path, environ: dict[str, str]) -> Recording:
    """Run a command line of a shell, as if somebody had typed it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    screen, frames = Screen(), []
    screen.write(f"\x1b[32m$\x1b[0m \x1b[1m{command}\x1b[0m\r\n")
    begun = time.monotonic()
    frames.append((0.0, screen.copy()))
    with subprocess.Popen(["sh", "-c", command], cwd=folder, env=environ, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        while True:
            ready = select.select([master], [], [], PAUSE)[0]
            try:
                data = os.read(master, 1 << 16) if ready else b""
            except OSError:  # nobody has the other end any more
                break
            screen.write(data.decode("utf-8", "replace"))
            if (now := time.monotonic() - begun) - frames[-1][0] >= PAUSE and frames[-1][1] != (seen := screen.copy()):
                frames.append((now, seen))
    os.close(master)
    frames.append((time.monotonic() - begun, screen.copy()))
    return Recording(frames, process.returncode)


# -- the picture ------------------------------------------------------------------------------------------------------


_SHEET = """
  .t { font: 14px/1 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328; white-space: pre }
  .w { fill: #f6f8fa; stroke: #d1d9e0 }
  .b { font-weight: bold } .dim { fill: #656d76 } .red { fill: #c11e2b } .green { fill: #116329 } .yellow { fill: #7a5200 }
  .blue { fill: #0550ae } .magenta { fill: #7a3fb0 } .cyan { fill: #0b6478 }
  @media (prefers-color-scheme: dark) {
    .t { fill: #e6edf3 } .w { fill: #161b22; stroke: #30363d }
    .dim { fill: #9198a1 } .red { fill: #ff8b82 } .green { fill: #56d364 } .yellow { fill: #e3b341 }
    .blue { fill: #79c0ff } .magenta { fill: #d2a8ff } .cyan { fill: #56d4dd }
  }
"""


def svg(recording: Recording, title: str) -> str:
    lines = max(len(_trimmed(frame)) for _, frame in recording.frames)
    width, height = COLUMNS * WIDTH + 2 * MARGIN, lines * HEIGHT + 2 * MARGIN
    groups, rules = [], []
    total = recording.frames[-1][0] + LAST
    for number, (begin, frame) in enumerate(recording.frames):
        is_last = number + 1 == len(recording.frames)
        end = total if is_last else recording.frames[number + 1][0]
        rules.append(_rule(number, begin / total, end / total, total))
        groups.append(f'<g id="f{number}"{"" if is_last else _HIDDEN}>{"".join(_lines(frame))}</g>')
    motion = "  @media (prefers-reduced-motion: no-preference) {\n" + "".join(rules) + "  }\n"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
        f' role="img">\n<title>{escape(title)}</title>\n<desc>{escape(chr(10).join(recording.text).strip())}</desc>\n'
        f"<style>{_SHEET}{motion}</style>\n"
        f'<rect class="w" x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="8"/>\n'
        + "\n".join(groups)
        + "\n</svg>\n"
    )


_HIDDEN = ' visibility="hidden"'


def _rule(number: int, begin: float, end: float, total: float) -> str:
    name = f"k{number}"
    steps = {0.0: "hidden", round(100 * begin, 2): "visible"} | ({round(100 * end, 2): "hidden"} if end < 1 else {})
    frames = " ".join(f"{at:g}% {{ visibility: {state} }}" for at, state in sorted(steps.items()))
    return f"    #f{number} {{ animation: {name} {total:.2f}s step-end infinite }} @keyframes {name} {{ {frames} }}\n"


def _trimmed(frame: list[Line]) -> list[Line]:
    last = max((number for number, line in enumerate(frame) if any(letter != " " for letter, _ in line)), default=0)
    return frame[: last + 1]


def _lines(frame: list[Line]) -> Iterator[str]:
    for number, line in enumerate(_trimmed(frame)):
        if runs := list(_runs(line)):
            yield f'<text class="t" y="{MARGIN + HEIGHT * number + 14:g}">' + "".join(runs) + "</text>"


def _runs(line: Line) -> Iterator[str]:
    """Spans of one style, each at the column where it begins: another font does not shift what follows."""
    at = 0
    while at < len(line):
        end = at
        while end < len(line) and line[end][1] == line[at][1]:
            end += 1
        text = "".join(letter for letter, _ in line[at:end])
        if text.strip():
            style = f' class="{line[at][1]}"' if line[at][1] else ""
            begin = at + len(text) - len(text.lstrip())
            x, length = MARGIN + begin * WIDTH, len(text.strip()) * WIDTH
            yield f'<tspan x="{x:g}" textLength="{length:g}" lengthAdjust="spacingAndGlyphs"{style}>{escape(text.strip())}</tspan>'
        at = end


# -- the builds -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def scene() -> Iterator[tuple[Path, dict[str, str], str]]:
    """A folder with the example, an environment, and the registry's name; the base is in the registry."""
    with tempfile.TemporaryDirectory(prefix="gazami-recording-") as made, docker_registry(Path(made) / "registry") as registry:
        work = Path(made)
        host = f"localhost:{registry.port}"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = {
            "PATH": path, "HOME": str(work), "TERM": "xterm-256color", "LANG": "C.UTF-8",
            "GAZAMI_STATE_DIR": str(work / "state"), "KANIKO_REGISTRY_MIRROR": host, "GAZAMI_LOCAL_CACHE": "on",
        }  # fmt: skip
        busybox_root(work / "base/root")
        (work / "base/Dockerfile").write_text('FROM scratch\nCOPY root /\nCMD ["sh"]\n')
        words = [sys.executable, "-m", "gazami", "build", str(work / "base"), "-q", "-t", f"{host}/library/busybox:1.36"]
        subprocess.run(words, env=environ, check=True, capture_output=True)
        shutil.copytree(ROOT / "examples/hello", work / "hello")
        yield work / "hello", environ, host


def recordings() -> dict[str, Recording]:
    """A build, the same again, and one that fails: its script was saved on Windows."""
    with scene() as (folder, environ, host):
        command = f"gazami build . -t {host}/hello:1.0"
        stands_for = {host: "localhost:5000", str(folder.parent / "state"): "/home/you/.cache/gazami"}
        done = {name: record(command, folder, environ) for name in ("built", "cached")}
        script = folder / "build.sh"
        script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
        done["failed"] = record(command, folder, environ)
        return {name: shown(recording, stands_for) for name, recording in done.items()}


def shown(recording: Recording, stands_for: dict[str, str]) -> Recording:
    """With what a reader has in the place of this run's port and folder."""

    def changed(line: Line) -> Line:
        for old, new in stands_for.items():
            at = "".join(letter for letter, _ in line).find(old)
            if at >= 0:
                line = [*line[:at], *((letter, line[at][1]) for letter in new), *line[at + len(old) :]]
        return line

    return Recording([(begin, [changed(line) for line in frame]) for begin, frame in recording.frames], recording.status)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    for name, recording in recordings().items():
        path = folder / f"terminal-{name}.svg"
        path.write_text(svg(recording, NAMES[name]), encoding="utf-8")
        print(f"{path}: status {recording.status}, {len(recording.frames)} frames, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
