"""The nearest of the words that would have been right."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str], *, ignore_case: bool = True) -> str | None:
    """The candidate within an edit distance of 2, the closest first; None when the word is one or nothing is near."""
    best, best_distance = None, 3
    given = word.lower() if ignore_case else word
    for candidate in candidates:
        distance = _distance(given, candidate.lower() if ignore_case else candidate, best_distance)
        if distance < best_distance and (distance or word != candidate):
            best, best_distance = candidate, distance
    return best


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`` (did you mean X?)``, or nothing."""
    found = nearest(word, candidates)
    return f" (did you mean {found}?)" if found and found != word else ""


def _distance(left: str, right: str, limit: int) -> int:
    if abs(len(left) - len(right)) >= limit:
        return limit
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]
