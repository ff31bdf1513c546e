"""The sample flows on real text, and the text analytics under them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from dcipher.emulator import Emulator
from dcipher.emulator.samples.clusters import cluster
from dcipher.emulator.samples.samples import keywords, language_stats, topics
from dcipher.emulator.samples.text import fold, guess_language, sentences, syllables, words

if TYPE_CHECKING:
    from collections.abc import Callable

COOKING = [
    "Stir the onions in butter until they are soft, then add garlic and simmer the soup.",
    "A good soup wants onions, garlic, butter and an hour of simmering in a heavy pot.",
    "Roast the garlic with butter; the pot of soup simmers slowly with onions and thyme.",
]
SAILING = [
    "The skipper trimmed the sail as the wind turned, and the boat heeled in the harbour.",
    "Wind from the west: reef the sail early, and the boat comes safely into the harbour.",
    "A boat without wind drifts; the skipper lowers the sail outside of the harbour.",
]
LAW = [
    "The court heard the appeal, and the judge read the verdict to the defendant.",
    "An appeal against the verdict goes to a higher court with another judge.",
    "The defendant asked the court for an appeal, but the judge upheld the verdict.",
]
MIXED = [text for trio in zip(COOKING, SAILING, LAW, strict=True) for text in trio]


def test_topics_group_texts_by_subject() -> None:
    """Nine texts about three subjects are grouped into these, with characteristic words."""
    rows = topics(MIXED, count=3)
    assert sorted(row.documents for row in rows) == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    found = {row.documents[0]: set(row.terms) for row in rows}
    assert {"onions", "soup"} <= found[0]
    assert {"sail", "wind"} <= found[1]
    assert {"court", "verdict"} <= found[2]
    assert [row.topic for row in rows] == [0, 1, 2]
    assert all(row.share == pytest.approx(1 / 3, abs=1e-3) and row.size == 3 for row in rows)
    assert all(row.label == ", ".join(row.terms[:3]) for row in rows)


def test_topics_are_the_same_every_time() -> None:
    """The same texts have the same rows."""
    assert topics(MIXED) == topics(MIXED)


@pytest.mark.parametrize("documents", [["one lonely text"], ["the of", "real words here"]])
def test_few_texts_have_few_topics(documents: list[str]) -> None:
    """A text without terms is in no topic, and one text is one topic."""
    rows = topics(documents)
    assert len(rows) == 1
    assert rows[0].documents == [len(documents) - 1]


def test_texts_of_stop_words_have_no_topic() -> None:
    """Without terms, there are no rows."""
    assert topics(["the of and"]) == []


def test_a_text_that_shares_no_word_is_still_in_a_topic() -> None:
    """Every text with terms is in exactly one topic."""
    rows = topics([*MIXED, "Zebras gallop."])
    assert sorted(index for row in rows for index in row.documents) == list(range(10))


def test_topics_of_forty_documents_take_less_than_a_second() -> None:
    """The size that the tutorials use; a second of this thread's own, whatever else the machine does."""
    documents = [" ".join(MIXED[n % 9 :] + MIXED[: n % 4]) for n in range(40)]
    began = time.thread_time()
    assert sum(row.size for row in topics(documents)) == 40
    assert time.thread_time() - began < 1


def test_not_more_clusters_than_vectors() -> None:
    """Equal vectors are one cluster, for any requested number."""
    assert cluster([{"a": 1.0}, {"a": 1.0}], 5) == [0, 0]
    assert cluster([], 3) == []


def test_keywords_distinguish_a_document() -> None:
    """A term of all documents scores lower than one of a single document. The best is first."""
    rows = keywords(["common zebra zebra", "common lion"], top=2)
    assert [(row.document, row.term) for row in rows] == [
        (0, "zebra"),
        (0, "common"),
        (1, "lion"),
        (1, "common"),
    ]
    assert rows[0].score > rows[1].score > 0


def test_language_stats_count() -> None:
    """Tokens, types, hapaxes and sentences are counted as by a person, in other scripts, too."""
    english, german, greek, nothing = language_stats(
        ["The cat sat. The cat ran!", "Der Hund ist nicht auf dem Sofa.", "Λίγα λόγια", "123"]
    )
    assert (english.language, german.language, greek.language) == ("en", "de", "und")
    assert (english.tokens, english.types, english.hapaxes, english.sentences) == (6, 4, 2, 2)
    assert english.words_per_sentence == 3
    assert english.letters_per_word == 3
    assert english.type_token_ratio == pytest.approx(0.6667)
    assert english.reading_ease is not None
    assert english.reading_ease > 100
    assert german.reading_ease is None
    assert (greek.tokens, nothing.tokens, nothing.sentences) == (2, 0, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don\u2019t re-read https://example.com/a-b, OK?", ["don't", "re-read", "ok"]),
        ("naïve STRASSE straße", ["naïve", "strasse", "strasse"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("cafe\u0301 42 snake_case", ["cafe\u0301", "snake", "case"]),
        ("-- ' 1.5", []),
    ],
)
def test_words_are_words_in_any_script(text: str, expected: list[str]) -> None:
    """Letters with their marks, apostrophes and hyphens inside; no numbers, no addresses."""
    assert words(text) == expected


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("flows", "flow"),
        ("queries", "query"),
        ("boxes", "box"),
        ("class", "class"),
        ("status", "status"),
        ("analysis", "analysis"),
        ("user's", "user"),
        ("gas", "gas"),
    ],
)
def test_plurals_are_folded(word: str, folded: str) -> None:
    """Singular and plural are one term. Words that only resemble plurals are unchanged."""
    assert fold(word) == folded


def test_the_ends_of_sentences() -> None:
    """At marks before a blank, at blank lines, and at the marks of other scripts."""
    text = 'He said "Stop." Then 3.5 m.\n\nA heading\n\n你好。再见'
    assert sentences(text) == ['He said "Stop.', "Then 3.5 m.", "A heading", "你好", "再见"]


@pytest.mark.parametrize(("word", "count"), [("cat", 1), ("table", 2), ("make", 1), ("tsk", 1)])
def test_syllables_are_about_right(word: str, count: int) -> None:
    """Groups of vowels, without a silent e; at least one."""
    assert syllables(word) == count


def test_an_unknown_language_is_und() -> None:
    """No common word, no guess."""
    assert guess_language(["xyzzy"]) == ("und", 0.0)


def test_the_samples_are_flows(
    connect: Callable[[Emulator], httpx.Client],
    start: Callable[..., httpx.Response],
    finish: Callable[[httpx.Client, str, httpx.Response], dict[str, str]],
) -> None:
    """With sample_flows=True all three run over the wire and describe their params."""
    with Emulator(sample_flows=True, queue_time=0.0) as emulator:
        client = connect(emulator)
        for flow_id in ("keywords", "topics", "language-stats"):
            flow = client.get(f"/flows/{flow_id}").json()
            assert flow["params"][0]["type"] == "array"
            assert all(param["description"] for param in flow["params"])
            started = start(client, flow_id, documents=MIXED)
            assert finish(client, flow_id, started) == {"status": "SUCCEEDED"}
            rows = httpx.get(started.json()["signedResponseURL"]).json()
            assert rows
            assert all(isinstance(row, dict) for row in rows)
            for bad in ([], ["", " "], "text"):
                assert start(client, flow_id, documents=bad).status_code == 422
