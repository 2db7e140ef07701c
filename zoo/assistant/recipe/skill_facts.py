"""Facts: all those of the tables, in many phrasings. Some phrasings are kept for the exam."""

from dataclasses import dataclass, field

import facts_nature as nature
import facts_words as words
import facts_world as world
from names import invented_word
from turns import HELDOUT, TRAIN, Turn, article, bare, cap, rows, uncap

# {np} is a noun phrase such as "the capital of France"
FRAMES = {
    TRAIN: [
        "What is {np}?", "What is {np}?", "What is {np}", "What's {np}?", "what's {np}",
        "Tell me {np}.", "Please tell me {np}.", "Can you tell me {np}?",
        "Could you tell me {np}?", "Could you please tell me {np}?", "Do you know {np}?",
        "I want to know {np}.", "I would like to know {np}.", "I'd like to know {np}.",
        "Give me {np}.", "Give me {np}, please.", "Could you give me {np}?", "Name {np}.",
        "Please name {np}.", "Can you name {np}?", "{Np}?", "{np}", "{Np}, please.",
        "Say {np}.", "I need {np}.", "I need to know {np}.", "I am looking for {np}.",
        "So what is {np}?", "And what is {np}?", "Okay, what is {np}?", "Hi, what is {np}?",
        "Hello! Can you name {np}?", "Do you happen to know {np}?", "Help me: what is {np}?",
        "I wonder what {np} is.", "Do you know what {np} is?", "Can you tell me what {np} is?",
        "Tell me what {np} is.", "Could you say what {np} is?", "{Np} is what?",
        "For a quiz: {np}?", "Quiz time! What is {np}?", "I forgot {np}. Can you help?",
        "I forgot {np}. What is it?", "Let me know {np}.", "May I ask what {np} is?",
        "My teacher wants to know {np}.", "My son asks what {np} is.",
        "Someone asked me about {np}. What is it?", "What would be {np}?",
        "I am not sure about {np}. What is it?", "We are talking about {np}. What is it?",
        "Find {np}.", "Write {np}.", "Write down {np}, please.", "Explain: what is {np}?",
        "I am trying to remember {np}.", "Please help me remember {np}.",
        "Can you remember {np}?", "Do you remember what {np} is?",
        "My mother asks for {np}. What do I tell her?",
        "A man asked me for {np}. What do I answer?",
        "They asked about {np}. What is the answer?", "The question is about {np}.",
        "My brother wants to hear {np}. What should I tell him?", "It is about {np}. What is it?",
        "I have been thinking about {np}.", "I never learned {np}.", "Teach me {np}.",
        "In a quiz they ask for {np}.", "I have to find {np}.", "I must learn {np}. Help me.",
        "For school I have to know {np}.", "For a test I should know {np}.", "Show me {np}.",
        "Would you tell me {np}?", "Would you please name {np}?", "Will you tell me {np}?",
        "Have you got {np} for me?", "Are you able to name {np}?", "Is it hard to name {np}?",
        "I do not know {np}.", "I don't know {np}. Do you?", "Nobody here knows {np}. Do you?",
        "Does anybody know {np}?", "Does anybody know what {np} is?", "Guess {np}.",
        "Let us talk about {np}. What is it?", "Let me hear {np}.", "I am curious about {np}.",
        "I am curious what {np} is.", "Can you find out {np}?", "Can you find out what {np} is?",
        "Can you help me with {np}?", "Could you help me with {np}?", "Any news on {np}?",
        "Which one would be {np}?", "Please look up {np}.", "Look up {np} for me.",
        "{Np}... what is it?",
        "{Np}! What is it?", "{Np} - do you know it?", "You surely know {np}.",
        "Surely you know {np}?",
    ],
    HELDOUT: [
        "Any idea what {np} is?", "Would you happen to know {np}?", "Remind me of {np}, please.",
        "Please remind me what {np} is.", "For my homework I need {np}.",
        "Mind telling me {np}?", "I cannot remember {np}. Do you?",
        "My friend asks about {np}. What should I say?", "Let us see if you know {np}.",
        "I have been wondering about {np}. What is it?",
    ],
}

