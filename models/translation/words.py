"""The kinds of words that the grammar knows: what is listed of each, and what a form depends on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Kind = Literal["person", "animal", "thing", "place"]
Frame = Literal["alone", "into", "object", "dative", "both", "that", "be"]
"""What a verb takes: nothing, a direction, an accusative object, a dative one, both, a clause with
"that", or (the copula) an adjective."""

Form = Literal["present", "past", "can", "must", "should", "want", "will"]
"""Tense of a clause, or its modal verb."""


class Gender(IntEnum):
    """The column of a declension; the plural, where gender does not matter, is the last one."""

    MASCULINE = 0
    FEMININE = 1
    NEUTER = 2
    PLURAL = 3


class Person(IntEnum):
    """The persons whose verb forms differ; the first and third person plural have the same."""

    I = 0  # noqa: E741 -- the word itself
    HE = 1
    THEY = 2


@dataclass(frozen=True)
class Noun:
    english: str
    english_plural: str
    german: str
    german_plural: str
    gender: Gender
    kind: Kind
    weak: bool
    """Whether accusative and dative singular are spelled as the plural: der Junge, den Jungen."""


@dataclass(frozen=True)
class Adjective:
    english: str
    german: str
    stem: str
    """What endings are added to: `dunkl` of dunkel."""

    kinds: frozenset[Kind]


@dataclass(frozen=True)
class Determiner:
    english: str
    english_plural: str
    german: str
    """The stem; for `the` the dictionary form, which declines in its own way."""

    declension: Literal["der", "dieser", "ein", "zwei"]


@dataclass(frozen=True)
class Pronoun:
    subject: str
    object: str
    german: tuple[str, str, str]
    """Nominative, accusative, dative."""

    person: Person


@dataclass(frozen=True)
class Verb:
    frame: Frame
    kinds: frozenset[Kind]
    """What its object, or its direct object, may be."""

    english: str
    past: str
    particle: str
    """`up` of pick up: after an object that is a pronoun, before any other."""

    preposition: str
    """`for` of look for: always before the object."""

    infinitive: str
    first: str
    third: str
    participle: str
    prefix: str
    """What separates: `auf` of aufwecken. The other forms are given without it."""

    perfect: Literal["haben", "sein"]


@dataclass(frozen=True)
class Adverb:
    english: str
    german: str
    forms: frozenset[Form]
    """What it can be said with."""

    middle: bool = False
    """Whether English puts it before the verb: often, always, never."""
