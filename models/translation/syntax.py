"""Sentences as trees, of which both languages are written: `english.py` and `german.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .words import Adjective, Adverb, Determiner, Form, Noun, Person, Pronoun, Verb


@dataclass(frozen=True)
class NounPhrase:
    determiner: Determiner
    noun: Noun
    plural: bool = False
    adjective: Adjective | None = None
    relative: Clause | None = None
    """A clause whose subject this is: the man who ..."""

    @property
    def person(self) -> Person:
        return Person.THEY if self.plural else Person.HE


Nominal = NounPhrase | Pronoun


@dataclass(frozen=True)
class Clause:
    verb: Verb
    form: Form
    subject: Nominal | None = None
    """None in a relative clause."""

    object: Nominal | None = None
    """The accusative one, or that of a verb with the dative."""

    receiver: NounPhrase | Pronoun | None = None
    """To whom something is given or shown."""

    receiver_last: bool = False
    """Whether English says "gives the book to the man"; German is the same."""

    predicate: Adjective | None = None
    """What the subject is, for the copula."""

    place: NounPhrase | None = None
    """In which, or for a direction into which."""

    adverb: Adverb | None = None
    negated: bool = False


@dataclass(frozen=True)
class Sentence:
    main: Clause
    first: str = ""
    """What opens it instead of the subject: its `adverb`, its `place`, or its `clause`."""

    question: str | None = None
    """A question word, empty where it is answered by yes or no; None for a statement."""

    conjunction: str = ""
    subordinate: Clause | None = None


def combinations(sentence: Sentence) -> set[tuple[str, str]]:
    """The pairs of words, in English, that must be understood together.

    Such are an adjective and its noun, and a verb and the noun that is its object.
    """
    clauses = [sentence.main] + ([sentence.subordinate] if sentence.subordinate else [])
    return {pair for clause in clauses for pair in _pairs(clause)}


def _pairs(clause: Clause) -> Iterator[tuple[str, str]]:
    verb = f"{clause.verb.english} {clause.verb.particle or clause.verb.preposition}".strip()
    if isinstance(clause.object, NounPhrase):
        yield verb, clause.object.noun.english
    for phrase in (clause.subject, clause.object, clause.receiver, clause.place):
        if isinstance(phrase, NounPhrase):
            if phrase.adjective:
                yield phrase.adjective.english, phrase.noun.english
            if phrase.relative:
                yield from _pairs(phrase.relative)
