"""From a Dockerfile's outline to a plan: images are resolved until everything is known, then the checks are made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gazami.builder.inputs.layout_images import is_layout, resolve_layout
from gazami.cancel import Cancel
from gazami.dockerfile.check_options import check_options
from gazami.dockerfile.rules import UNKNOWN_STAGE
from gazami.errors import GazamiError
from gazami.events import BaseResolved, Emit, PlanReady, Warned
from gazami.image.reference import parse_reference
from gazami.plan.compile import Compiled, Missing, compile_plan
from gazami.plan.control_args import other_syntax
from gazami.plan.lint import findings_as_events, lint_names, lint_stages, violation
from gazami.plan.reached import ResolvedImage
from gazami.plan.stage_names import advice
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.builder.inputs.base_cache import BaseCache
    from gazami.context.ignore import Ignore
    from gazami.dockerfile.instructions import Dockerfile
    from gazami.image.digest import Digest
    from gazami.plan.inputs import PlanInputs
    from gazami.plan.outline import Outline
    from gazami.plan.steps import ImageBase
    from gazami.registry.client import RegistryClient
    from gazami.registry.resolved import Resolved

_AT_ONCE = 8


@fast_dataclass(slots=True)
class Images:
    """The images that a build is made from, resolved once each. ``blobs`` are the layers that a local file has."""

    registry: RegistryClient
    emit: Emit
    cache: BaseCache | None = None
    found: dict[ImageBase, Resolved] = field(default_factory=dict)
    blobs: dict[Digest, Path] = field(default_factory=dict)

    def resolve(self, wanted: tuple[ImageBase, ...], outlined: Outline) -> None:
        """Ask for manifests and configs, all at the same time. Raises the first error, with its FROM's lines; it ends the requests
        that still run."""
        from concurrent.futures import ThreadPoolExecutor

        transport = self.registry.transport
        stop, failures = Cancel(), list[BaseException]()

        def one(base: ImageBase) -> Resolved:
            try:
                with transport.obeying(stop):
                    return self._resolve(base, outlined)
            except BaseException as error:
                if not stop.is_set:
                    failures.append(error)
                stop.set("another image failed")
                raise

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="resolve") as pool:
            asked = [pool.submit(one, base) for base in wanted]
        if failures:
            raise failures[0]
        for base, future in zip(wanted, asked, strict=True):
            self.found[base] = future.result()
            self.emit(BaseResolved(base.reference, self.found[base].digest))

    @property
    def known(self) -> dict[ImageBase, ResolvedImage]:
        return {base: ResolvedImage(image.digest, image.config) for base, image in self.found.items()}

    def _resolve(self, base: ImageBase, outlined: Outline) -> Resolved:
        try:
            if is_layout(base.reference):
                return resolve_layout(base)
            reference = parse_reference(base.reference)
            image = self.cache.image(reference, base.platform) if self.cache is not None else None
            image = image or self.registry.resolve(reference, base.platform)
        except GazamiError as error:
            mention, hint = advice(base, outlined)
            error.hint = hint or error.hint
            if mention is not None:
                error.at(mention.written.span, outlined.source)
            raise error from error.__cause__
        if self.cache is not None:
            self.blobs |= self.cache.blobs(image)
        return image


def warn_of_names(dockerfile: Dockerfile, outlined: Outline, inputs: PlanInputs, emit: Emit) -> None:
    """Say which images look like a typo of a stage, before they are pulled, and that a frontend is not used."""
    for warning in other_syntax(dockerfile):
        emit(Warned(warning.text, warning.rule, warning.span))
    for event in findings_as_events(lint_names(dockerfile, outlined, inputs)):
        emit(event)


def make_plan(outlined: Outline, inputs: PlanInputs, images: Images) -> Compiled:
    """Resolve images until the plan can be made."""
    while isinstance(result := compile_plan(outlined, inputs, images.known), Missing):
        images.resolve(result.images, outlined)
    for warning in result.plan.warnings:
        images.emit(Warned(warning.text, warning.rule, warning.span))
    stages = result.plan.stages
    images.emit(PlanReady(tuple((each.number, each.name, tuple(step.common.text for step in each.steps)) for each in stages)))
    return result


def check_plan(
    dockerfile: Dockerfile, outlined: Outline, inputs: PlanInputs, ignore: Ignore, compiled: Compiled, emit: Emit
) -> None:
    """Report the findings of the build checks. Raises :class:`DockerfileError` for them where the Dockerfile says so."""
    findings = lint_stages(dockerfile, outlined, inputs, compiled.stages, ignore)
    for event in findings_as_events(finding for finding in findings if finding.rule != UNKNOWN_STAGE.name):
        emit(event)
    if check_options(dockerfile, outlined.source, inputs.build_args).error and (error := violation(findings)):
        raise error
