"""What is handed on is read back as the same credentials for the same repositories, and holds nothing else."""

from __future__ import annotations

import json

from gazami.image.reference import parse_reference
from gazami.registry.credentials import HUB_KEY, Credential, parse_docker_config
from gazami.registry.granted import encode_docker_config

ME, YOU = Credential("me", "päss:word"), Credential(identity_token="token")


def looked_up(granted: list[tuple[str, Credential]], reference: str) -> Credential | None:
    text = encode_docker_config((parse_reference(name), credential) for name, credential in granted).decode()
    wanted = parse_reference(reference)
    return parse_docker_config(text, "sent").lookup(wanted.registry, wanted.repository).credential


def test_one_credential_counts_for_the_registry() -> None:
    granted = [("r.example/a", ME), ("r.example/a/cache", ME), ("s.example/b", YOU)]
    assert looked_up(granted, "r.example/a") == looked_up(granted, "r.example/other") == ME
    assert looked_up(granted, "s.example/b") == YOU
    assert looked_up(granted, "t.example/b") is None


def test_different_ones_count_for_their_repositories() -> None:
    granted = [("r.example/a", ME), ("r.example/b", YOU)]
    assert (looked_up(granted, "r.example/a"), looked_up(granted, "r.example/b")) == (ME, YOU)
    assert looked_up(granted, "r.example/c") is None


def test_docker_hub_has_its_own_name() -> None:
    assert list(json.loads(encode_docker_config([(parse_reference("debian"), ME)]))["auths"]) == [HUB_KEY]
    assert looked_up([("debian", ME)], "docker.io/library/debian") == ME