# {q} is a whole question, {l} the same with a small first letter
WRAPS = {
    TRAIN: [
        "{q}", "{q}", "{q}", "{q}", "Please tell me: {l}", "Tell me, {l}", "Hi! {q}", "Hello, {l}",
        "Hey, {l}", "Quick question: {l}", "I have a question. {q}", "I have a question: {l}",
        "Can you help me? {q}", "Question: {q}", "Question: {q}\nAnswer:", "Q: {q}\nA:",
        "OK, {l}", "So, {l}", "And {l}", "Now {l}", "A quiz question: {q}", "Good morning! {q}",
        "Please answer: {l}", "{q} Please help me.", "{q} Thank you!", "{q} I want to know.",
        "I wonder: {l}", "Here is my question: {l}", "My question is this: {q}",
        "First question: {q}", "Next question: {l}", "Another question: {l}", "One question: {l}",
        "Something else: {l}", "Just one thing: {l}", "Well, {l}", "Oh, {l}", "Listen, {l}",
        "{q} I forgot it.", "{q} Do you know?", "{q} Can you tell me?", "{q} It is for school.",
        "What I want to know is this: {l}", "I ask myself: {l}", "My daughter asks: {q}",
        "Somebody asked me: {l}", "A question for you: {l}", "That is for me: {q}",
    ],
    HELDOUT: [
        "One more thing: {l}", "Something I always wanted to know: {l}", "Hmm, {l}",
        "This one is for you: {q}", "{q} I really need to know.",
    ],
}

# said beside a question, and of no matter for the answer
ASIDES = ["I am doing my homework.", "We are playing a quiz.", "I am curious.", "It is for school.",
          "I am writing a report.", "My sister and I are not sure.", "I hope that you can help me.",
          "I have a test tomorrow.", "I am learning.", "This is important to me.",
          "I have no idea.",
          "You know a lot.", "I heard it once.", "This is not easy.", "I think that you know this.",
          "We talked about it today.", "I read about it.", "It came up at dinner.",
          "I would be glad.",
          "My friends do not know it.", "I am in a hurry.", "Take your time.",
          "It is a simple one."]

BRIEF = ["Answer with one word.", "Just the answer, please.", "Only the answer.",
         "Keep it short.", "Answer briefly.", "In one word, please.", "Short answer.",
         "Answer only.", "No sentence, just the answer."]


@dataclass
class Relation:
    """One kind of fact. Templates use the fields of `facts`; `nouns` make noun phrases."""

    name: str
    facts: list  # dicts with at least "k" (asked about) and "v" (the answer)
    sentence: str
    nouns: list = field(default_factory=list)
    asks: list = field(default_factory=list)
    exam: list = field(default_factory=list)  # whole questions, never trained
    follow: list = field(default_factory=list)  # follow-ups after a question of this relation
    weight: float = 1.0


def _kv(pairs):
    return [{"k": k, "v": v} for k, v in pairs]


def _flip(facts):
    """Facts asked from the answer's side, for answers that name one thing only."""
    count = {}
    for fact in facts:
        count[fact["v"]] = count.get(fact["v"], 0) + 1
    return [{"k": f["v"], "v": f["k"]} for f in facts if count[f["v"]] == 1]


def _next(items, step, last=None):
    size = len(items)
    return _kv((items[i], items[(i + step) % size]) for i in range(size))


