"""The products that images are pushed to, by their manners as their documentation and their users' reports have them."""

from __future__ import annotations

import json

from tests.strict_registry import Manners, Quirks

_ABSOLUTE = "http://{host}/v2/{name}/blobs/uploads/{session}"
_RELATIVE = "/v2/{name}/blobs/uploads/{session}"


def _error(code: str, message: str) -> str:
    return json.dumps({"errors": [{"code": code, "message": message}]})


def _ecr(of_what: str) -> Manners:
    there = "The image tag '1' already exists in the 'team/app' repository"
    text = f"{there} and cannot be overwritten because the {of_what} is immutable."
    return Manners(moved=(400, _error("TAG_INVALID", text)), deleted=(405, _error("UNSUPPORTED", "The operation is unsupported.")))


_GOOGLE = _error("DENIED", "The repository has enabled tag immutability; tag 1 cannot be moved")
_HARBOR = _error("PRECONDITION", "Failed to process request due to 'app:1' configured as immutable.")
_UNSIGNED = _error("PROJECTPOLICYVIOLATION", "The image is not signed in Cosign.")
_QUAY = _error("MANIFEST_INVALID", "manifest invalid: unknown config media type")

REGISTRIES = {
    "Amazon ECR": Quirks(mount=202, location=_ABSOLUTE, digests=True, manners=_ecr("tag")),
    "Amazon ECR before 2025": Quirks(mount=202, location=_ABSOLUTE, digests=True, manners=_ecr("repository")),
    "Google Artifact Registry": Quirks(mount=201, digests=True, manners=Manners(moved=(403, _GOOGLE))),
    "Harbor": Quirks(mount=201, location=_RELATIVE, token=True, digests=True, manners=Manners(moved=(412, _HARBOR))),
    "Harbor with signatures": Quirks(mount=201, token=True, digests=True, manners=Manners(unsigned=(412, _UNSIGNED))),
    "Artifactory": Quirks(mount=202, location=_ABSOLUTE, digests=True, manners=Manners(below="docker-local/")),
    "Quay": Quirks(mount=202, token=True, manners=Manners(artifact=(400, _QUAY))),
    "Nexus": Quirks(mount=202, location=_RELATIVE, manners=Manners(below="repository/docker-hosted/")),
    "GitLab": Quirks(mount=404, token=True, digests=True, manners=Manners(deleted=(405, _error("UNSUPPORTED", "no")))),
    "GHCR": Quirks(mount=201, token=True, manners=Manners(deleted=(405, _error("UNSUPPORTED", "not supported")))),
}
"""None of them has an API of referrers here."""
