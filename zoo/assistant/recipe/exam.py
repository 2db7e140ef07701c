"""The exam: 200 held-out questions, and the proof that training never sees one of them.

What is held out: pairs of operands and single numbers (numerals.py), phrasings of facts and of
small talk (marked in the skills), and passages about people and towns that training never names.
"""

import json
import random

import names
import numerals
import skill_arithmetic
import skill_facts
import skill_passages
import skill_small_talk
from turns import HELDOUT, normalise

SEED = 20_26
_FACTS = ([("capital", 14), ("capital_of", 5), ("continent", 4), ("currency", 4), ("language", 4),
           ("state_capital", 3), ("place", 2), ("maker", 3), ("record", 4), ("symbol", 4),
           ("opposite", 4), ("translate", 3), ("young", 1), ("count", 2), ("define", 3)])


def _facts(rng):
    return [skill_facts.make_of(rng, name, HELDOUT) for name, count in _FACTS for _ in range(count)]


def _sums(rng):
    return [skill_arithmetic.make_sum(rng, HELDOUT, op) for op in "+" * 18 + "-" * 14 + "x" * 8]


def _stories(rng):
    return [skill_arithmetic.make_story(rng, HELDOUT) for _ in range(20)]


def _numbers(rng):
    return [skill_arithmetic.make_number(rng, HELDOUT) for _ in range(15)]


def _small_talk(rng):
    return [skill_small_talk.make(rng, HELDOUT)[0] for _ in range(20)]


_SKILLS = [("arithmetic", _sums), ("word problems", _stories), ("numbers", _numbers),
           ("facts", _facts), ("small talk", _small_talk)]


def questions(seed=SEED):
    """200 questions, always the same for a seed: dictionaries as heldout.json holds them."""
    rng = random.Random(seed)
    asked, seen = [], set()

    def take(skill, turns, make_one):
        for turn in turns:
            while normalise(turn[-1].user) in seen:
                turn = make_one()
            seen.add(normalise(turn[-1].user))
            messages = []
            for earlier in turn[:-1]:
                messages += [_said("user", earlier.user), _said("assistant", earlier.answer)]
            messages.append(_said("user", turn[-1].user))
            asked.append({"skill": skill, "messages": messages, "accept": turn[-1].accept})

    for skill, make in _SKILLS:
        take(skill, [[t] for t in make(rng)], lambda: [rng.choice(make(rng))])
    passage = lambda: skill_passages.make(rng, HELDOUT)[1]
    take("passages", [passage() for _ in range(40)], passage)
    remembered = lambda: skill_small_talk.introduction(rng, HELDOUT)
    for _ in range(200 - len(asked)):
        turns = remembered()
        messages = [_said("user", turns[0].user), _said("assistant", turns[0].answer),
                    _said("user", turns[1].user)]
        asked.append({"skill": "memory", "messages": messages, "accept": turns[1].accept})
    return asked


def _said(role, content):
    return {"role": role, "content": content}


class Guard:
    """Stops the recipe when a training conversation holds a question of the exam."""

    def __init__(self):
        self._asked = {_key(item["messages"]) for item in questions()}
        self._names = {name.lower() for name in names.EXAM_PEOPLE + names.EXAM_TOWNS}

    def check(self, turns):
        """Compares the last question and, for what was said earlier, whole conversations."""
        said = [normalise(turn.user) for turn in turns]
        for i, text in enumerate(said):
            assert (text,) not in self._asked, f"exam question in training: {text}"
            assert tuple(said[:i + 1]) not in self._asked, f"exam chat in training: {said[:i + 1]}"
            named = self._names.intersection(text.split())
            assert not named, f"name of the exam in training: {named}"
            shown = numerals.shows_exam_pair(turns[i].answer)
            assert not shown, f"operands of the exam in training: {turns[i].answer}"


def _key(messages):
    return tuple(normalise(m["content"]) for m in messages if m["role"] == "user")


def write(path):
    with open(path, "w", encoding="utf-8") as out:
        lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in questions())
        out.write(f"[\n{lines}\n]\n")
