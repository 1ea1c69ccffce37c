"""What a builder that waits for a lease decides, from what it sees; and which repository has a key."""

from __future__ import annotations

from collections import Counter

import pytest

from gazami.cache.entry import CONFIG as ENTRY_CONFIG
from gazami.cache.keys import key_of
from gazami.cache.lease import CONFIG, Lease, Watch, decode_lease, encode_lease, lease_tag
from gazami.cache.shards import weight
from gazami.errors import RegistryError
from gazami.image.manifest import OCI_MANIFEST, encode_manifest

A0, A1, B0 = Lease("a"), Lease("a", beat=1), Lease("b")
STORED, FAILED = A0.ended(stored=True), A0.ended(stored=False)

CASES: dict[str, list[tuple[float, Lease | None, str]]] = {
    "nobody has it": [(0, None, "claim")],
    "somebody stored it before": [(0, STORED, "look")],
    "somebody failed before": [(0, FAILED, "claim")],
    "the holder stores it": [(0, A0, "wait"), (5, A0, "wait"), (6, STORED, "look")],
    "the holder fails": [(0, A0, "wait"), (5, FAILED, "failed")],
    "the lease is gone": [(0, A0, "wait"), (5, None, "look")],
    "the holder is silent": [(0, A0, "wait"), (9.9, A0, "wait"), (10, A0, "look")],
    "the holder is slow": [(0, A0, "wait"), (9, A1, "wait"), (18, A1, "wait"), (19, A1, "look")],
    "another one takes over": [(0, A0, "wait"), (9, B0, "wait"), (18, B0, "wait"), (19, B0, "look")],
    "it takes too long": [(0, A0, "wait"), (9, A1, "wait"), (17, A0, "wait"), (24, A1, "wait"), (30, A0, "late")],
    "each claim is taken back": [(0, None, "claim"), (10, STORED, "look"), (20, FAILED, "claim"), (30, STORED, "late")],
    "each claim is removed": [(0, None, "claim"), (10, None, "claim"), (30, None, "late")],
    "it is free, late": [(31, None, "claim")],
    "it was failed when another one claimed it, and fails again": [(0, FAILED, "claim"), (1, B0, "wait"), (2, FAILED, "failed")],
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_done_next(name: str) -> None:
    watch = Watch(100.0, bound=30.0, dead=10.0)
    assert [watch.next(lease, 100.0 + at) for at, lease, _ in CASES[name]] == [wanted for *_, wanted in CASES[name]]


def test_a_lease_in_a_manifest() -> None:
    for lease in (A0, A1, STORED, FAILED):
        assert decode_lease(encode_lease(lease)) == lease
    assert lease_tag(key_of(())) == key_of(()) + ".lease"


def test_a_long_lease_leaves_few_manifests() -> None:
    lease, seen = Lease("a"), set()
    for _ in range(1000):
        seen.add(encode_lease(lease).digest)
        assert lease.renewed() != lease  # or who waits would think that the holder is dead
        lease = lease.renewed()
    assert len(seen) == 8


@pytest.mark.parametrize("state", ["held", "odd"])
@pytest.mark.parametrize("beat", ["0", "-1", "", "9" * 30])
@pytest.mark.parametrize("config", [CONFIG, ENTRY_CONFIG])
def test_what_is_no_lease(state: str, beat: str, config: object) -> None:
    prefix = "dev.gazami.cache.lease."
    notes = ((prefix + "beat", beat), (prefix + "holder", "a"), (prefix + "state", state))
    manifest = encode_manifest(OCI_MANIFEST, config, (), notes)  # type: ignore[arg-type]
    if (state, beat, config) == ("held", "0", CONFIG):
        assert decode_lease(manifest) == A0  # the control
        return
    with pytest.raises(RegistryError, match="not a lease"):
        decode_lease(manifest)


def test_keys_are_spread_over_shards_and_one_more_moves_its_own_share_only() -> None:
    keys = [key_of((("n", str(number)),)) for number in range(4000)]

    def of(key: str, names: tuple[str, ...]) -> str:
        return max(names, key=lambda name: weight(name, key))

    three, four = ("r.example.com/a", "r.example.com/b", "r.example.com/c"), ("r.example.com/d",)
    before, after = [of(key, three) for key in keys], [of(key, three + four) for key in keys]
    assert all(900 < count < 1100 for count in Counter(after).values())
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert 900 < len(moved) < 1100
    assert {new for _, new in moved} == set(four)
    assert [of(key, three[::-1]) for key in keys] == before  # their order does not matter
