"""Spherical k-means on sparse vectors of length 1: deterministic, and small enough to read."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["centroid", "cluster", "smoothed"]

_ROUNDS = 40


def smoothed(
    vectors: Sequence[Mapping[str, float]], *, neighbours: int = 3
) -> list[dict[str, float]]:
    """Returns each vector mixed with its nearest neighbours, again of length 1.

    Short texts about one subject share few words. The words of their neighbours bring them together.
    """
    index: dict[str, list[tuple[int, float]]] = {}
    for number, vector in enumerate(vectors):
        for term, weight in vector.items():
            index.setdefault(term, []).append((number, weight))
    mixed: list[dict[str, float]] = []
    for number, vector in enumerate(vectors):
        near = [0.0] * len(vectors)
        for term, weight in vector.items():
            for other, other_weight in index[term]:
                near[other] += weight * other_weight
        near[number] = 1.0
        best = sorted(range(len(near)), key=lambda other: (-near[other], other))[: neighbours + 1]
        mixed.append(_weighted((near[other], vectors[other]) for other in best))
    return mixed


def cluster(vectors: Sequence[Mapping[str, float]], count: int) -> list[int]:
    """Returns the cluster of each vector, from 0: at most `count` clusters, none of them empty.

    It is the best of several attempts, each with other seeds. The same vectors have the same clusters.
    """
    if not vectors:
        return []
    chance = random.Random(0)  # noqa: S311 (nothing here is secret, and it must repeat)
    best: tuple[float, list[int]] = (-1.0, [0] * len(vectors))
    for _ in range(max(3, min(30, 3000 // max(1, len(vectors))))):
        centres = _seeds(vectors, count, chance)
        found = _settle(vectors, centres)
        best = max(best, found, key=lambda result: result[0])
    return _numbered(best[1])


def centroid(vectors: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Returns the normalized sum of the vectors."""
    return _weighted((1.0, vector) for vector in vectors)


def _weighted(parts: Iterable[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for factor, vector in parts:
        for term, weight in vector.items():
            total[term] = total.get(term, 0.0) + factor * weight
    length = math.sqrt(math.fsum(weight * weight for weight in total.values())) or 1.0
    return {term: weight / length for term, weight in total.items()}


def _seeds(
    vectors: Sequence[Mapping[str, float]], count: int, chance: random.Random
) -> list[Mapping[str, float]]:
    """Returns vectors far from each other (k-means++)."""
    seeds = [vectors[int(chance.random() * len(vectors))]]
    distances = [1.0] * len(vectors)
    while len(seeds) < count:
        last = seeds[-1]
        distances = [
            min(known, max(0.0, 1.0 - _similarity(vector, last)))
            for known, vector in zip(distances, vectors, strict=True)
        ]
        mark = chance.random() * sum(distances)
        chosen = 0
        for chosen, distance in enumerate(distances):  # noqa: B007 (used after the loop)
            mark -= distance
            if mark <= 0:
                break
        seeds.append(vectors[chosen])
    return seeds


def _settle(
    vectors: Sequence[Mapping[str, float]], centres: Sequence[Mapping[str, float]]
) -> tuple[float, list[int]]:
    """Runs k-means until it converges. Returns the total similarity, and the cluster of each vector."""
    labels: list[int] = []
    fit = 0.0
    for _ in range(_ROUNDS):
        nearest = [_nearest(vector, centres) for vector in vectors]
        fit = math.fsum(similarity for similarity, _ in nearest)
        moved = [label for _, label in nearest]
        if moved == labels:
            break
        labels = moved
        centres = [
            centroid(v for v, label in zip(vectors, labels, strict=True) if label == index)
            for index in range(len(centres))
        ]
    return fit, labels


def _nearest(
    vector: Mapping[str, float], centres: Sequence[Mapping[str, float]]
) -> tuple[float, int]:
    similarities = [_similarity(vector, centre) for centre in centres]
    best = max(similarities)
    return best, similarities.index(best)


def _similarity(left: Mapping[str, float], right: Mapping[str, float]) -> float:
    if len(left) > len(right):
        left, right = right, left
    return math.fsum(weight * right[term] for term, weight in left.items() if term in right)


def _numbered(labels: Sequence[int]) -> list[int]:
    """Renumbers the clusters: the largest one is 0; of equal ones, the first."""
    order = sorted(set(labels), key=lambda label: (-labels.count(label), labels.index(label)))
    return [order.index(label) for label in labels]