def _world_relations():
    countries = rows(world.COUNTRIES)
    table = {row[0]: row for row in countries}
    aliases = [[alias] + table[name][1:] for alias, name in rows(world.COUNTRY_ALIASES)]
    column = lambda n: _kv((row[0], row[n]) for row in countries + aliases)
    capitals = _kv((row[0], row[1]) for row in countries)
    follow = ["And of {k}?", "And {k}?", "What about {k}?", "And what about {k}?", "and {k}",
              "How about {k}?", "Now for {k}."]
    return [
        Relation("capital", column(1), "The capital of {k} is {v}.",
                 ["the capital of {k}", "the capital city of {k}", "the capital of {k}"],
                 ["Which city is the capital of {k}?", "What city is the capital of {k}?",
                  "Which is the capital city of {k}?", "Where is the government of {k}?",
                  "What is {k}'s capital?", "What is the name of the capital of {k}?",
                  "{K} has which capital?", "What is the capital city in {k}?",
                  "{K}: what is its capital?", "{K}: what is the capital?", "{k}, capital?",
                  "What do they call the capital of {k}?", "Which city is {k} governed from?",
                  "Which town is the capital of {k}?", "Which city is the main city of {k}?"],
                 ["Which city serves as the capital of {k}?",
                  "How is the capital of {k} called?", "{K}: which city is its capital?"],
                 follow, 4.0),
        Relation("capital_of", _flip(capitals), "{k} is the capital of {v}.",
                 ["the country whose capital is {k}", "the country with the capital {k}"],
                 ["{k} is the capital of which country?", "Which country has {k} as its capital?",
                  "Which country's capital is {k}?", "What country is {k} the capital of?",
                  "Of which country is {k} the capital?", "In which country is {k}?",
                  "Where is {k}?", "In what country is the city of {k}?",
                  "Which country has its government in {k}?", "Which country is ruled from {k}?",
                  "{k}: of which country is it the capital?", "{k} belongs to which country?"],
                 ["{k} is the capital city of what country?",
                  "Which country is governed from {k}?"],
                 follow[1:], 2.0),
        Relation("continent", column(2), "{K} is in {v}.",
                 ["the continent of {k}", "the continent where {k} is",
                  "the continent on which {k} lies"],
                 ["On which continent is {k}?", "Which continent is {k} in?",
                  "What continent is {k} on?", "In which part of the world is {k}?",
                  "Where in the world is {k}?", "{K} is on which continent?",
                  "What continent does {k} belong to?"],
                 ["To which continent does {k} belong?", "{K} is a country on what continent?"],
                 follow[1:], 2.0),
        Relation("currency", column(3), "The currency of {k} is the {v}.",
                 ["the currency of {k}", "the money of {k}", "the currency used in {k}"],
                 ["Which currency is used in {k}?", "What money do people use in {k}?",
                  "What currency does {k} use?", "What is the money called in {k}?",
                  "Which currency does {k} have?", "What do people pay with in {k}?",
                  "How do people pay in {k}?", "Which money do I need in {k}?"],
                 ["With which currency do I pay in {k}?", "What currency will I need in {k}?"],
                 follow, 2.0),
        Relation("language", column(4), "People in {k} speak {v}.",
                 ["the language of {k}", "the main language of {k}",
                  "the official language of {k}", "the language spoken in {k}"],
                 ["What language do people speak in {k}?", "Which language is spoken in {k}?",
                  "What language do they speak in {k}?", "What do people speak in {k}?",
                  "Which language is used in {k}?", "What is spoken in {k}?",
                  "Which languages are spoken in {k}?"],
                 ["Which language will I hear in {k}?", "In which language do people talk in {k}?"],
                 follow[1:], 2.0),
        Relation("state_capital", _kv(rows(world.US_STATES)), "The capital of {k} is {v}.",
                 ["the capital of {k}", "the state capital of {k}", "the capital city of {k}"],
                 ["Which city is the capital of {k}?", "What city is the capital of {k}?",
                  "What is {k}'s capital?", "Which city is the state capital of {k}?"],
                 ["Which city serves as the capital of {k}?"], follow, 1.5),
        Relation("place", _kv(rows(world.PLACES)), "{K} is in {v}.",
                 ["the country where {k} is", "the country in which {k} is"],
                 ["In which country is {k}?", "Which country is {k} in?", "Where is {k}?",
                  "Where can I find {k}?", "Where do I find {k}?",
                  "Where do I have to travel to see {k}?",
                  "In which country can people see {k}?", "Which country has {k}?",
                  "I want to see {k}. To which country do I travel?", "What country is {k} in?",
                  "{K} is in which country?", "In what country can I visit {k}?"],
                 ["Which country do I visit to see {k}?", "Where must I go to see {k}?"],
                 follow[1:], 1.5),
        Relation("maker", [{"k": k, "verb": verb, "v": v} for k, verb, v in rows(world.MAKERS)],
                 "{v} {verb} {k}.",
                 ["the name of the person who {verb} {k}", "the person who {verb} {k}"],
                 ["Who {verb} {k}?", "Who was it that {verb} {k}?", "Which person {verb} {k}?",
                  "{K}: who {verb} it?"],
                 ["Who is the person that {verb} {k}?", "Which famous person {verb} {k}?"],
                 ["And {k}?", "What about {k}?"], 1.5),
        Relation("record", _kv(rows(world.RECORDS)), "{K} is {v}.", ["{k}"], [], [], [], 2.5),
    ]


