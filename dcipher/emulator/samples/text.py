"""Words, sentences and term weights of text, for the sample flows. Pure, standard library only."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "STOP_WORDS",
    "fold",
    "guess_language",
    "sentences",
    "surfaces",
    "syllables",
    "terms",
    "unit_vectors",
    "words",
]

# Letters of any script and their combining marks (Indic vowels, for instance), with apostrophes
# and hyphens inside a word. `\w` knows no combining marks, so the common blocks are named.
_LETTER = r"(?:[^\W\d_]|[\u0300-\u036f\u0900-\u0903\u093a-\u094f\u0e31\u0e34-\u0e4e])"
_WORD = re.compile(rf"{_LETTER}+(?:['\u2019\-]{_LETTER}+)*")
_URL = re.compile(r"(?:https?://|www\.)\S+", re.I)
_SENTENCE_END = re.compile(
    r"(?<=[.!?\u2026])[\"'\u201d\u2019)\]]*\s+|[\u3002\uff01\uff1f\u0964]|\n\s*\n"
)
_VOWELS = re.compile(r"[aeiouyàáâäåèéêëìíîïòóôöøùúûüý]+", re.I)

STOP_WORDS: Final = frozenset(
    """
    a about above after again against all already also always am an and another any anyone
    anything are as at back be because been before being below best better between both but by
    came can cannot come comes could did do does doing don't down during each either else even
    ever every everyone everything few first five for four from further get gets give given
    gives go goes good had has have having he her here hers him his how however i if in into is
    it it's its itself just keep keeps kept know known knows last leave leaves left let like
    made make makes many may me might more most much must my need needs neither never new next
    no nobody nor not nothing now of off often on once one only or other our ours out over own
    per put puts quite rather same say says see seen she should since so some someone something
    still such take takes tell tells than that the their theirs them then there these they thing
    things this those though three through to told too two under until up upon us use used uses
    using very via want wants was way ways we well were what when where whether which while who
    whole whom whose why will with within without would yet you your yours yourself
    """.split()  # noqa: SIM905 (as prose it can be read and diffed)
)

_COMMON_WORDS: Final = {
    "de": "aber auch auf das dem den der des die ein eine für ich im ist mit nicht sich und von zu",
    "en": "a and are as at be by for from in is it not of on or that the this to was were with you",
    "es": "al como con de del el en es esta la las los más no para pero por que se su un una y",
    "fr": "au aux avec ce dans de des du elle en est et il je la le les ne nous pas que qui sur un",
    "it": "al anche che con da dei del della di e gli il in io la le lo non per più sono un una",
    "nl": "aan dat de die een en er het ik in is met niet of om op te van voor was wat zijn",
    "pt": "ao com como da das de do dos e em é mais mas não no nos o os para por que se um uma",
    "sv": "att av den det du en ett för han har i inte jag med men och om på som till var vi är",
}
_LANGUAGES: Final = {name: frozenset(text.split()) for name, text in _COMMON_WORDS.items()}


def words(text: str) -> list[str]:
    """Returns the words in lower case, without URLs."""
    plain = _URL.sub(" ", text).casefold().replace("\u2019", "'")
    return [match.group() for match in _WORD.finditer(plain)]


def sentences(text: str) -> list[str]:
    """Returns the sentences that have a word. A blank line also ends a sentence."""
    return [part.strip() for part in _SENTENCE_END.split(text) if _WORD.search(part)]


def fold(word: str) -> str:
    """Returns the singular of English plurals and possessives, and other words unchanged."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def terms(text: str, *, min_length: int = 3) -> list[str]:
    """Returns the folded words that characterize a text: no stop words, and no short ones."""
    return [
        fold(word) for word in words(text) if len(word) >= min_length and word not in STOP_WORDS
    ]


def surfaces(texts: Iterable[str]) -> dict[str, str]:
    """Returns the most frequent spelling of each folded word."""
    counts = Counter(word for text in texts for word in words(text))
    # Ties go to the alphabet: the same texts give the same words on every run.
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    written: dict[str, str] = {}
    for word in ordered:
        _ = written.setdefault(fold(word), word)
    return written


def unit_vectors(documents: Sequence[Sequence[str]]) -> list[dict[str, float]]:
    """Returns TF-IDF weights by term (sublinear counts, smoothed rarity), normalized for each document."""
    frequency = Counter(term for document in documents for term in set(document))
    total = len(documents)
    rarity = {term: math.log((1 + total) / (1 + n)) + 1 for term, n in frequency.items()}
    return [
        _unit({term: (1 + math.log(n)) * rarity[term] for term, n in Counter(document).items()})
        for document in documents
    ]


def _unit(vector: Mapping[str, float]) -> dict[str, float]:
    # Sorted, since a sum of floats depends on its order.
    length = math.sqrt(math.fsum(weight * weight for weight in vector.values()))
    return {term: vector[term] / length for term in sorted(vector)}


def syllables(word: str) -> int:
    """Returns about how many syllables an English word has: groups of vowels, less a silent e."""
    groups = len(_VOWELS.findall(word))
    silent = word.endswith("e") and not word.endswith(("le", "ee")) and groups > 1
    return max(1, groups - silent)


def guess_language(tokens: Sequence[str]) -> tuple[str, float]:
    """Returns the language (ISO 639-1; `und` if unknown), and the share of its common words."""
    shares = {
        name: sum(token in common for token in tokens) / max(1, len(tokens))
        for name, common in _LANGUAGES.items()
    }
    best = max(sorted(shares), key=shares.__getitem__)
    return (best, shares[best]) if shares[best] > 0 else ("und", 0.0)
