"""The sample flows: keywords, topics and language statistics of real text, all deterministic."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, Field

from dcipher.emulator.samples.clusters import centroid, cluster, smoothed
from dcipher.emulator.samples.text import (
    guess_language,
    sentences,
    surfaces,
    syllables,
    terms,
    unit_vectors,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SAMPLES", "Keyword", "LanguageStats", "Topic", "keywords", "language_stats", "topics"]


def _some_text(documents: list[str]) -> list[str]:
    if not any(words(document) for document in documents):
        raise ValueError("at least one document must have words")
    return documents


Documents = Annotated[
    list[str],
    Field(min_length=1, description="The texts. At least one must have words."),
    AfterValidator(_some_text),
]
MinLength = Annotated[
    int, Field(ge=1, le=50, description="The minimum number of letters of a term.")
]


@dataclass(frozen=True, slots=True)
class Keyword:
    """A term of a document, and its TF-IDF weight."""

    document: int
    term: str
    score: float


@dataclass(frozen=True, slots=True)
class Topic:
    """A group of documents about one subject. The largest topic is the first one."""

    topic: int
    label: str
    terms: list[str]
    documents: list[int]
    size: int
    share: float


@dataclass(frozen=True, slots=True)
class LanguageStats:
    """Statistics of a document."""

    document: int
    language: str
    characters: int
    tokens: int
    types: int
    hapaxes: int
    type_token_ratio: float
    sentences: int
    words_per_sentence: float
    letters_per_word: float
    reading_ease: float | None
    """The Flesch score, from 100 (very easy) to 0 (very hard). English only."""


def keywords(
    documents: Documents,
    top: Annotated[
        int, Field(ge=1, le=1000, description="The number of terms of each document.")
    ] = 10,
    min_length: MinLength = 3,
) -> list[Keyword]:
    """Finds the terms that distinguish each document from the others (TF-IDF), the best first."""
    written = surfaces(documents)
    vectors = unit_vectors([terms(d, min_length=min_length) for d in documents])
    return [
        Keyword(index, written[term], round(score, 4))
        for index, vector in enumerate(vectors)
        for term, score in sorted(vector.items(), key=lambda item: (-item[1], item[0]))[:top]
    ]


def topics(
    documents: Documents,
    count: Annotated[
        int | None,
        Field(
            ge=1,
            le=100,
            description="The maximum number of topics. Default: depends on the number of documents.",
        ),
    ] = None,
    top: Annotated[int, Field(ge=1, le=100, description="The number of terms of each topic.")] = 8,
    min_length: MinLength = 3,
) -> list[Topic]:
    """Groups documents by subject. A document without terms is in no topic."""
    found = [terms(document, min_length=min_length) for document in documents]
    vectors = unit_vectors(_shared(found))
    used = [index for index, vector in enumerate(vectors) if vector]
    labels = cluster(smoothed([vectors[index] for index in used]), count or _topic_count(len(used)))
    written = surfaces(documents)
    everything = centroid(vectors)
    rows: list[Topic] = []
    for number in range(max(labels, default=-1) + 1):
        members = [index for index, label in zip(used, labels, strict=True) if label == number]
        centre = centroid(vectors[index] for index in members)
        # Terms that are frequent in the topic, and more frequent than in all documents.
        weight = {term: w * (w / everything[term]) for term, w in centre.items()}
        best = [written[t] for t in sorted(weight, key=lambda t: (-weight[t], t))[:top]]
        share = round(len(members) / len(documents), 4)
        rows.append(Topic(number, ", ".join(best[:3]), best, members, len(members), share))
    return rows


def language_stats(documents: Documents) -> list[LanguageStats]:
    """Computes language, counts and readability of each document."""
    return [_stats(index, document) for index, document in enumerate(documents)]


SAMPLES: Final[dict[str, Callable[..., object]]] = {
    "keywords": keywords,
    "language-stats": language_stats,
    "topics": topics,
}


def _topic_count(documents: int) -> int:
    return max(1, min(12, round(math.sqrt(documents))))


def _shared(documents: list[list[str]]) -> list[list[str]]:
    """Returns the documents with only the terms that are in several, but not in most of them."""
    if len(documents) < 4:
        return documents
    frequency = Counter(term for document in documents for term in set(document))
    most = max(2, len(documents) // 2)
    kept = [[t for t in document if 1 < frequency[t] <= most] for document in documents]
    # A document that shares no term keeps its own terms: it is a topic of one document.
    return [shared or own for shared, own in zip(kept, documents, strict=True)]


def _stats(index: int, document: str) -> LanguageStats:
    tokens = words(document)
    counts = Counter(tokens)
    parts = max(1, len(sentences(document)))
    number = max(1, len(tokens))
    language, _ = guess_language(tokens)
    ease = 206.835 - 1.015 * number / parts - 84.6 * sum(map(syllables, tokens)) / number
    return LanguageStats(
        document=index,
        language=language,
        characters=len(document),
        tokens=len(tokens),
        types=len(counts),
        hapaxes=sum(count == 1 for count in counts.values()),
        type_token_ratio=round(len(counts) / number, 4),
        sentences=parts if tokens else 0,
        words_per_sentence=round(len(tokens) / parts, 2),
        letters_per_word=round(sum(map(len, tokens)) / number, 2),
        reading_ease=round(ease, 1) if language == "en" else None,
    )
