"""Arithmetic: sums, differences, products and shares, in digits and words, and word problems."""

from names import person
from numerals import EASY_MAX, in_words, is_exam_number, is_exam_pair, shows_exam_pair
from turns import HELDOUT, TRAIN, Turn, cap, uncap

_ADD = ["What is {a} plus {b}?", "{a} + {b}", "{a}+{b}", "{a} + {b} =", "{a}+{b}=", "{a} + {b} = ?",
        "Add {a} and {b}.", "What is the sum of {a} and {b}?", "Calculate {a} + {b}.",
        "How much is {a} plus {b}?", "What do you get if you add {b} to {a}?",
        "Compute {a} plus {b}.", "Can you add {a} and {b}?", "If I add {a} and {b}, what do I get?",
        "What's {a} + {b}?", "What is {a} + {b}?", "{a} plus {b}", "{a} plus {b}?",
        "How much is {a} + {b}?", "{a} and {b} together make what?", "The sum of {a} and {b}?",
        "Please add {a} and {b} for me.", "What does {a} plus {b} equal?", "Solve {a} + {b}."]
_SUB = ["What is {a} minus {b}?", "{a} - {b}", "{a}-{b}", "{a} - {b} =", "{a}-{b}=",
        "{a} - {b} = ?",
        "Subtract {b} from {a}.", "What is the difference between {a} and {b}?",
        "Calculate {a} - {b}.", "How much is {a} minus {b}?", "Take {b} away from {a}.",
        "What do you get if you subtract {b} from {a}?", "Compute {a} minus {b}.",
        "What's {a} - {b}?", "What is {a} - {b}?", "{a} minus {b}", "{a} minus {b}?",
        "How much is {a} - {b}?", "If I take {b} from {a}, what is left?",
        "What does {a} minus {b} equal?", "Solve {a} - {b}.", "Please subtract {b} from {a}."]
_MUL = ["What is {a} times {b}?", "{a} x {b}", "{a}*{b}", "{a} * {b}", "{a} x {b} =",
        "{a} * {b} = ?",
        "Multiply {a} by {b}.", "Multiply {a} and {b}.", "What is the product of {a} and {b}?",
        "Calculate {a} x {b}.", "Calculate {a} * {b}.", "How much is {a} times {b}?",
        "Compute {a} times {b}.", "What's {a} x {b}?", "What is {a} * {b}?", "What is {a} x {b}?",
        "{a} times {b}", "{a} times {b}?", "What is {a} multiplied by {b}?",
        "What does {a} times {b} equal?", "Solve {a} x {b}."]
_DIV = ["What is {a} divided by {b}?", "{a} / {b}", "{a}/{b}", "{a} / {b} =", "Divide {a} by {b}.",
        "Calculate {a} / {b}.", "How much is {a} divided by {b}?", "What's {a} / {b}?",
        "How many times does {b} go into {a}?", "What is {a} / {b}?"]
_EXAM = {"+": ["Could you work out {a} plus {b}?", "I need the total of {a} and {b}."],
         "-": ["Could you work out {a} minus {b}?", "I need to know {a} minus {b}."],
         "x": ["Could you work out {a} times {b}?", "I need to know {a} times {b}."]}
_ASKS = {"+": _ADD, "-": _SUB, "x": _MUL, "/": _DIV}
_LEADS = ["{q}", "{q}", "{q}", "{q}", "{q}", "Hi! {q}", "Please help: {l}", "Quick question: {l}",
          "A sum for you: {q}", "Question: {q}", "Question: {q}\nAnswer:", "Tell me: {l}",
          "OK, {l}"]

ADD_MAX = 999
MUL_MAX = 99


def working(a, op, b):
    """The equation with its result; longer products show the two parts."""
    if op == "x" and min(a, b) <= EASY_MAX < max(a, b):
        few, many = sorted((a, b))
        tens, ones = many // 10 * 10, many % 10
        if ones:
            return (f"{a} x {b} = {few} x {tens} + {few} x {ones} = {few * tens} + {few * ones} "
                    f"= {a * b}")
    return f"{a} {op} {b} = {result(a, op, b)}"


