"""The translation model's sentences: what the grammar writes, what is trained on, what is not."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.translation import lexicon
from models.translation.corpus import grammar_corpus, read_pairs
from models.translation.english import english
from models.translation.german import german
from models.translation.grammar import sentence
from models.translation.lexicon import EVERY, NO, THE, THIS, A
from models.translation.syntax import Clause, NounPhrase, Sentence, combinations
from models.translation.vocabulary import (
    END,
    PAD,
    START,
    UNKNOWN,
    TargetLanguage,
    known_words,
    padded,
    with_blank,
    words,
)
from models.translation.words import Adjective, Adverb, Determiner, Noun, Pronoun, Verb
from tuner.errors import InputError

NOUNS = {
    noun.english: noun
    for noun in (*lexicon.PERSONS, *lexicon.ANIMALS, *lexicon.THINGS, *lexicon.PLACES)
}
ADJECTIVES = {adjective.english: adjective for adjective in lexicon.ADJECTIVES}
ADVERBS = {adverb.english: adverb for adverb in lexicon.ADVERBS}
PRONOUNS = {pronoun.subject: pronoun for pronoun in lexicon.PRONOUNS}
VERBS = {f"{v.english} {v.particle}{v.preposition}".strip(): v for v in lexicon.VERBS}
MY, OUR = lexicon.POSSESSIVES[:2]
TWO = lexicon.NUMBERS[0]


def one(determiner: Determiner, noun: str, adjective: str | None = None) -> NounPhrase:
    return NounPhrase(
        determiner, NOUNS[noun], adjective=ADJECTIVES[adjective] if adjective else None
    )


def many(determiner: Determiner, noun: str, adjective: str | None = None) -> NounPhrase:
    return NounPhrase(determiner, NOUNS[noun], True, ADJECTIVES[adjective] if adjective else None)


ME, HE, SHE, WE, THEY = PRONOUNS.values()
MAN, BOY, KEY = one(THE, "man"), one(THE, "boy"), one(THE, "key")

WRITTEN = [
    # Gender and case; a weak noun; -n of the dative plural, and where there is none.
    (
        Sentence(Clause(VERBS["see"], "present", MAN, one(A, "dog", "small"))),
        "The man sees a small dog.",
        "Der Mann sieht einen kleinen Hund.",
    ),
    (
        Sentence(Clause(VERBS["help"], "present", one(A, "child", "old"), BOY)),
        "An old child helps the boy.",
        "Ein altes Kind hilft dem Jungen.",
    ),
    (
        Sentence(Clause(VERBS["thank"], "past", WE, many(TWO, "teacher", "tired"))),
        "We thanked two tired teachers.",
        "Wir haben zwei müden Lehrern gedankt.",
    ),
    (
        Sentence(Clause(VERBS["sell"], "will", ME, many(THIS, "car", "expensive"))),
        "I will sell these expensive cars.",
        "Ich werde diese teuren Autos verkaufen.",
    ),
    # Two objects: the receiver first in German, however English says it; pronouns before both.
    (
        Sentence(Clause(VERBS["give"], "past", MAN, KEY, one(OUR, "woman"), receiver_last=True)),
        "The man gave the key to our woman.",
        "Der Mann hat unserer Frau den Schlüssel gegeben.",
    ),
    (
        Sentence(Clause(VERBS["lend"], "present", SHE, KEY, THEY, adverb=ADVERBS["today"])),
        "She lends them the key today.",
        "Sie leiht ihnen heute den Schlüssel.",
    ),
    # Separable verbs: apart in a main clause, together at the end of a subordinate one.
    (
        Sentence(Clause(VERBS["wake up"], "present", HE, ME)),
        "He wakes me up.",
        "Er weckt mich auf.",
    ),
    (
        Sentence(
            Clause(VERBS["laugh"], "present", WE),
            conjunction="because",
            subordinate=Clause(VERBS["pick up"], "present", SHE, BOY),
        ),
        "We laugh because she picks up the boy.",
        "Wir lachen, weil sie den Jungen abholt.",
    ),
    (
        Sentence(Clause(VERBS["throw away"], "past", HE, many(MY, "flower"))),
        "He threw away my flowers.",
        "Er hat meine Blumen weggeworfen.",
    ),
    # The verb second, whatever comes first; last after a conjunction; first in a question.
    (
        Sentence(
            Clause(VERBS["go"], "past", MAN, place=one(THE, "house"), adverb=ADVERBS["yesterday"]),
            first="adverb",
        ),
        "Yesterday the man went into the house.",
        "Gestern ist der Mann ins Haus gegangen.",
    ),
    (
        Sentence(
            Clause(VERBS["sleep"], "present", one(A, "cat"), place=one(THE, "garden", "dark")),
            first="place",
        ),
        "In the dark garden a cat sleeps.",
        "Im dunklen Garten schläft eine Katze.",
    ),
    (
        Sentence(
            Clause(VERBS["sing"], "should", HE),
            "clause",
            None,
            "although",
            Clause(VERBS["carry"], "can", MAN, one(EVERY, "bag", "big")),
        ),
        "Although the man can carry every big bag, he should sing.",
        "Obwohl der Mann jede große Tasche tragen kann, soll er singen.",
    ),
    (
        Sentence(
            Clause(VERBS["know"], "present", ME),
            conjunction="that",
            subordinate=Clause(VERBS["arrive"], "past", many(THE, "student")),
        ),
        "I know that the students arrived.",
        "Ich weiß, dass die Studenten angekommen sind.",
    ),
    (
        Sentence(Clause(VERBS["buy"], "want", MAN, KEY), question=""),
        "Does the man want to buy the key?",
        "Will der Mann den Schlüssel kaufen?",
    ),
    (
        Sentence(Clause(VERBS["be"], "past", THEY, predicate=ADJECTIVES["hungry"]), question="why"),
        "Why were they hungry?",
        "Warum waren sie hungrig?",
    ),
    # Negation: after the object and before the place; with "a" it is "kein".
    (
        Sentence(
            Clause(VERBS["find"], "can", ME, KEY, place=one(MY, "room"), negated=True),
        ),
        "I cannot find the key in my room.",
        "Ich kann den Schlüssel nicht in meinem Zimmer finden.",
    ),
    (
        Sentence(Clause(VERBS["buy"], "past", SHE, one(A, "book", "new"), negated=True)),
        "She did not buy a new book.",
        "Sie hat kein neues Buch gekauft.",
    ),
    (
        Sentence(Clause(VERBS["follow"], "past", many(NO, "bird"), HE)),
        "No birds followed him.",
        "Keine Vögel sind ihm gefolgt.",
    ),
    (
        Sentence(Clause(VERBS["visit"], "will", WE, HE, adverb=ADVERBS["never"])),
        "We will never visit him.",
        "Wir werden ihn nie besuchen.",
    ),
    # A relative clause agrees with its noun and is set off by commas.
    (
        Sentence(
            Clause(
                VERBS["work"],
                "present",
                NounPhrase(
                    THE,
                    NOUNS["neighbour"],
                    True,
                    relative=Clause(VERBS["call"], "past", object=WE),
                ),
            )
        ),
        "The neighbours who called us work.",
        "Die Nachbarn, die uns angerufen haben, arbeiten.",
    ),
]


@pytest.mark.parametrize(("tree", "in_english", "in_german"), WRITTEN)
def test_a_tree_is_written_in_both_languages(
    tree: Sentence, in_english: str, in_german: str
) -> None:
    assert (english(tree), german(tree)) == (in_english, in_german)


@given(st.randoms(use_true_random=False))
def test_what_is_drawn_is_written_as_a_sentence(rng: Random) -> None:
    tree = sentence(rng)
    for text in (english(tree), german(tree)):
        assert text[0].isupper()
        assert text.endswith("?" if tree.question is not None else ".")
        assert text[:-1].count("?") == text[:-1].count(".") == 0
        assert " ".join(text.split()) == text
        for comma in (" ,", ",,", ",.", ",?"):
            assert comma not in text


@given(st.randoms(use_true_random=False))
def test_the_german_verb_is_where_it_belongs(rng: Random) -> None:
    """Seen from outside: what must end a clause is at its end."""
    tree = sentence(rng)
    *_, last = words(german(tree))[:-1]
    clause = tree.subordinate if tree.subordinate and tree.first != "clause" else tree.main
    verb = clause.verb
    if clause is tree.subordinate:
        finite = {
            "past": {"habe", "hat", "haben", "bin", "ist", "sind", "war", "waren"},
            "present": {verb.prefix + form for form in (verb.first, verb.third, verb.infinitive)}
            | {"bin", "ist", "sind"},
        }
        modal = lexicon.MODALS.get(clause.form, ())
        assert last in finite.get(clause.form, set()) | set(modal)
    elif clause.form in lexicon.MODALS:
        assert last == verb.prefix + verb.infinitive
    elif clause.form == "past" and verb.frame != "be":
        assert last == verb.prefix + verb.participle
    elif verb.prefix:
        assert last == verb.prefix


def test_a_sentence_has_one_translation() -> None:
    rng = Random(5)
    found: dict[str, str] = {}
    for _ in range(5000):
        tree = sentence(rng)
        assert found.setdefault(english(tree), german(tree)) == german(tree)
    assert len(found) > 4500
    assert len({len(text.split()) for text in found}) > 15  # short ones and long ones


def test_every_word_of_the_lexicon_is_used() -> None:
    rng = Random(6)
    used = set()
    for _ in range(3000):
        tree = sentence(rng)
        used |= set(words(english(tree).lower()))
    listed: list[Noun | Adjective] = [*NOUNS.values(), *ADJECTIVES.values()]
    assert {word.english for word in listed} <= used
    assert {
        word.split()[0] for word in (*ADVERBS, *lexicon.CONJUNCTIONS, *lexicon.QUESTIONS)
    } <= used
    assert {verb.past for verb in lexicon.VERBS if verb.frame != "be"} <= used


def test_the_table_of_irregular_words_is_read_as_it_is_meant() -> None:
    assert isinstance(ADVERBS["often"], Adverb)
    pick_up: Verb = VERBS["pick up"]
    assert (pick_up.prefix, pick_up.infinitive, pick_up.first) == ("ab", "holen", "hole")
    assert VERBS["know"].first == "weiß"
    assert (VERBS["get up"].perfect, VERBS["see"].perfect) == ("sein", "haben")
    assert NOUNS["boy"].weak
    assert not NOUNS["man"].weak
    assert isinstance(ME, Pronoun)


def test_held_out_sentences_need_combinations_that_were_never_trained_on() -> None:
    corpus = grammar_corpus(2000, seed=3)
    assert len(corpus.train) == 2000
    assert len(corpus.held_out) > 100
    assert not {text for text, _ in corpus.train} & {text for text, _ in corpus.held_out}
    rng, trees = Random(3), {}
    for _ in range(4000):
        tree = sentence(rng)
        trees[english(tree)] = combinations(tree)
    trained = {pair for text, _ in corpus.train for pair in trees[text]}
    for text, _ in corpus.held_out:
        assert trees[text] - trained


def test_held_out_sentences_are_of_words_that_were_seen() -> None:
    corpus = grammar_corpus(1000, seed=4)
    for side in (0, 1):
        seen = {word.lower() for pair in corpus.train for word in words(pair[side])}
        for pair in corpus.held_out:
            assert {word.lower() for word in words(pair[side])} <= seen


def test_the_same_seed_gives_the_same_corpus() -> None:
    assert grammar_corpus(200, seed=1) == grammar_corpus(200, seed=1)
    assert grammar_corpus(200, seed=1).train != grammar_corpus(200, seed=2).train


# ---- words and numbers -------------------------------------------------------------------------

texts = st.text(st.sampled_from("abÄß .,?!\t'-"), max_size=40)


@given(texts)
def test_splitting_loses_nothing_but_blanks(text: str) -> None:
    assert "".join(words(text)) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Yes, he sleeps.", ["Yes", ",", "he", "sleeps", "."]),
        (
            "He has 3.5 apples, doesn't he?!",
            ["He", "has", "3.5", "apples", ",", "doesn't", "he", "?!"],
        ),
        ("  two   blanks ", ["two", "blanks"]),
        ("", []),
    ],
)
def test_marks_are_words_where_a_blank_follows(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.randoms(use_true_random=False))
def test_words_are_put_together_as_they_were(rng: Random) -> None:
    text = german(sentence(rng))
    assert "".join(with_blank(word) for word in words(text)).strip() == text


def test_words_seen_once_are_not_numbered() -> None:
    assert known_words([["a", "b"], ["b", "c", "a"], ["b"]]) == ("", "", "", "", "b", "a")


def test_a_first_word_is_written_as_inside_a_sentence() -> None:
    language = TargetLanguage.of(
        ["Der Hund schläft.", "Hunde sehen der Katze nach.", "Er sieht Hunde.", "Sie ist Sie."]
    )
    assert language.capital
    assert language.split("Der Hund schläft.") == ["der", "Hund", "schläft", "."]
    assert language.split("Hunde sehen der Katze nach.")[0] == "Hunde"
    assert language.split("Sie ist Sie.")[0] == "Sie"


def test_without_capitals_nothing_is_changed() -> None:
    language = TargetLanguage.of(["der hund.", "Der Hund."])
    assert not language.capital
    assert language.split("Der Hund.")[0] == "Der"


def test_numbers_stand_between_start_and_end() -> None:
    language = TargetLanguage.of(["Er ist da.", "Er ist da."])
    ids = language.ids(["Da ist er.", "Er fehlt."])
    assert [language.words[number] for number in ids[0][1:-1]] == ["da", "ist", "er", "."]
    assert (ids[0][0], ids[0][-1]) == (START, END)
    assert ids[1].tolist()[2] == UNKNOWN


@given(st.lists(st.lists(st.integers(1, 9), max_size=5), max_size=5))
def test_padding_keeps_every_number(rows: list[list[int]]) -> None:
    array = padded([np.array(row, np.int32) for row in rows])
    assert array.shape == (len(rows), max(map(len, rows), default=0))
    assert [[n for n in row if n != PAD] for row in array.tolist()] == rows


# ---- a user's own pairs ------------------------------------------------------------------------


def write(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding=encoding)
    return path


PAIRS = [f"number {n}\tNummer {n}" for n in range(100)]


def test_pairs_are_read_and_one_in_ten_is_held_out(tmp_path: Path) -> None:
    lines = [
        "",
        *PAIRS,
        "number 1\tzweite Lesart",
        "  many \t viele\tfurther columns",
        "x " * 61 + "\tx",
    ]
    corpus = read_pairs(write(tmp_path / "pairs.tsv", lines, "utf-8-sig"), seed=0)
    everything = dict(corpus.train + corpus.held_out)
    assert len(corpus.held_out) == 10
    assert len(corpus.train) == len(everything) - 10 == 91
    assert everything["number 1"] == "Nummer 1"
    assert everything["many"] == "viele"
    assert "pairs.tsv" in corpus.name
    assert read_pairs(tmp_path / "pairs.tsv", seed=1).held_out != corpus.held_out


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*PAIRS, "no tab here"], "line 101: no tab"),
        (["\tnur rechts", *PAIRS], "line 1: an empty sentence"),
        (["left only\t  ", *PAIRS], "line 1: an empty sentence"),
        (PAIRS[:49], "49 different sentences .* fewer than 50"),
        (["same\tgleich"] * 60, "1 different sentences"),
        ([], "0 different sentences"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pairs(write(tmp_path / "pairs.tsv", lines), seed=0)


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_pairs(tmp_path / "pairs.tsv", seed=0)
    with pytest.raises(InputError, match="not UTF-8 at byte 5"):
        read_pairs(write(tmp_path / "pairs.tsv", ["small\xfc\tklein"], "latin-1"), seed=0)