def _nature_relations():
    elements = rows(nature.ELEMENTS)
    symbols = _kv(elements + rows(nature.HEAVY_ELEMENTS))
    numbers = _kv((e[0], str(i + 1)) for i, e in enumerate(elements))
    animals = rows(nature.ANIMALS)
    column = lambda n: [{"k": article(a[0]), "b": a[0], "v": a[n]} for a in animals if a[n] != "-"]
    with_article = lambda table: [{"k": article(k), "v": v} for k, v in rows(table)]
    months = [{"k": m, "v": str(d)} for m, d in zip(nature.MONTHS, nature.MONTH_DAYS)]
    order = lambda items, limit: [{"k": nature.ORDINALS[i], "v": items[i]} for i in range(limit)]
    return [
        Relation("symbol", symbols, "The chemical symbol of {k} is {v}.",
                 ["the chemical symbol of {k}", "the symbol for {k}", "the symbol of {k}",
                  "the chemical symbol for {k}"],
                 ["Which symbol stands for {k}?", "What symbol does {k} have?",
                  "Which chemical symbol has {k}?", "How do chemists write {k}?",
                  "What letters are used for {k} in chemistry?",
                  "How is {k} written in chemistry?", "Which sign stands for {k}?",
                  "What is the abbreviation of {k} in chemistry?",
                  "Which letter or letters mean {k}?",
                  "What is the chemical sign of the element {k}?"],
                 ["Which letters stand for {k} in chemistry?",
                  "What is the short sign of the element {k}?"],
                 ["And of {k}?", "And {k}?", "What about {k}?"], 2.0),
        Relation("element", _flip(symbols), "{k} is the chemical symbol of {v}.",
                 ["the element with the symbol {k}", "the chemical element {k}"],
                 ["Which element has the symbol {k}?", "What does {k} stand for in chemistry?",
                  "{k} is the symbol of which element?", "Which element is {k}?",
                  "What element is written as {k}?"],
                 ["Which chemical element do we write as {k}?"], [], 1.5),
        Relation("atomic_number", numbers, "The atomic number of {k} is {v}.",
                 ["the atomic number of {k}", "the number of {k} in the periodic table"],
                 ["Which atomic number does {k} have?", "What atomic number has {k}?",
                  "How many protons does {k} have?"],
                 ["Which number does {k} have in the periodic table?"],
                 ["And of {k}?", "And {k}?", "What about {k}?"]),
        Relation("animal_kind", [{**f, "v": article(f["v"])} for f in column(1)],
                 "{K} is {v}.", ["the kind of animal that {k} is", "the animal class of {k}"],
                 ["What kind of animal is {k}?", "Which class of animal is {k}?",
                  "What type of animal is {k}?", "{K} is what kind of animal?"],
                 ["Which sort of animal is {k}?"], ["And {k}?", "What about {k}?"]),
        Relation("legs", column(2), "{K} has {v} legs.", ["the number of legs of {k}"],
                 ["How many legs does {k} have?", "How many legs has {k}?",
                  "On how many legs does {k} walk?", "How many legs do you count on {k}?"],
                 ["How many legs are there on {k}?"], ["And {k}?", "What about {k}?"]),
        Relation("young", [{**f, "v": article(f["v"])} for f in column(3)],
                 "A young {b} is called {v}.",
                 ["the name for a baby {b}", "the word for a young {b}", "the young of {k}"],
                 ["What is a baby {b} called?", "What do you call a baby {b}?",
                  "What is a young {b} called?", "How do you call a young {b}?"],
                 ["Which word means a baby {b}?", "What do people call a young {b}?"]),
        Relation("sound", with_article(nature.SOUNDS), "{K} says {v}.",
                 ["the sound of {k}", "the sound that {k} makes", "the noise of {k}"],
                 ["What sound does {k} make?", "What does {k} say?", "Which noise does {k} make?",
                  "How does {k} sound?"],
                 ["What kind of sound comes from {k}?", "What noise do I hear from {k}?"]),
        Relation("home", [{"k": k, "v": article(v) if v != "water" else v} for k, v in
                          [(f["k"], f["v"]) for f in with_article(nature.HOMES)]],
                 "{K} lives in {v}.", ["the home of {k}", "the place where {k} lives"],
                 ["Where does {k} live?", "In what does {k} live?", "What is the home of {k}?",
                  "Where is {k} at home?"],
                 ["Where can you find {k} at home?"]),
        Relation("group", _kv(rows(nature.GROUPS)), "A group of {k} is called a {v}.",
                 ["the name for a group of {k}", "the word for a group of {k}"],
                 ["What is a group of {k} called?", "What do you call a group of {k}?",
                  "How do you call many {k} together?", "Many {k} together are called what?"],
                 ["Which word means a group of {k}?"]),
        Relation("colour", _kv(rows(nature.COLOURS)), "{K} is {v}.",
                 ["the colour of {k}", "the color of {k}"],
                 ["What colour is {k}?", "What color is {k}?", "Which colour is {k}?",
                  "Which colour has {k}?", "Which color does {k} have?"],
                 ["What colour does {k} have?", "In which colour do we see {k}?"],
                 ["And {k}?", "What about {k}?"]),
        Relation("mix", _kv(rows(nature.MIXES)), "{K} make {v}.",
                 ["the colour you get from {k}", "the mix of {k}", "the mixture of {k}"],
                 ["What do you get when you mix {k}?", "What colour do {k} make?",
                  "Which colour do you get from {k}?", "I mix {k}. What do I get?"],
                 ["What happens when I mix {k}?"]),
        Relation("count", [{"k": whole, "what": what, "v": n}
                           for what, n, whole in rows(nature.COUNTS)],
                 "There are {v} {what} in {k}.", ["the number of {what} in {k}"],
                 ["How many {what} are in {k}?", "How many {what} are there in {k}?",
                  "How many {what} does {k} have?", "How many {what} make {k}?",
                  "How many {what} has {k}?"],
                 ["What number of {what} is in {k}?", "{K} has how many {what}?"]),
        Relation("day_after", _next(nature.DAYS, 1), "{v} comes after {k}.",
                 ["the day after {k}", "the day that follows {k}"],
                 ["Which day comes after {k}?", "What day comes after {k}?",
                  "What day is after {k}?", "Today is {k}. What day is tomorrow?",
                  "Which day follows {k}?", "What comes after {k}?"],
                 ["If today is {k}, which day is tomorrow?"], ["And after {k}?"]),
        Relation("day_before", _next(nature.DAYS, -1), "{v} comes before {k}.",
                 ["the day before {k}", "the day that comes before {k}"],
                 ["Which day comes before {k}?", "What day comes before {k}?",
                  "What day is before {k}?", "Today is {k}. What day was yesterday?",
                  "What comes before {k}?"],
                 ["If today is {k}, which day was yesterday?"], ["And before {k}?"]),
        Relation("month_after", _next(nature.MONTHS, 1), "{v} comes after {k}.",
                 ["the month after {k}", "the month that follows {k}"],
                 ["Which month comes after {k}?", "What month comes after {k}?",
                  "What month is after {k}?", "Which month follows {k}?",
                  "What comes after {k}?"],
                 ["It is {k} now. Which month comes next?"], ["And after {k}?"]),
        Relation("month_before", _next(nature.MONTHS, -1), "{v} comes before {k}.",
                 ["the month before {k}", "the month that comes before {k}"],
                 ["Which month comes before {k}?", "What month comes before {k}?",
                  "What month is before {k}?", "What comes before {k}?"],
                 ["It is {k} now. Which month was the last one?"], ["And before {k}?"]),
        Relation("month_days", months, "{k} has {v} days.",
                 ["the number of days in {k}", "the length of {k} in days"],
                 ["How many days does {k} have?", "How many days are in {k}?",
                  "How many days are there in {k}?", "How long is {k}?"],
                 ["What number of days does {k} have?"], ["And {k}?", "What about {k}?"]),
        Relation("month_order", order(nature.MONTHS, 12), "The {k} month of the year is {v}.",
                 ["the {k} month of the year", "the {k} month", "month number {k} of the year"],
                 ["Which month is the {k} one?", "Which month is the {k} of the year?"],
                 ["Which month comes {k} in the year?"]),
        Relation("day_order", order(nature.DAYS, 7), "The {k} day of the week is {v}.",
                 ["the {k} day of the week", "the {k} day in a week"],
                 ["Which day is the {k} of the week?"], ["Which day comes {k} in the week?"]),
        Relation("planet_order", order(nature.PLANETS, 8), "The {k} planet from the sun is {v}.",
                 ["the {k} planet from the sun", "the {k} planet"],
                 ["Which planet is {k} from the sun?", "Which planet is the {k} one?",
                  "Which planet is the {k} from the sun?"],
                 ["Which planet comes {k} when you start at the sun?"]),
        Relation("season_after", _next(nature.SEASONS, 1), "{V} comes after {k}.",
                 ["the season after {k}", "the season that follows {k}"],
                 ["Which season comes after {k}?", "What comes after {k}?",
                  "Which season follows {k}?"], ["It is {k}. Which season is next?"]),
    ]


