"""The digests of all conformance cases with a fixed clock: whether two versions of gazami make the same images.

``python -m tests.conformance.digests SOURCE [SOURCE]`` builds each case with the gazami of each source folder, and again with the
first, so that a case which is different every time is not counted. Exits with 1 when an image differs.
"""

from __future__ import annotations

import functools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.bases import Bases
from tests.conformance.test_against_buildah import CASES, more_arguments, prepared
from tests.programs import gazami
from tests.services import docker_registry


def digest(case: Path, context: Path, bases: Bases, source: str, place: Path) -> str:
    """The digest of a case's image, or how the build failed."""
    place.mkdir()
    try:
        arguments = (*bases.arguments(case / "Dockerfile"), *more_arguments(case))
        built = gazami(
            "build", str(context), "-f", str(case / "Dockerfile"), "--no-push", f"--digest-file={place / 'digest'}",
            f"--state-dir={place / 'state'}", "--reproducible", *arguments, env={"PYTHONPATH": source},
        )  # fmt: skip
        return (place / "digest").read_text() if built.returncode == 0 else f"exit {built.returncode}"
    finally:
        shutil.rmtree(place)


def compared(sources: list[str], work: Path) -> Iterator[tuple[str, list[str]]]:
    """The name of each case with its digests, one for each source and one more of the first."""
    with docker_registry(work / "registry") as registry:
        bases = Bases(f"localhost:{registry.port}", work / "store", work / "work")
        for case in CASES:
            (work / "case").mkdir()
            context = prepared(case, work / "case")
            build = functools.partial(digest, case, context, bases, place=work / "build")
            yield case.name, [build(each) for each in (*sources, sources[0])]
            shutil.rmtree(work / "case")


def main() -> int:
    differ = varying = same = 0
    with tempfile.TemporaryDirectory(prefix="digests-") as name:
        for case, digests in compared(sys.argv[1:], Path(name)):
            if len(set(digests)) == 1:
                same += 1
            elif digests[0] != digests[-1]:
                varying += 1
                sys.stdout.write(f"varies: {case}\n")
            else:
                differ += 1
                sys.stdout.write(f"DIFFERS: {case} {digests}\n")
    sys.stdout.write(f"{same} the same, {varying} different every time, {differ} different in the second\n")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
