"""A sentence in English: number, tense, do-support, and the subject before the verb."""

from __future__ import annotations

from .syntax import Clause, Nominal, NounPhrase, Sentence
from .words import Person, Pronoun, Verb

_TO_BE = {"present": ("am", "is", "are"), "past": ("was", "was", "were")}
_AUXILIARIES = {"can", "must", "should", "will"}


def english(sentence: Sentence) -> str:
    main, subordinate = sentence.main, sentence.subordinate
    words: list[str] = []
    added = [sentence.conjunction, *_statement(subordinate)] if subordinate else []
    match sentence.first:
        case "clause":
            words += [*added, ","]
        case "adverb" if main.adverb:
            words.append(main.adverb.english)
        case "place":
            words += _place(main)
    if sentence.question is None:
        words += _statement(main, sentence.first)
    else:
        words += [sentence.question] * bool(sentence.question) + _question(main)
    if sentence.first != "clause":
        words += added
    text = " ".join(words).replace(" ,", ",").replace("can not", "cannot")
    return text[0].upper() + text[1:] + ("." if sentence.question is None else "?")


def _statement(clause: Clause, first: str = "") -> list[str]:
    """The clause, its subject in front, without what is `first` already."""
    return [*_subject(clause), *_verb(clause, asked=False), *_rest(clause, first)]


def _question(clause: Clause) -> list[str]:
    auxiliary, *verb = _verb(clause, asked=True)
    return [auxiliary, *_subject(clause), *verb, *_rest(clause, "")]


def _subject(clause: Clause) -> list[str]:
    return _nominal(clause.subject, subject=True) if clause.subject else []


def _nominal(nominal: Nominal, *, subject: bool = False) -> list[str]:
    if isinstance(nominal, Pronoun):
        return [nominal.subject if subject else nominal.object]
    determiner, noun = nominal.determiner, nominal.noun
    article = determiner.english_plural if nominal.plural else determiner.english
    words = [nominal.adjective.english] if nominal.adjective else []
    words.append(noun.english_plural if nominal.plural else noun.english)
    if article == "a" and words[0][0] in "aeiou":
        article = "an"
    relative = ["who", *_relative(nominal)] if nominal.relative else []
    return [article, *words, *relative]


def _relative(nominal: NounPhrase) -> list[str]:
    assert nominal.relative is not None
    return [
        *_verb(nominal.relative, asked=False, person=nominal.person),
        *_rest(nominal.relative, ""),
    ]


def _verb(clause: Clause, *, asked: bool, person: Person | None = None) -> list[str]:
    """Auxiliary, `not`, the adverb that stands before a verb, and the verb.

    The auxiliary is there where it must be: in questions, where negated, with most modal verbs.
    """
    if person is None:
        assert clause.subject is not None
        person = clause.subject.person
    verb, form = clause.verb, clause.form
    auxiliary: str = ""
    if form in _AUXILIARIES:
        auxiliary, rest = form, [verb.english]
    elif verb.frame == "be" and form != "want":
        auxiliary, rest = _TO_BE[form][person], []
    elif asked or clause.negated:
        auxiliary = "did" if form == "past" else ("do", "does", "do")[person]
        rest = ["want", "to", verb.english] if form == "want" else [verb.english]
    elif form == "want":
        rest = [("want", "wants", "want")[person], "to", verb.english]
    else:
        rest = [verb.past if form == "past" else _present(verb, person)]
    words = [auxiliary] * bool(auxiliary) + ["not"] * clause.negated
    if clause.adverb and clause.adverb.middle:
        words.append(clause.adverb.english)
    return words + rest


def _present(verb: Verb, person: Person) -> str:
    word = verb.english
    if person is not Person.HE:
        return word
    if word.endswith(("s", "sh", "ch", "x", "o")):
        return f"{word}es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"


def _rest(clause: Clause, first: str) -> list[str]:
    """What follows the verb, without what is `first` already."""
    verb = clause.verb
    words = [clause.predicate.english] if clause.predicate else []
    thing = _nominal(clause.object) if clause.object else []
    receiver = _nominal(clause.receiver) if clause.receiver else []
    if clause.receiver_last:
        words += [*thing, "to", *receiver]
    elif isinstance(clause.object, Pronoun):
        words += [*receiver, verb.preposition, *thing, verb.particle]
    else:
        words += [*receiver, verb.preposition, verb.particle, *thing]
    if first != "place":
        words += _place(clause)
    if clause.adverb and not clause.adverb.middle and first != "adverb":
        words.append(clause.adverb.english)
    return [word for word in words if word]


def _place(clause: Clause) -> list[str]:
    if clause.place is None:
        return []
    return ["into" if clause.verb.frame == "into" else "in", *_nominal(clause.place)]
