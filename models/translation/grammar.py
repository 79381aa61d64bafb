"""Sentences of the grammar, drawn at random: every draw is one that can be said.

What would be odd or ambiguous is not drawn: a letter is not hungry, a clause is negated once at
most, and "must" not at all, because "must not" is not German's "nicht müssen".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from .lexicon import (
    ADJECTIVES,
    ADVERBS,
    ANIMALS,
    CONJUNCTIONS,
    EVERY,
    NO,
    NUMBERS,
    PERSONS,
    PLACES,
    POSSESSIVES,
    PRONOUNS,
    QUESTIONS,
    THE,
    THINGS,
    THIS,
    VERBS,
    A,
)
from .syntax import Clause, Nominal, NounPhrase, Sentence
from .words import Adjective, Adverb, Determiner, Form, Frame, Kind, Pronoun, Verb

Item = TypeVar("Item")
Weighted = Sequence[tuple[Item, int]]

_NOUNS = {"person": PERSONS, "animal": ANIMALS, "thing": THINGS, "place": PLACES}
_FORMS: Weighted[Form] = (
    ("present", 6),
    ("past", 5),
    ("can", 1),
    ("must", 1),
    ("should", 1),
    ("want", 1),
    ("will", 2),
)
_FRAMES: Weighted[Frame] = (
    ("alone", 4),
    ("into", 2),
    ("object", 9),
    ("dative", 4),
    ("both", 4),
    ("be", 2),
)
_DEFINITE: Weighted[Determiner] = ((THE, 8), (THIS, 3), *((own, 1) for own in POSSESSIVES))
_SINGLE: Weighted[Determiner] = (*_DEFINITE, (A, 6))
_ANY: Weighted[Determiner] = (*_SINGLE, *((number, 1) for number in NUMBERS), (EVERY, 1), (NO, 1))


def sentence(rng: Random) -> Sentence:
    """A statement, a question, or two clauses joined by a conjunction."""
    kind = rng.random()
    if kind < 0.62:
        main = _clause(rng, relative=rng.random() < 0.2)
        return Sentence(main, first=_opening(rng, main) if rng.random() < 0.4 else "")
    if kind < 0.76:
        word = rng.choice(["", "", "", *QUESTIONS])
        main = _clause(rng)
        if word == "when" and main.adverb and not main.adverb.middle:
            main = replace(main, adverb=None)
        return Sentence(main, question=word)
    if kind < 0.86:
        return Sentence(_says(rng), conjunction="that", subordinate=_clause(rng))
    conjunction = rng.choice([word for word in CONJUNCTIONS if word != "that"])
    first = "clause" if rng.random() < 0.4 else ""
    return Sentence(_clause(rng), first, None, conjunction, _clause(rng))


def _opening(rng: Random, clause: Clause) -> str:
    """What of the clause may stand before its subject; empty if nothing may."""
    found = ["place"] if clause.place else []
    if clause.adverb and not clause.adverb.middle:
        found.append("adverb")
    return rng.choice(found) if found else ""


def _clause(rng: Random, *, relative: bool = False) -> Clause:
    """A clause; where `relative`, its subject has a relative clause if it is a person."""
    while True:
        verb = _verb(rng, _weighted(rng, _FRAMES))
        negated = rng.random() < 0.15
        subject = _subject(rng, _DEFINITE if negated else _ANY)
        if relative and isinstance(subject, NounPhrase) and subject.noun.kind == "person":
            subject = replace(subject, relative=_relative(rng))
        clause = Clause(verb, _weighted(rng, _FORMS), subject, negated=negated)
        clause = _with_adverbials(rng, _with_objects(rng, clause))
        if _is_sayable(clause):
            return clause


def _is_sayable(clause: Clause) -> bool:
    phrases = (clause.subject, clause.object, clause.receiver, clause.place)
    negations = [
        clause.negated,
        clause.adverb is not None and clause.adverb.english == "never",
        *(isinstance(phrase, NounPhrase) and phrase.determiner is NO for phrase in phrases),
    ]
    return sum(negations) <= (0 if clause.form == "must" else 1)


def _relative(rng: Random) -> Clause:
    verb = _verb(rng, rng.choice(["alone", "object", "dative"]))
    return _with_objects(rng, Clause(verb, rng.choice(["present", "past"])))


def _says(rng: Random) -> Clause:
    form: Form = rng.choice(["present", "past"])
    return Clause(_verb(rng, "that"), form, _subject(rng, _DEFINITE, ("person",)))


def _with_objects(rng: Random, clause: Clause) -> Clause:
    """The clause with what its verb takes.

    Where it is negated, "a" is an object's only: "nicht ein" is "kein". What counts or generalises
    is left out there, since German's word order would depend on what is meant.
    """
    verb = clause.verb
    objects = _SINGLE if clause.negated else _ANY
    match verb.frame:
        case "object" | "dative":
            if "person" in verb.kinds and rng.random() < 0.25:
                return replace(clause, object=_other_pronoun(rng, clause.subject))
            return replace(clause, object=_phrase(rng, rng.choice(sorted(verb.kinds)), objects))
        case "both":
            receiver: Nominal = _phrase(rng, "person", _DEFINITE if clause.negated else _ANY)
            if rng.random() < 0.3:
                receiver = _other_pronoun(rng, clause.subject)
            thing = _phrase(rng, rng.choice(sorted(verb.kinds)), objects)
            last = rng.random() < 0.4
            return replace(clause, object=thing, receiver=receiver, receiver_last=last)
        case "into":
            return replace(clause, place=_place(rng, clause))
        case "be":
            kind = clause.subject.noun.kind if isinstance(clause.subject, NounPhrase) else "person"
            return replace(clause, predicate=rng.choice(_adjectives(kind)))
    return clause


def _with_adverbials(rng: Random, clause: Clause) -> Clause:
    if clause.verb.frame in {"alone", "object", "dative"} and rng.random() < 0.2:
        clause = replace(clause, place=_place(rng, clause))
    if rng.random() < 0.3:
        clause = replace(clause, adverb=_adverb(rng, clause))
    return clause


def _place(rng: Random, clause: Clause) -> NounPhrase:
    return replace(_phrase(rng, "place", _DEFINITE if clause.negated else _SINGLE), plural=False)


def _adverb(rng: Random, clause: Clause) -> Adverb:
    return rng.choice(
        [
            adverb
            for adverb in ADVERBS
            if clause.form in adverb.forms and not (clause.negated and adverb.middle)
        ]
    )


def _subject(
    rng: Random,
    determiners: Weighted[Determiner],
    kinds: tuple[Kind, ...] = ("person", "person", "animal"),
) -> Nominal:
    if rng.random() < 0.3:
        return rng.choice(PRONOUNS)
    return _phrase(rng, rng.choice(kinds), determiners)


def _other_pronoun(rng: Random, subject: Nominal | None) -> Pronoun:
    """Not the subject once more, and not "us" where that is "I"."""
    taken = {subject.subject} if isinstance(subject, Pronoun) else set()
    if taken & {"I", "we"}:
        taken = {"I", "we"}
    return rng.choice([pronoun for pronoun in PRONOUNS if pronoun.subject not in taken])


def _phrase(rng: Random, kind: Kind, determiners: Weighted[Determiner]) -> NounPhrase:
    """A noun with its article and perhaps an adjective."""
    noun = rng.choice(_NOUNS[kind])
    determiner = _weighted(rng, determiners)
    both = determiner.english and determiner.english_plural
    plural = rng.random() < 0.3 if both else not determiner.english
    adjective = rng.choice(_adjectives(kind)) if rng.random() < 0.4 else None
    return NounPhrase(determiner, noun, plural, adjective)


def _adjectives(kind: Kind) -> list[Adjective]:
    return [adjective for adjective in ADJECTIVES if kind in adjective.kinds]


def _verb(rng: Random, frame: Frame) -> Verb:
    return rng.choice([verb for verb in VERBS if verb.frame == frame])


def _weighted(rng: Random, items: Weighted[Item]) -> Item:
    return rng.choices([item for item, _ in items], [weight for _, weight in items])[0]