def _word_relations():
    pairs = rows(words.OPPOSITES)
    opposites = pairs + [[b, a] for a, b in pairs] + [["heavy", "light"]]
    letters = [chr(c) for c in range(ord("A"), ord("Z") + 1)]
    translations = []
    for row in rows(words.TRANSLATIONS):
        for language, value in zip(words.LANGUAGES, row[1:]):
            translations.append({"k": row[0], "lang": language, "v": value})
    jobs = [{"k": job, "does": does, "v": job} for job, does in rows(words.JOBS)]
    return [
        Relation("opposite", _kv(opposites), "The opposite of {k} is {v}.",
                 ["the opposite of {k}", "the opposite of the word {k}", "an antonym of {k}",
                  'the opposite of "{k}"', "the contrary of {k}"],
                 ["Which word is the opposite of {k}?", "What word means the opposite of {k}?",
                  "What is the opposite word of {k}?", "{k} is the opposite of what?",
                  "Which word is the antonym of {k}?"],
                 ["Which word has the opposite meaning of {k}?", "{k} - what is its opposite?"],
                 ["And of {k}?", "And {k}?", "What about {k}?"], 3.0),
        Relation("past", _kv(rows(words.PAST_TENSES)), 'The past tense of "{k}" is "{v}".',
                 ["the past tense of {k}", 'the past tense of "{k}"', "the past form of {k}",
                  "the simple past of {k}"],
                 ["How do you say {k} in the past?", "What does {k} become in the past tense?",
                  "Which word is the past tense of {k}?"],
                 ["Put {k} into the past tense.", "How does {k} look in the past tense?"],
                 ["And of {k}?", "And {k}?", "What about {k}?"], 1.5),
        Relation("plural", _kv(rows(words.PLURALS)), 'The plural of "{k}" is "{v}".',
                 ["the plural of {k}", 'the plural of "{k}"', "the plural form of {k}"],
                 ["How do you write the plural of {k}?", "One {k}, two what?",
                  "What does {k} become in the plural?"],
                 ["Put {k} into the plural."], ["And of {k}?", "And {k}?", "What about {k}?"]),
        Relation("translate", translations, 'In {lang}, "{k}" is "{v}".',
                 ["the {lang} word for {k}", 'the {lang} word for "{k}"',
                  "the {lang} translation of {k}", 'the {lang} for "{k}"'],
                 ["How do you say {k} in {lang}?", 'How do you say "{k}" in {lang}?',
                  "What is {k} in {lang}?", 'What is "{k}" in {lang}?',
                  "Translate {k} into {lang}.", 'Translate "{k}" to {lang}.',
                  "{k} in {lang}", "What does {k} mean in {lang}?", "How do I say {k} in {lang}?"],
                 ["Which {lang} word means {k}?", "How would people say {k} in {lang}?"],
                 ["And {k} in {lang}?", "What about {k} in {lang}?"], 2.5),
        Relation("job", jobs, "{V} {does}.", ["the person who {does}", "the job of one who {does}"],
                 ["Who {does}?", "Which person {does}?", "What do you call a person who {does}?"],
                 ["What is someone who {does} called?"]),
        Relation("job_does", [{"k": j["k"], "v": j["does"]} for j in jobs], "{K} {v}.",
                 ["the work of {k}", "the job of {k}"],
                 ["What does {k} do?", "What does {k} do at work?", "What is {k}?",
                  "What is the job of {k}?"], ["What kind of work does {k} do?"]),
        Relation("define", _kv(rows(words.DEFINITIONS)), "{K} is {v}.",
                 ["the meaning of {b}", 'the meaning of "{b}"', "the definition of {b}"],
                 ["What is {k}?", "What is {k}?", "what is {k}", "What's {k}?", "Explain {k}.",
                  "Can you explain {k}?", "Can you explain what {k} is?", "Define {b}.",
                  "What does {b} mean?", 'What does "{b}" mean?', "Tell me about {k}.",
                  "What do you know about {k}?", "Describe {k}.", "{B}?",
                  "Give me a definition of {k}.", "What exactly is {k}?",
                  "How would you describe {k}?", "How do you explain {k}?", "Explain {k} to me.",
                  "Explain the word {b}.", "Explain to a child what {k} is.",
                  "In short, what is {k}?",
                  "Give me the meaning of {b}.", "I want a short definition of {k}."],
                 ["How would you explain {k} to a child?", "Give me a short explanation of {k}."],
                 ["And {k}?", "What about {k}?"], 2.5),
        Relation("letter_after", _next(letters, 1)[:25], "The letter after {k} is {v}.",
                 ["the letter after {k}", "the letter that follows {k}"],
                 ["Which letter comes after {k}?", "What letter comes after {k}?",
                  "Which letter follows {k}?", "What comes after {k} in the alphabet?"],
                 ["In the alphabet, which letter is after {k}?"], ["And after {k}?"]),
        Relation("letter_before", _next(letters, -1)[1:], "The letter before {k} is {v}.",
                 ["the letter before {k}"],
                 ["Which letter comes before {k}?", "What letter comes before {k}?",
                  "What comes before {k} in the alphabet?"],
                 ["In the alphabet, which letter is before {k}?"], ["And before {k}?"]),
    ]


