"""Plans of Dockerfiles that need no registry."""

from __future__ import annotations

from gazami.dockerfile.parser import parse
from gazami.errors import Source
from gazami.image.config import ImageConfig
from gazami.image.digest import digest_of
from gazami.image.platform import Platform
from gazami.plan.compile import Compiled, Missing, compile_plan
from gazami.plan.inputs import PlanInputs
from gazami.plan.outline import outline
from gazami.plan.reached import ResolvedImage
from gazami.plan.steps import Plan

HOST = Platform("linux", "amd64")


def plan_of(text: str, target: str = "") -> Plan:
    """The plan of a Dockerfile; an image that a FROM names has no files and no config."""
    source = Source("Dockerfile", text)
    inputs = PlanInputs({}, HOST, HOST, target)
    outlined = outline(parse(source), source, inputs)
    compiled = compile_plan(outlined, inputs, {})
    if isinstance(compiled, Missing):
        image = ResolvedImage(digest_of(b""), ImageConfig(HOST))
        compiled = compile_plan(outlined, inputs, dict.fromkeys(compiled.images, image))
    assert isinstance(compiled, Compiled)
    return compiled.plan