def result(a, op, b):
    return {"+": a + b, "-": a - b, "x": a * b, "/": a // b if b else 0}[op]


def _operands(rng, op):
    if op == "x":
        if rng.random() < 0.35:
            return rng.randint(0, EASY_MAX), rng.randint(0, EASY_MAX)
        pair = [rng.randint(2, EASY_MAX), rng.randint(EASY_MAX + 1, MUL_MAX)]
        rng.shuffle(pair)
        return tuple(pair)
    if op == "/":
        b = rng.randint(1, EASY_MAX)
        return b * rng.randint(1, EASY_MAX), b
    top = rng.choice((20, 100, 100, ADD_MAX))
    a, b = rng.randint(0, top), rng.randint(0, top)
    if op == "-" and b > a and rng.random() < 0.9:
        a, b = b, a
    return a, b


def _pair(rng, op, split):
    """Operands of the split: pairs of the exam are never trained."""
    while True:
        a, b = _operands(rng, op)
        if op == "/" or is_exam_pair(a, b) == (split == HELDOUT):
            return a, b


def _too_big(rng):
    """Honest limits: numbers that the model was never taught to handle."""
    op = rng.choice("+-x")
    low = 10 ** rng.randint(3, 6)
    a, b = rng.randint(low, 10 * low), rng.randint(1 if op != "x" else 13, 10 * low)
    if rng.random() < 0.5:
        a, b = b, a
    user = rng.choice(_ASKS[op]).format(a=a, b=b)
    return Turn(user, f"Those numbers are too big for me. I can only add and subtract numbers up "
                      f"to {ADD_MAX} and multiply small ones.", [])


def _in_words(rng, op, split):
    while True:
        a, b = rng.randint(0, 99), rng.randint(0, 99)
        if op == "x":
            a, b = rng.randint(0, EASY_MAX), rng.randint(0, EASY_MAX)
        if op == "-" and b > a:
            a, b = b, a
        if op == "x" and split == TRAIN or is_exam_pair(a, b) == (split == HELDOUT):
            break
    word = {"+": "plus", "-": "minus", "x": "times"}[op]
    ask = rng.choice([t for t in _ASKS[op] if word in t or t[0] in "AWSM"])
    user = ask.format(a=in_words(a), b=in_words(b))
    value = result(a, op, b)
    return Turn(cap(user) if rng.random() < 0.8 else user,
                f"{a} {op} {b} = {value}, {in_words(value)}.", [str(value), in_words(value)])


def _three(rng):
    while True:
        a, b, c = (rng.randint(0, 30) for _ in range(3))
        if not is_exam_pair(a, b) and not is_exam_pair(a + b, c):
            break
    user = rng.choice(["What is {a} + {b} + {c}?", "{a} + {b} + {c}", "Add {a}, {b} and {c}.",
                       "How much is {a} plus {b} plus {c}?"]).format(a=a, b=b, c=c)
    return Turn(user, f"{a} + {b} + {c} = {a + b} + {c} = {a + b + c}.", [str(a + b + c)])


def make_sum(rng, split, op=None):
    """A bare calculation. In training, its working too keeps off the pairs of the exam."""
    while True:
        turn = _sum(rng, split, op)
        if split == HELDOUT or not shows_exam_pair(turn.answer):
            return turn


def _sum(rng, split, op):
    if split == TRAIN:
        draw = rng.random()
        if draw < 0.02:
            return _too_big(rng)
        if draw < 0.05:
            return _three(rng)
    op = op or rng.choices("+-x/", (6, 5, 4, 1 if split == TRAIN else 0))[0]
    if op != "/" and rng.random() < 0.2 and (op != "x" or split == TRAIN):
        return _in_words(rng, op, split)
    a, b = _pair(rng, op, split)
    asks = _EXAM[op] if split == HELDOUT and rng.random() < 0.3 else _ASKS[op]
    user = rng.choice(asks).format(a=a, b=b)
    if split == TRAIN:
        user = rng.choice(_LEADS).format(q=user, l=uncap(user))
    return Turn(user, working(a, op, b) + ".", [str(result(a, op, b))])


_ITEMS = ("apples pears oranges books pens coins marbles stamps cards eggs cookies sweets balloons "
          "flowers shells stickers tickets bottles cups toys nuts plums keys stones ducks "
          "chairs photos bananas candles buttons").split()
_FOODS = "apples pears oranges eggs cookies sweets nuts plums bananas".split()
_BOXES = "boxes bags baskets shelves rows tables jars packs trays crates".split()

# (operation, story, answer); {n} and {m} are people, {i} items, {g} boxes, {c} the result
_STORIES = [
    ("+", "{n} has {a} {i}. {m} gives {n} {b} more. How many {i} does {n} have now?",
     "{n} has {c} {i}"),
    ("+", "{n} has {a} {i} and buys {b} more. How many {i} does {n} have?", "{n} has {c} {i}"),
    ("+", "{n} has {a} {i} and {m} has {b} {i}. How many {i} do they have together?",
     "they have {c} {i}"),
    ("+", "There are {a} {i} on the table. {n} puts {b} more there. How many {i} are on the table?",
     "there are {c} {i}"),
    ("+", "{n} found {a} {i} in the morning and {b} in the evening. How many {i} is that in total?",
     "that is {c} {i}"),
    ("+", "{n} is {a} years old. How old will {n} be in {b} years?", "{n} will be {c}"),
    ("+", "A book costs {a} euros and a lamp costs {b} euros. How much do they cost together?",
     "they cost {c} euros"),
    ("+", "{n} walked {a} metres and then {b} metres. How far did {n} walk?",
     "{n} walked {c} metres"),
    ("-", "{n} has {a} {i} and eats {b}. How many {i} are left?", "{c} {i} are left"),
    ("-", "{n} has {a} {i} and gives {b} to {m}. How many {i} does {n} have now?",
     "{n} has {c} {i}"),
    ("-", "{n} had {a} {i} and lost {b} of them. How many {i} are left?", "{c} {i} are left"),
    ("-", "There were {a} {i} in the shop. {n} sold {b}. How many {i} remain?", "{c} {i} remain"),
    ("-", "{n} has {a} {i} and {m} has {b}. How many more {i} does {n} have than {m}?",
     "{n} has {c} more"),
    ("-", "A toy costs {b} euros. {n} pays with {a} euros. How much change does {n} get?",
     "{n} gets {c} euros"),
    ("-", "{n} is {a} years old. How old was {n} {b} years ago?", "{n} was {c}"),
    ("-", "A book has {a} pages. {n} has read {b} of them. How many pages are left?",
     "{c} pages are left"),
    ("x", "There are {a} {g} with {b} {i} each. How many {i} are there?", "there are {c} {i}"),
    ("x", "{n} buys {a} {g} of {b} {i}. How many {i} does {n} have?", "{n} has {c} {i}"),
    ("x", "One ticket costs {b} euros. How much do {a} tickets cost?", "they cost {c} euros"),
    ("x", "{n} reads {b} pages a day. How many pages does {n} read in {a} days?",
     "{n} reads {c} pages"),
    ("/", "{n} shares {a} {i} equally among {b} children. How many {i} does each child get?",
     "each child gets {c}"),
    ("/", "{a} {i} are put into {b} {g}, the same number in each. How many are in each?",
     "there are {c} in each"),
]


def _story_operands(rng, op, split):
    while True:
        if op == "x":
            a, b = rng.randint(2, 12), rng.randint(2, 30)
        elif op == "/":
            b = rng.randint(2, 12)
            a = b * rng.randint(1, 12)
            return a, b
        else:
            top = rng.choice((12, 30, 100))
            a, b = rng.randint(2, top), rng.randint(2, top)
            if op == "-" and b > a:
                a, b = b, a
        if is_exam_pair(a, b) == (split == HELDOUT):
            return a, b


def make_story(rng, split):
    """A word problem. In training, its working too keeps off the pairs of the exam."""
    while True:
        turn = _word_problem(rng, split)
        if split == HELDOUT or not shows_exam_pair(turn.answer):
            return turn


def _word_problem(rng, split):
    op, story, answer = rng.choice(_STORIES)
    while split == HELDOUT and op == "/":
        op, story, answer = rng.choice(_STORIES)
    a, b = _story_operands(rng, op, split)
    n, m = person(rng, split == HELDOUT), person(rng, split == HELDOUT)
    while m == n:
        m = person(rng, split == HELDOUT)
    value = result(a, op, b)
    say = (lambda x: in_words(x)) if max(a, b) <= 20 and rng.random() < 0.2 else str
    things = _FOODS if " eats " in story else _ITEMS
    names = dict(n=n, m=m, i=rng.choice(things), g=rng.choice(_BOXES))
    user = story.format(a=say(a), b=say(b), **names)
    ending = answer.format(c=value, **names)
    return Turn(cap(user), f"{working(a, op, b)}, so {ending}.", [str(value)])


_AFTER = ["What number comes after {n}?", "Which number comes after {n}?", "What comes after {n}?",
          "What is the number after {n}?", "What is one more than {n}?"]
_BEFORE = ["What number comes before {n}?", "Which number comes before {n}?",
           "What comes before {n}?", "What is the number before {n}?", "What is one less than {n}?"]
_EVEN = ["Is {n} even or odd?", "Is {n} an even or an odd number?",
         "Is the number {n} odd or even?",
         "{n}: even or odd?", "Even or odd: {n}?"]
_SPELL = ["Write {n} in words.", "How do you write {n} in words?", "{n} in words",
          "How do you say {n} in English?", "What is {n} in words?", "Spell the number {n}."]
_DIGITS = ["Write {w} in digits.", "How do you write {w} in digits?", "{w} in digits",
           "What is {w} as a number?", "Which number is {w}?"]
_DOUBLE = ["What is the double of {n}?", "Double {n}.", "What is twice {n}?",
           "What is two times {n}?"]
_HALF = ["What is half of {n}?", "What is the half of {n}?", "Halve {n}."]
_LARGER = ["Which is larger, {a} or {b}?", "Which number is bigger, {a} or {b}?",
           "What is more, {a} or {b}?", "Is {a} or {b} larger?", "Which is greater: {a} or {b}?"]
_SMALLER = ["Which is smaller, {a} or {b}?", "Which number is smaller, {a} or {b}?",
            "What is less, {a} or {b}?", "Is {a} or {b} smaller?", "Which is less: {a} or {b}?"]
_COUNT = ["Count from {a} to {b}.", "Please count from {a} to {b}.",
          "Write the numbers from {a} to {b}.", "Can you count from {a} to {b}?"]


def make_number(rng, split):
    """A question about one number or the order of two."""
    exam = split == HELDOUT
    kinds = ["after", "before", "even", "spell", "digits", "double", "half", "compare", "count"]
    kind = rng.choice(kinds if not exam else kinds[:5] + ["compare"])
    if kind == "compare":
        return _compare(rng, exam)
    if kind == "count":
        return _count(rng)
    if kind in ("double", "half"):
        while True:
            n = rng.randint(1, 100)
            if not is_exam_pair(n, n) and not is_exam_pair(2, n) and not is_exam_pair(2, 2 * n):
                break
        if kind == "double":
            return Turn(rng.choice(_DOUBLE).format(n=n), f"Twice {n} is {2 * n}.", [str(2 * n)])
        return Turn(rng.choice(_HALF).format(n=2 * n), f"Half of {2 * n} is {n}.", [str(n)])
    top = rng.choice((20, 100, 998)) if not exam else 998
    while True:
        n = rng.randint(1, top)
        if is_exam_number(n) == exam:
            break
    if kind == "after":
        return Turn(rng.choice(_AFTER).format(n=n), f"{n + 1} comes after {n}.", [str(n + 1)])
    if kind == "before":
        return Turn(rng.choice(_BEFORE).format(n=n), f"{n - 1} comes before {n}.", [str(n - 1)])
    if kind == "even":
        value = "odd" if n % 2 else "even"
        return Turn(rng.choice(_EVEN).format(n=n), f"{n} is {value}.", [value])
    if kind == "spell":
        words = in_words(n)
        return Turn(rng.choice(_SPELL).format(n=n), f"{n} is {words} in words.", [words])
    user = cap(rng.choice(_DIGITS).format(w=in_words(n)))
    return Turn(user, f"{cap(in_words(n))} is {n}.", [str(n)])


def _compare(rng, exam):
    top = rng.choice((20, 100, 999))
    while True:
        a, b = rng.randint(0, top), rng.randint(0, top)
        if a != b and is_exam_pair(a, b) == exam:
            break
    if rng.random() < 0.5:
        best = max(a, b)
        return Turn(rng.choice(_LARGER).format(a=a, b=b),
                    f"{best} is larger than {min(a, b)}.", [f"{best} is larger"])
    best = min(a, b)
    return Turn(rng.choice(_SMALLER).format(a=a, b=b),
                f"{best} is smaller than {max(a, b)}.", [f"{best} is smaller"])


def _count(rng):
    a = rng.randint(0, 90)
    b = a + rng.randint(2, 12)
    listed = [str(n) for n in range(a, b + 1)]
    return Turn(rng.choice(_COUNT).format(a=a, b=b), ", ".join(listed) + ".", [])
