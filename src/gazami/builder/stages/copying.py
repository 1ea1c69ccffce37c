"""COPY, ADD and WORKDIR: done on trees and packed from wherever the contents lie; no root is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gazami.builder.inputs import needs
from gazami.builder.inputs.check import explained
from gazami.context.ignore import ignore_of
from gazami.errors import DockerfileError
from gazami.events import Emit, Warned
from gazami.layer.entry import FileContent, Kind
from gazami.plan.steps import ContextSource, CopyStep, StageSource, WorkdirStep
from gazami.rootfs.changes import Changes
from gazami.rootfs.copy import Attributes, Copier, Excluded, MissingSource
from gazami.rootfs.modes import parse_chmod
from gazami.rootfs.owners import Accounts, Owner, parse_owner
from gazami.rootfs.tree import Node, Tree
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.builder.files.packer import Follow, NewLayer, Packer
    from gazami.builder.stages.sources import Sources
    from gazami.builder.stages.stage import Stage
    from gazami.builder.stages.work import StepWork
    from gazami.rootfs.spool import Spool


@fast_dataclass(frozen=True, slots=True)
class Copying:
    """Carries out COPY, ADD and WORKDIR."""

    sources: Sources
    packer: Packer
    emit: Emit

    def copy(self, step: CopyStep, work: StepWork, stage: Stage, follow: Follow | None) -> NewLayer:
        """The layer of a COPY or ADD. Raises :class:`GazamiError` kinds for what is missing or cannot be fetched.

        ``follow``: what comes from a stage is uploaded while it is written. Other files are likely to be the same as last time,
        and then the registry has the layer already.
        """
        follow = follow if isinstance(step.files, StageSource) else None
        chmod, octal = parse_chmod(step.flags.chmod)
        attributes = Attributes(self._owner(step, work, stage), chmod, octal)
        remote = [source for source in step.sources if is_remote(step, source)]
        if remote:  # now, since other stages may wait for the tree
            from gazami.builder.inputs.remote import fetch_remote

            for source in remote:
                fetch_remote(source, step, self.sources.fetched)
        source_tree = self.sources.tree_of(step.files) if len(remote) < len(step.sources) else Tree()

        def copied(tree: Tree) -> Changes:
            copier = Copier(tree, attributes, exclude=_excluded(step.flags.exclude))
            try:
                self._copy_sources(step, copier, source_tree)
            except MissingSource as error:
                if isinstance(step.files, ContextSource):
                    context = self.sources.context
                    raise explained(error, context, context.folder, error.path) from None
                raise
            for document in step.inline:
                copier.put_file(document.name, document.content.encode("utf-8", "surrogateescape"), step.dest)
            return copier.changes

        if step.flags.link and not step.flags.chmod:
            tree = Tree()
            return self.packer.changes(copied(tree), tree, follow)  # the stage reads the layer when it needs the tree again
        if step.flags.chown or step.flags.chmod:  # what is missing on the way gets these: it has to be missing indeed
            tree = stage.files(work)
            changes = copied(tree)
        else:
            tree, changes = stage.onto(work, copied)
        return self._packed(changes, tree, stage, follow)

    def make_workdir(self, step: WorkdirStep, work: StepWork, stage: Stage) -> NewLayer:
        """The layer of a WORKDIR: the directories that are missing."""
        owner = Owner(0, 0)
        if step.user:
            owner = parse_owner(step.user, stage.accounts(work) if _has_names(step.user) else Accounts())
        self._warn_unknown(owner, f"USER {step.user}", step)

        def made(tree: Tree) -> Changes:
            return _made_directories(step.path, owner, tree)

        if (owner.uid, owner.gid) == (0, 0):
            tree, changes = stage.onto(work, made)
        else:
            tree = stage.files(work)
            changes = made(tree)
        return self._packed(changes, tree, stage)

    def _packed(self, changes: Changes, tree: Tree, stage: Stage, follow: Follow | None = None) -> NewLayer:
        new = self.packer.changes(changes, tree, follow)
        stage.tree.applied()
        return new

    def _copy_sources(self, step: CopyStep, copier: Copier, source_tree: Tree) -> None:
        for source in step.sources:
            if step.flags.checksum and not is_remote(step, source):
                raise DockerfileError("checksum can't be specified for local sources")
            if is_remote(step, source):
                from gazami.builder.inputs.remote import add_remote

                add_remote(copier, source, step, self.sources.fetched, self._spool)
            elif step.flags.parents:
                copier.copy_with_parents(source_tree, source, step.dest, _parents_pattern(source))
            elif step.add and step.flags.unpack is not False:
                self._add(copier, source_tree, source, step)
            else:
                copier.copy(source_tree, source, step.dest)

    def _add(self, copier: Copier, source_tree: Tree, source: str, step: CopyStep) -> None:
        from gazami.rootfs.archive import archive_members, is_archive

        for path, node in copier.matches(source_tree, source):
            target = source_tree.resolve(path).node or node
            content = target.content
            if target.kind is Kind.FILE and isinstance(content, FileContent) and is_archive(content):
                keep_mode = Attributes(copier.attributes.owner, octal=copier.attributes.octal)
                extractor = Copier(copier.tree, keep_mode, copier.changes)
                extractor.extract(archive_members(content, self._spool), step.dest)
            else:
                copier.copy_node(source_tree, path, node, step.dest)

    def _spool(self) -> Spool:
        return self.packer.files.workspace.spool()

    def _owner(self, step: CopyStep, work: StepWork, stage: Stage) -> Owner | None:
        if not step.flags.chown:
            return None
        owner = parse_owner(step.flags.chown, stage.accounts(work) if _has_names(step.flags.chown) else Accounts())
        if owner.unknown and not stage.image.layers:
            raise DockerfileError(
                f"--chown={step.flags.chown}: there is no user or group {', '.join(owner.unknown)} in an image without files",
                hint="use numbers",
            )
        self._warn_unknown(owner, f"--chown={step.flags.chown}", step)
        return owner

    def _warn_unknown(self, owner: Owner, where: str, step: CopyStep | WorkdirStep) -> None:
        for name in dict.fromkeys(owner.unknown):
            self.emit(
                Warned(
                    f"{where}: {name} is not in the image's /etc/passwd or /etc/group; using 0",
                    span=step.common.span,
                    hint="create it in a RUN above, or use a number",
                )
            )


def is_remote(step: CopyStep, source: str) -> bool:
    """Whether a source lies on another machine."""
    return needs.is_remote(source, add=step.add)


def copier_of_sources(step: CopyStep, source: str, source_tree: Tree) -> Copier:
    """One source copied into nothing, as the step copies it but with its own attributes: which files it means."""
    copier = Copier(Tree(), Attributes(), exclude=_excluded(step.flags.exclude))
    if step.flags.parents:
        copier.copy_with_parents(source_tree, source, step.dest, _parents_pattern(source))
    else:
        copier.copy(source_tree, source, step.dest)
    return copier


def _parents_pattern(source: str) -> Callable[[str], bool]:
    return ignore_of((source.partition("/./")[2] or source.lstrip("/"),)).excludes


def _has_names(owner: str) -> bool:
    """Whether ``user[:group]`` has to be looked up in the image's files."""
    return not all(part.isdigit() for part in owner.split(":"))


def _excluded(patterns: tuple[str, ...]) -> Excluded | None:
    if not patterns:
        return None
    ignore = ignore_of(patterns)
    return Excluded(ignore.check, prune=not ignore.has_exceptions)


def _made_directories(wanted: str, owner: Owner, tree: Tree) -> Changes:
    changes = Changes()
    place = tree.resolve(wanted)
    if place.node is not None and not place.node.is_directory:
        raise DockerfileError(f"WORKDIR {wanted}: /{place.path} is not a directory")
    parts = place.path.split("/") if place.path else []
    for count in range(1, len(parts) + 1):
        path = "/".join(parts[:count])
        node = tree.get(path)
        if node is None:
            changes.put(tree, path, Node(Kind.DIRECTORY, 0o755, owner.uid, owner.gid))
        elif not node.is_directory:
            raise DockerfileError(f"WORKDIR {wanted}: /{path} is not a directory")
    return changes
