"""The build checks that need meaning (stages, variables, images, the ignore file), and all checks put together.

:func:`lint` is what ``gazami lint``, ``build --check`` and a build share. A base image whose config is not given may define
any variable, so in stages on top of it UndefinedVar tells only of names that the Dockerfile itself speaks of.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gazami.context.ignore import Ignore
from gazami.dockerfile import instructions as ast
from gazami.dockerfile import rules
from gazami.dockerfile.check_options import CheckOptions, check_options
from gazami.dockerfile.checks import FILE_CHECKS, STAGE_CHECKS
from gazami.dockerfile.rules import PARSE_ERROR, Finding, Hit, Rule
from gazami.dockerfile.suggest import nearest
from gazami.errors import DockerfileError, Source, Span, UsageError
from gazami.events import Warned
from gazami.image.platform import parse_platform
from gazami.image.reference import parse_reference
from gazami.plan.compile import ResolvedImage, reached
from gazami.plan.lookups import FromRead, Globals, StageRead, read_from, read_globals, read_stages
from gazami.plan.outline import Inputs, Outline, outline
from gazami.plan.scope import GlobalScope
from gazami.plan.steps import ImageBase
