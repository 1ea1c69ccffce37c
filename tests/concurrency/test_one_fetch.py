"""Bytes flow once: whatever the Dockerfile's shape and the isolation, each blob of a base is asked for once."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.strict_registry import Quirks, StrictRegistry, strict_registry

pytestmark = [pytest.mark.service, pytest.mark.sandbox, pytest.mark.timeout(120)]

SHAPES = {
    "run": "FROM {base}\nRUN echo > /x\n",
    "copy": "FROM {base}\nCOPY file /x\n",
    "copy and run": "FROM {base}\nCOPY file /x\nRUN cat /x\nCOPY file /y\n",
    "run and copy": "FROM {base}\nRUN echo > /y\nCOPY file /x\n",
    "a stage from a stage": "FROM {base} AS a\nRUN echo > /a\nFROM a\nCOPY file /x\nRUN cat /a /x\n",
    "a stage from a stage that copies": "FROM {base} AS a\nCOPY file /x\nFROM a AS b\nRUN cat /x\nFROM a\nRUN cat /x\n"
    "COPY --from=b /three /again\n",
    "four stages": "".join(f"FROM {{base}} AS s{n}\nRUN echo {n} > /made\n" for n in range(4))
    + "FROM scratch\n"
    + "".join(f"COPY --from=s{n} /made /{n}\n" for n in range(4)),
    "four stages that copy": "".join(f"FROM {{base}} AS s{n}\nCOPY file /f{n}\n" for n in range(4))
    + "FROM scratch\n"
    + "".join(f"COPY --from=s{n} /f{n} /two /{n}/\n" for n in range(4)),
    "four stages of both kinds": "FROM {base} AS s0\nCOPY file /made\nFROM {base} AS s1\nRUN echo > /made\n"
    "FROM {base} AS s2\nCOPY file /made\nRUN cat /made\nFROM {base} AS s3\nENV A=1\nFROM scratch\n"
    + "".join(f"COPY --from=s{n} /one /{n}\n" for n in range(4)),
    "the base beside it": "FROM {base}\nRUN echo > /x\nCOPY --from={base} /one /again\nCOPY --from={base} /two /more\n",
    "only from it": "FROM scratch\nCOPY --from={base} /one /\nCOPY --from={base} /three /bin /\n",
    "mounted": "FROM {base}\nRUN --mount=from={base},target=/m cat /m/one > /x\n",
    "accounts": "FROM {base} AS a\nRUN --mount=from={base},source=/bin,target=/m ls /m > /x\n"
    "FROM {base}\nCOPY --from=a --chown=root /x /y\nWORKDIR /w\nUSER root\nRUN cat /y\n",
    "metadata": "FROM {base}\nENV A=1\n",
}


def blobs(registry: StrictRegistry) -> dict[str, int]:
    asked = collections.Counter(path for method, path, _ in registry.seen if method == "GET" and "/blobs/sha256:" in path)
    return dict(asked)


def layers(registry: StrictRegistry) -> set[str]:
    """Paths of the base's large layers."""
    return {f"/v2/{name}/blobs/{digest}" for (name, digest), data in registry.blobs.items() if len(data) > 100_000}


@pytest.fixture(params=["namespaces", "chroot"])
def isolation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(context: Path, dockerfile: str, *arguments: str) -> str:
    (context / "Dockerfile").write_text(dockerfile)
    done = gazami("build", str(context), f"--state-dir={context.parent / 'state'}", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


OUTPUTS = {
    "nothing": ["--no-push"],
    "archive": ["--no-push", "--tar-path={out}/a.tar", "--oci-layout-path={out}/layout"],
    "files": ["--no-push", "--output=type=tar,dest={out}/files.tar"],
    "one layer": ["--no-push", "--single-snapshot"],
    "two registries": ["-t={other}/a:1", "-t={other}/b:1", "-t={third}/c:1"],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_blob_is_fetched_once(context: Path, registry: StrictRegistry, base: str, shape: str, isolation: str) -> None:
    registry.seen.clear()
    build(context, SHAPES[shape].format(base=base), "--no-push", f"--isolation={isolation}")
    assert {path: count for path, count in blobs(registry).items() if count != 1} == {}
    kept = list((context.parent / "state/indexes").glob("image-*"))
    wants = any(word in SHAPES[shape] for word in ("COPY", "WORKDIR", "mount"))
    assert bool(kept) == wants


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("shape", ["run", "copy", "four stages", "only from it", "metadata"])
def test_each_blob_is_fetched_once_for_every_output(
    context: Path, registry: StrictRegistry, base: str, shape: str, output: str, isolation: str
) -> None:
    if isolation == "namespaces" and output not in ("archive", "two registries"):
        pytest.skip("the same code")
    registry.seen.clear()
    with strict_registry(Quirks()) as other, strict_registry(Quirks(mount=201)) as third:
        flags = [each.format(out=context.parent, other=other.host, third=third.host) for each in OUTPUTS[output]]
        build(context, SHAPES[shape].format(base=base), f"--isolation={isolation}", *flags)
    assert {path: count for path, count in blobs(registry).items() if count != 1} == {}


@pytest.mark.parametrize("shape", [each for each in SHAPES if "RUN" not in SHAPES[each] and "from" not in each])
def test_the_next_build_reads_no_layer(context: Path, registry: StrictRegistry, base: str, shape: str) -> None:
    """The index of the base is kept: only what is copied out of it is fetched again."""
    build(context, SHAPES[shape].format(base=base), "--no-push")
    registry.seen.clear()
    (context / "file").write_text("another")
    build(context, SHAPES[shape].format(base=base), "--no-push")
    wanted = 1 if "/two" in SHAPES[shape] else 0
    assert len(layers(registry) & set(blobs(registry))) == wanted
