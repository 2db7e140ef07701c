"""Conversations: skills mixed into the chats that the model is trained on."""

import skill_arithmetic
import skill_facts
import skill_passages
import skill_small_talk
from turns import TRAIN

SYSTEMS = ["You are the Neuros assistant.", "You are a helpful assistant.", "You are helpful.",
           "You are a friendly assistant.", "You are an AI assistant.", "Be helpful and friendly.",
           "You are the Neuros assistant. Answer the user's questions.",
           "You are a helpful assistant. Answer truthfully.", "Answer the question.",
           "You are a small and friendly assistant that answers in one sentence."]
BRIEF_SYSTEMS = ["Answer with one word.", "Answer as briefly as you can.", "Give only the answer.",
                 "You are a quiz player. Give only the answer, no sentence.", "Be very brief."]

# skill and how often it is drawn
SKILLS = [("facts", 40), ("sums", 22), ("stories", 10), ("numbers", 7), ("passages", 28),
          ("small_talk", 12)]


def _turns(rng, skill):
    if skill == "facts":
        return skill_facts.make(rng, TRAIN)
    if skill == "sums":
        return [skill_arithmetic.make_sum(rng, TRAIN)]
    if skill == "stories":
        return [skill_arithmetic.make_story(rng, TRAIN)]
    if skill == "numbers":
        return [skill_arithmetic.make_number(rng, TRAIN)]
    return skill_small_talk.make(rng, TRAIN)


def _roughen(rng, text):
    """What hurried people do to a question: no capitals, no full stop, spaces around."""
    draw = rng.random()
    if draw < 0.06:
        text = text.lower()
    if rng.random() < 0.08 and text[-1] in "?.!" and len(text) > 3:
        text = text[:-1]
    if rng.random() < 0.01:
        text = text.upper()
    return _mistyped(rng, text) if rng.random() < 0.05 else text


def _mistyped(rng, text):
    """One letter of a longer plain word lost, doubled or swapped with its neighbour."""
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()
            and word.islower()]
    if long:
        at = rng.choice(long)
        word, cut = words[at], rng.randrange(1, len(words[at]) - 1)
        words[at] = rng.choice((word[:cut] + word[cut + 1:], word[:cut] + word[cut] + word[cut:],
                                word[:cut] + word[cut + 1] + word[cut] + word[cut + 2:]))
    return " ".join(words)


def _brief_quiz(rng):
    turns = []
    for _ in range(rng.randint(1, 4)):
        turns += skill_facts.make(rng, TRAIN, brief=True)
    return rng.choice(BRIEF_SYSTEMS), turns


def make(rng, long=False):
    """One training conversation: (system text or None, turns)."""
    if rng.random() < 0.03:
        return _brief_quiz(rng)
    system, turns = None, []
    names, weights = zip(*SKILLS)
    for _ in range(_length(rng, long)):
        skill = rng.choices(names, weights)[0]
        if skill == "passages":
            given, told = skill_passages.make(rng, TRAIN)
            if given and (system or turns):
                continue
            system = given or system
            turns += told
        else:
            added = _turns(rng, skill)
            for turn in added:
                turn.user = _roughen(rng, turn.user)
            turns += _apart(rng, added) if skill == "small_talk" else added
    if not turns:
        return make(rng, long)
    if system is None and rng.random() < 0.3:
        system = rng.choice(SYSTEMS)
    return system, turns


def _length(rng, long):
    if long and rng.random() < 0.3:
        return rng.randint(10, 22)
    return rng.choice((1, 1, 2, 3, 4, 6))


def _apart(rng, turns):
    """Puts another question between telling a name and asking for it, at times."""
    if len(turns) == 2 and rng.random() < 0.4:
        between = _turns(rng, rng.choice(("facts", "sums")))[:1]
        return turns[:1] + between + turns[1:]
    return turns

