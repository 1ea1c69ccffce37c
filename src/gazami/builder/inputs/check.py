"""Check before anything runs that the build's inputs exist, and report all that are missing at once.

A build that fails after twenty minutes of compiling for a file that was never there wastes them. It checks what
:mod:`gazami.builder.inputs.needs` finds. Reading directories of the context costs nothing extra, since copying reads them too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from gazami.builder.inputs.needs import AgentNeed, FileNeed, Need, SecretNeed
from gazami.context.ignore import ignore_of
from gazami.dockerfile.suggest import nearest
from gazami.errors import ContextError, DockerfileError, GazamiError, SeveralErrors, UserError
from gazami.layer.entry import Kind
from gazami.plan.steps import ContextSource, NamedSource
from gazami.rootfs.copy import Attributes, Copier, MissingSource
from gazami.rootfs.folder import FolderTree
from gazami.rootfs.tree import Tree
from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Given:
    """What a build was given. ``named`` gives the files of a further context, None where they are not on this machine. ``secrets``
    and ``agents`` (their sockets by id) None: unknown, and none is reported missing."""

    context: Tree
    folder: str
    named: Callable[[str], Tree | None] = lambda _: None
    secrets: frozenset[str] | None = None
    agents: dict[str, str] | None = None


def raise_errors(errors: Iterable[GazamiError]) -> None:
    """Raise the one error, or all of them as one; nothing when there is none."""
    found = tuple(errors)
    if len(found) == 1:
        raise found[0]
    if found:
        raise SeveralErrors(found)


def missing(needs: Iterable[Need], given: Given) -> Iterator[GazamiError]:
    """An error for each need that is not met, in the order of the text, each once."""
    seen: set[Need] = set()
    for need in sorted(needs, key=lambda need: need.span.start):
        if need in seen:
            continue
        seen.add(need)
        try:
            match need:
                case FileNeed():
                    _find(need, given)
                case SecretNeed() if given.secrets is not None and need.id not in given.secrets:
                    raise missing_secret(need.id, given.secrets)
                case AgentNeed() if given.agents is not None:
                    _find_agent(need, given.agents)
                case _:
                    pass
        except GazamiError as error:
            yield error.at(need.span, need.source)


def missing_secret(identity: str, known: Iterable[str]) -> DockerfileError:
    close = nearest(identity, known)
    hint = f"--secret id={identity},src=FILE" + (f"; one was given as {close}" if close else "")
    return DockerfileError(f"the secret {identity} is required but was not given", hint=hint)


def missing_agent(identity: str) -> DockerfileError:
    wanted = "--ssh default" if identity == "default" else f"--ssh {identity}=SOCKET"
    return DockerfileError(f"the ssh agent {identity} is required but was not given", hint=wanted)


def _find_agent(need: AgentNeed, agents: dict[str, str]) -> None:
    if need.id not in agents:
        if need.required:
            raise missing_agent(need.id)
    elif not os.path.exists(agents[need.id]):
        raise UserError(f"the ssh agent {need.id} has no socket at {agents[need.id]}", hint="start ssh-agent, or set SSH_AUTH_SOCK")


def _find(need: FileNeed, given: Given) -> None:
    """Raises :class:`ContextError` for a file that is not there, as the step itself would."""
    tree = given.context if need.files == ContextSource() else None
    if isinstance(need.files, NamedSource):
        tree = given.named(need.files.name)
    if tree is None:
        return
    copier = Copier(Tree(), Attributes())
    try:
        if need.how == "parents":
            pattern = need.path.partition("/./")[2] or need.path.lstrip("/")
            copier.copy_with_parents(tree, need.path, "/", ignore_of((pattern,)).excludes)
        elif need.how == "copy":
            copier.matches(tree, need.path)
        elif (place := tree.resolve(need.path)).node is None:
            raise MissingSource(tree, place.path)
    except MissingSource as error:
        raise explained(error, tree, given.folder if tree is given.context else None, need.path) from None


def explained(error: MissingSource, tree: Tree, folder: str | None, written: str) -> ContextError:
    """Say so when a missing source is there and only hidden, lies outside, or is a symlink to nothing."""
    node = tree.resolve(error.path, follow=False).node
    if node is not None and node.kind is Kind.SYMLINK:
        error.hint = f"it is a symlink to {node.link}, which is not in the context"
    elif written.startswith("../"):
        error.hint = "use the directory above as the context, or --build-context: a path cannot leave the build context"
    elif node is None and folder is not None and _is_hidden(tree, f"{folder}/{error.path}"):
        error.hint = ".dockerignore excludes it: remove the pattern, or add an exception with !"
    return error


def _is_hidden(tree: Tree, path: str) -> bool:
    return isinstance(tree, FolderTree) and tree.hides and os.path.lexists(path)