RELATIONS = _world_relations() + _nature_relations() + _word_relations()
_WEIGHTS = [r.weight * (20 + len(r.facts)) for r in RELATIONS]
_BY_NAME = {r.name: r for r in RELATIONS}
_UNKNOWN = ["capital", "continent", "currency", "language", "symbol", "define"]


def _fill(template, fact):
    full = dict(fact)
    full.setdefault("b", bare(fact["k"]))
    for name in ("k", "v", "b"):
        full[name.upper()] = cap(full[name])
    return template.format(**full)


def _question(rng, relation, fact, split):
    """A question about the fact; one of the exam has a frame, wrap or wording never trained."""
    use_noun = relation.nouns and (not relation.asks or rng.random() < 0.5)
    if use_noun:
        noun = _fill(rng.choice(relation.nouns), fact)
        frame = rng.choice(FRAMES[split])
        return frame.format(np=noun, Np=cap(noun))
    if split == HELDOUT and relation.exam and rng.random() < 0.6:
        return cap(_fill(rng.choice(relation.exam), fact))
    question = _fill(rng.choice(relation.asks or ["What is {k}?"]), fact)
    question = cap(question) if rng.random() < 0.8 else question
    return rng.choice(WRAPS[split]).format(q=question, l=uncap(question))


def _answer(relation, fact):
    return cap(_fill(relation.sentence, fact))


