"""What every skill produces: single turns, and small helpers to word them."""

from dataclasses import dataclass, field

TRAIN = "train"
HELDOUT = "heldout"

_QUESTION_STARTS = ("what which who where when how why on in is are do does did can could if "
                    "name tell the add").split()


@dataclass
class Turn:
    """One question and its answer. `accept` lists strings of which a right answer holds one."""

    user: str
    answer: str
    accept: list = field(default_factory=list)


def rows(table):
    """The fields of each line of a facts table."""
    return [line.split("|") for line in table.strip().splitlines()]


def cap(text):
    return text[:1].upper() + text[1:]


def uncap(text):
    """Lower-cases the first letter of a question, but never that of a name."""
    first = text.split(" ", 1)[0]
    known = first.lower().split("'")[0] in _QUESTION_STARTS
    return text[:1].lower() + text[1:] if known else text


def bare(value):
    """A value without its article, as a right answer may give it."""
    for article in ("the ", "a ", "an "):
        if value.startswith(article):
            return value[len(article):]
    return value


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def normalise(text):
    """Lower-case words and numbers only, joined by single spaces: for comparing questions."""
    kept = [c if c.isalnum() or c in "+-*/=" else " " for c in text.lower()]
    return " ".join("".join(kept).split())


def is_right(answer, accept):
    """Whether an answer holds one of the accepted strings as whole words."""
    answer = answer.lower().strip()
    for want in accept:
        want = want.lower().strip()
        at = answer.find(want)
        while at >= 0:
            before = answer[at - 1:at]
            after = answer[at + len(want):at + len(want) + 1]
            if not before.isalnum() and not after.isalnum():
                return True
            at = answer.find(want, at + 1)
    return False