def _accept(fact):
    return sorted({fact["v"], bare(fact["v"])})


def _unknown(rng):
    """A question about something that does not exist, so that the answer is an honest one."""
    relation = _BY_NAME[rng.choice(_UNKNOWN)]
    name = cap(invented_word(rng))
    if relation.name == "symbol":
        name = name.lower() + rng.choice(["ium", "ine", "on", ""])
    if relation.name == "define":
        name = article(name.lower())
    fact = {"k": name, "v": ""}
    user = _question(rng, relation, fact, TRAIN)
    return Turn(user, f"I do not know {name}, sorry.", [])


def make(rng, split, brief=False):
    """One question about a fact. `brief` asks for the bare value by other means already."""
    if split == TRAIN and rng.random() < 0.02:
        return [_unknown(rng)]
    relation = rng.choices(RELATIONS, _WEIGHTS)[0]
    fact = rng.choice(relation.facts)
    user = _question(rng, relation, fact, split)
    answer = _answer(relation, fact)
    if brief or (split == TRAIN and rng.random() < 0.08):
        answer = cap(fact["v"]) + "."
        user = user if brief or user.endswith(":") else f"{user} {rng.choice(BRIEF)}"
    elif split == TRAIN and rng.random() < 0.1 and not user.endswith(":"):
        aside = rng.choice(ASIDES)
        user = f"{aside} {user}" if rng.random() < 0.6 else f"{user} {aside}"
    turns = [Turn(user, answer, _accept(fact))]
    while split == TRAIN and relation.follow and not brief and rng.random() < 0.15:
        fact = rng.choice(relation.facts)
        user = _fill(rng.choice(relation.follow), fact)
        turns.append(Turn(user, _answer(relation, fact), _accept(fact)))
    return turns


def make_of(rng, name, split):
    """One question of the named relation."""
    relation = _BY_NAME[name]
    fact = rng.choice(relation.facts)
    return Turn(_question(rng, relation, fact, split), _answer(relation, fact), _accept(fact))
