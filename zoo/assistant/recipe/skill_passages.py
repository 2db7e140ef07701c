"""Passages: short made-up texts and questions whose answers stand in them."""

import string
from dataclasses import dataclass

import facts_nature as nature
import facts_words as words
from names import invented_word, person, town
from turns import HELDOUT, TRAIN, Turn, cap, rows, uncap


@dataclass
class Event:
    """One kind of sentence. Questions are (question, answer, field that the answer holds)."""

    says: list
    asks: list


EVENTS = [
    Event(["{n} keeps the {adj} {obj} in the {place}.", "The {adj} {obj} of {n} is in the {place}.",
           "In the {place}, {n} keeps a {adj} {obj}.",
           "{n} has put the {adj} {obj} in the {place}."],
          [("Where does {n} keep the {obj}?", "{n} keeps the {obj} in the {place}.", "place"),
           ("Where is the {obj} of {n}?", "The {obj} of {n} is in the {place}.", "place"),
           ("Where can I find the {obj}?", "The {obj} is in the {place}.", "place"),
           ("Whose {obj} is in the {place}?", "The {obj} in the {place} belongs to {n}.", "n"),
           ("What colour is the {obj}?", "The {obj} is {adj}.", "adj"),
           ("What is in the {place}?", "The {adj} {obj} is in the {place}.", "obj")]),
    Event(["{n} works as a {job} in {town}.", "In {town}, {n} works as a {job}.",
           "{n} is a {job} and works in {town}.", "{n} has a job as a {job} in {town}."],
          [("What is the job of {n}?", "{n} works as a {job}.", "job"),
           ("What does {n} do for a living?", "{n} works as a {job}.", "job"),
           ("Where does {n} work?", "{n} works in {town}.", "town"),
           ("In which city does {n} work?", "{n} works in {town}.", "town"),
           ("Who works as a {job}?", "{n} works as a {job}.", "n"),
           ("Who works in {town}?", "{n} works in {town}.", "n")]),
    Event(["{n} bought {num} {items} at the {shop} on {day}.",
           "On {day}, {n} bought {num} {items} at the {shop}.",
           "On {day} {n} went to the {shop} and bought {num} {items}."],
          [("What did {n} buy?", "{n} bought {num} {items}.", "items"),
           ("How many {items} did {n} buy?", "{n} bought {num} {items}.", "num"),
           ("When did {n} go to the {shop}?", "{n} went to the {shop} on {day}.", "day"),
           ("On which day did {n} buy {items}?", "{n} bought {items} on {day}.", "day"),
           ("Where did {n} buy the {items}?", "{n} bought the {items} at the {shop}.", "shop"),
           ("Who bought {items}?", "{n} bought {items}.", "n")]),
    Event(["The {event} starts at {time} in the {room}.", "The {event} is at {time} in the {room}.",
           "At {time} the {event} begins in the {room}.",
           "Please come to the {room} at {time} for the {event}."],
          [("When does the {event} start?", "The {event} starts at {time}.", "time"),
           ("At what time is the {event}?", "The {event} is at {time}.", "time"),
           ("What time does the {event} begin?", "The {event} begins at {time}.", "time"),
           ("Where is the {event}?", "The {event} is in the {room}.", "room"),
           ("In which room is the {event}?", "The {event} is in the {room}.", "room"),
           ("What happens in the {room}?", "The {event} is in the {room}.", "event")]),
    Event(["{n}'s favourite colour is {colour}.", "The favourite colour of {n} is {colour}.",
           "{n} likes the colour {colour} best."],
          [("What is {n}'s favourite colour?", "{n}'s favourite colour is {colour}.", "colour"),
           ("Which colour does {n} like best?", "{n} likes {colour} best.", "colour"),
           ("Who likes {colour} best?", "{n} likes {colour} best.", "n")]),
    Event(["{n} is {num} years old.", "{n} turned {num} last week.", "{n} is now {num} years old."],
          [("How old is {n}?", "{n} is {num} years old.", "num"),
           ("What is the age of {n}?", "{n} is {num} years old.", "num"),
           ("Who is {num} years old?", "{n} is {num} years old.", "n")]),
    Event(["{n} has a {adj} {pet} called {petname}.",
           "{n} has a {adj} {pet}. It is called {petname}.",
           "The {adj} {pet} of {n} is called {petname}."],
          [("What is the name of {n}'s {pet}?", "{n}'s {pet} is called {petname}.", "petname"),
           ("What is the {pet} called?", "The {pet} is called {petname}.", "petname"),
           ("Which animal does {n} have?", "{n} has a {pet}.", "pet"),
           ("What kind of pet does {n} have?", "{n} has a {pet}.", "pet"),
           ("Who has a {pet}?", "{n} has a {pet}.", "n"),
           ("What colour is {petname}?", "{petname} is {adj}.", "adj")]),
    Event(["The {obj} costs {num} euros.", "The price of the {obj} is {num} euros.",
           "You can buy the {obj} for {num} euros."],
          [("How much is the {obj}?", "The {obj} costs {num} euros.", "num"),
           ("What does the {obj} cost?", "The {obj} costs {num} euros.", "num"),
           ("What is the price of the {obj}?", "The {obj} costs {num} euros.", "num"),
           ("What costs {num} euros?", "The {obj} costs {num} euros.", "obj")]),
    Event(["The code for the {door} is {code}.", "Use the code {code} for the {door}.",
           "To open the {door}, type {code}."],
          [("What is the code for the {door}?", "The code for the {door} is {code}.", "code"),
           ("Which code opens the {door}?", "The code for the {door} is {code}.", "code"),
           ("How do I open the {door}?", "The code for the {door} is {code}.", "code"),
           ("What does the code {code} open?", "The code {code} is for the {door}.", "door")]),
    Event(["{n} lives in {town}.", "{n} has lived in {town} since {year}.", "{n} moved to {town}.",
           "The home of {n} is in {town}."],
          [("Where does {n} live?", "{n} lives in {town}.", "town"),
           ("In which city does {n} live?", "{n} lives in {town}.", "town"),
           ("Who lives in {town}?", "{n} lives in {town}.", "n")]),
    Event(["{n} travelled to {town} by {vehicle} in {month}.",
           "In {month}, {n} travelled to {town} by {vehicle}.",
           "{n} took a trip to {town} in {month} and went by {vehicle}."],
          [("Where did {n} travel?", "{n} travelled to {town}.", "town"),
           ("How did {n} travel to {town}?", "{n} travelled by {vehicle}.", "vehicle"),
           ("When did {n} travel to {town}?", "{n} travelled to {town} in {month}.", "month"),
           ("In which month was the trip of {n}?", "{n} travelled in {month}.", "month"),
           ("Who travelled to {town}?", "{n} travelled to {town}.", "n")]),
    Event(["{n} gave the {obj} to {m}.", "{n} gave {m} the {obj}.", "{m} got the {obj} from {n}."],
          [("Who gave {m} the {obj}?", "{n} gave {m} the {obj}.", "n"),
           ("Who got the {obj}?", "{m} got the {obj}.", "m"),
           ("What did {n} give to {m}?", "{n} gave {m} the {obj}.", "obj"),
           ("Who has the {obj} now?", "{m} has the {obj} now.", "m"),
           ("To whom did {n} give the {obj}?", "{n} gave the {obj} to {m}.", "m")]),
    Event(["{firm} was founded in {year} by {n}.", "In {year}, {n} founded {firm}.",
           "{n} founded {firm} in {year}."],
          [("Who founded {firm}?", "{n} founded {firm}.", "n"),
           ("When was {firm} founded?", "{firm} was founded in {year}.", "year"),
           ("In which year was {firm} founded?", "{firm} was founded in {year}.", "year"),
           ("What did {n} found?", "{n} founded {firm}.", "firm")]),
    Event(["The {building} in {town} was built in {year} and is {num} metres tall.",
           "The {building} of {town} is {num} metres tall. It was built in {year}."],
          [("How tall is the {building}?", "The {building} is {num} metres tall.", "num"),
           ("When was the {building} built?", "The {building} was built in {year}.", "year"),
           ("Where is the {building}?", "The {building} is in {town}.", "town"),
           ("What is {num} metres tall?", "The {building} is {num} metres tall.", "building")]),
    Event(["For {meal}, {n} had {food} and {drink}.", "{n} had {food} and {drink} for {meal}.",
           "{n} ate {food} for {meal} and drank {drink}."],
          [("What did {n} eat for {meal}?", "{n} ate {food} for {meal}.", "food"),
           ("What did {n} eat?", "{n} ate {food}.", "food"),
           ("What did {n} drink?", "{n} drank {drink}.", "drink"),
           ("Who ate {food}?", "{n} ate {food}.", "n")]),
    Event(["The manager of {firm} is {n}.", "{n} is the manager of {firm}.",
           "{firm} is led by {n}, the manager."],
          [("Who is the manager of {firm}?", "The manager of {firm} is {n}.", "n"),
           ("Who leads {firm}?", "{n} leads {firm}.", "n"),
           ("What does {n} manage?", "{n} is the manager of {firm}.", "firm")]),
    Event(["The phone number of {n} is {phone}.", "You can call {n} at {phone}.",
           "Call {n} on {phone}."],
          [("What is the phone number of {n}?", "The phone number of {n} is {phone}.", "phone"),
           ("How can I call {n}?", "You can call {n} at {phone}.", "phone"),
           ("What is {n}'s number?", "The phone number of {n} is {phone}.", "phone"),
           ("Whose number is {phone}?", "{phone} is the number of {n}.", "n")]),
    Event(["The train to {town} leaves at {time} from platform {small}.",
           "At {time}, the train to {town} leaves from platform {small}."],
          [("When does the train to {town} leave?", "The train to {town} leaves at {time}.",
            "time"),
           ("From which platform does the train to {town} leave?",
            "The train to {town} leaves from platform {small}.", "small"),
           ("Where does the train at {time} go?", "The train at {time} goes to {town}.", "town")]),
    Event(["{n} won the {game} with {num} points.", "With {num} points, {n} won the {game}."],
          [("Who won the {game}?", "{n} won the {game}.", "n"),
           ("How many points did {n} have?", "{n} had {num} points.", "num"),
           ("What did {n} win?", "{n} won the {game}.", "game")]),
    Event(["The {machine} needs {num} litres of {liquid}.",
           "Fill {num} litres of {liquid} into the {machine}."],
          [("How much {liquid} does the {machine} need?",
            "The {machine} needs {num} litres of {liquid}.", "num"),
           ("What does the {machine} need?", "The {machine} needs {num} litres of {liquid}.",
            "liquid")]),
    Event(["The {part} of the {machine} must be changed every {small} {unit}.",
           "Change the {part} of the {machine} every {small} {unit}."],
          [("How often must the {part} be changed?",
            "The {part} must be changed every {small} {unit}.", "small"),
           ("Which part of the {machine} must be changed?",
            "The {part} of the {machine} must be changed.", "part")]),
    Event(["{n} {did} the {obj} in the {place}.", "In the {place}, {n} {did} the {obj}.",
           "{n} {did} the {adj} {obj} in the {place}.",
           "On {day} {n} {did} the {obj} in the {place}."],
          [("Where did {n} {do} the {obj}?", "{n} {did} the {obj} in the {place}.", "place"),
           ("What did {n} {do} in the {place}?", "{n} {did} the {obj}.", "obj"),
           ("What did {n} {do}?", "{n} {did} the {obj}.", "obj"),
           ("Who {did} the {obj}?", "{n} {did} the {obj}.", "n"),
           ("Who {did} the {obj} in the {place}?", "{n} {did} the {obj}.", "n")]),
    Event(["The {pet} sleeps {spot}.", "The {adj} {pet} sleeps {spot}.",
           "{spot} sleeps the {pet}."],
          [("Where does the {pet} sleep?", "The {pet} sleeps {spot}.", "spot"),
           ("Where is the {pet}?", "The {pet} is {spot}.", "spot"),
           ("Who sleeps {spot}?", "The {pet} sleeps {spot}.", "pet"),
           ("What sleeps {spot}?", "The {pet} sleeps {spot}.", "pet")]),
    Event(["The {obj} stands {spot}.", "The {obj} of {n} lies {spot}.", "There is a {obj} {spot}.",
           "{n} put the {obj} {spot}.", "{n} left the {obj} {spot}."],
          [("Where is the {obj}?", "The {obj} is {spot}.", "spot"),
           ("What is {spot}?", "The {obj} is {spot}.", "obj"),
           ("Where can I find the {obj}?", "The {obj} is {spot}.", "spot")]),
    Event(["The capital of {land} is {city}.", "{city} is the capital of {land}.",
           "{land} is a country. Its capital is {city}."],
          [("What is the capital of {land}?", "The capital of {land} is {city}.", "city"),
           ("Which city is the capital of {land}?", "The capital of {land} is {city}.", "city"),
           ("Of which country is {city} the capital?", "{city} is the capital of {land}.",
            "land")]),
    Event(["People in {land} speak {tongue} and pay with the {coin}.",
           "In {land} people pay with the {coin} and speak {tongue}."],
          [("What language do people speak in {land}?", "People in {land} speak {tongue}.",
            "tongue"),
           ("Which language is spoken in {land}?", "People in {land} speak {tongue}.", "tongue"),
           ("What is the currency of {land}?", "The currency of {land} is the {coin}.", "coin"),
           ("How do people pay in {land}?", "The currency of {land} is the {coin}.", "coin")]),
    Event(["A {stuff} is a {adj} {kind} that is found in {town}.",
           "The {stuff} is a {adj} {kind} from {town}."],
          [("What is a {stuff}?", "A {stuff} is a {adj} {kind}.", "kind"),
           ("What colour is the {stuff}?", "The {stuff} is {adj}.", "adj"),
           ("Where is the {stuff} found?", "The {stuff} is found in {town}.", "town")]),
    Event(["The server {host} has {num} GB of memory and stands in {town}.",
           "In {town} stands the server {host} with {num} GB of memory."],
          [("How much memory does {host} have?", "{host} has {num} GB of memory.", "num"),
           ("Where is {host}?", "{host} stands in {town}.", "town"),
           ("Which server is in {town}?", "The server in {town} is {host}.", "host")]),
    Event(["{n} will meet {m} on {day} at {time}.", "On {day} at {time}, {n} will meet {m}.",
           "{n} has an appointment with {m} on {day} at {time}."],
          [("When will {n} meet {m}?", "{n} will meet {m} on {day} at {time}.", "day"),
           ("On which day will {n} meet {m}?", "{n} will meet {m} on {day}.", "day"),
           ("At what time will {n} meet {m}?", "{n} will meet {m} at {time}.", "time"),
           ("Whom will {n} meet?", "{n} will meet {m}.", "m"),
           ("Who will meet {m}?", "{n} will meet {m}.", "n")]),
    Event(["{n} is the {kin} of {m}.", "{m} has a {kin} named {n}.", "The {kin} of {m} is {n}."],
          [("Who is the {kin} of {m}?", "The {kin} of {m} is {n}.", "n"),
           ("Whose {kin} is {n}?", "{n} is the {kin} of {m}.", "m"),
           ("How is {n} related to {m}?", "{n} is the {kin} of {m}.", "kin")]),
    Event(["The {event} was moved from {day} to {newday}.",
           "The {event} is not on {day} but on {newday}.",
           "Instead of {day}, the {event} will be on {newday}."],
          [("When is the {event}?", "The {event} is on {newday}.", "newday"),
           ("On which day is the {event} now?", "The {event} is on {newday}.", "newday"),
           ("When was the {event} planned first?", "The {event} was planned for {day}.", "day")]),
]

_FILLERS = ["It was a sunny day.", "The weather was cold.", "Everybody was happy.",
            "It rained all night.", "There was music in the street.", "Nobody knew why.",
            "It was a long week.", "The garden was full of flowers.", "The streets were quiet.",
            "They talked for a long time.", "The coffee was good.", "A bird sang in the tree.",
            "It was late.", "The door was open.", "All went well."]

_POOLS = {
    "obj": ("bicycle umbrella guitar lamp book camera key letter clock suitcase blanket laptop "
            "violin painting ladder radio jacket hammer vase telescope box map scarf mirror kettle "
            "tent drum basket notebook helmet carpet chair piano printer phone ring coat").split(),
    "place": ("garage|kitchen|attic|cellar|garden shed|bedroom|office|living room|hall|bathroom|"
              "library|wardrobe|car|barn|cupboard|drawer|locker|basement|boat|workshop").split("|"),
    "adj": "red blue green yellow black white brown grey orange purple pink silver".split(),
    "colour": ("red blue green yellow black white brown grey orange purple pink silver gold violet "
               "turquoise").split(),
    "job": [job.split(" ", 1)[1] for job, _ in rows(words.JOBS)
            if job.startswith("a ")] + ["painter", "singer", "lawyer", "driver", "writer", "guide"],
    "items": ("apples pears pens books eggs tickets candles stamps cups plates oranges lemons "
              "shirts flowers cakes bottles notebooks sandwiches balloons batteries").split(),
    "shop": ("market|bakery|bookshop|supermarket|station|corner shop|mall|museum shop|flower shop|"
             "toy shop|department store|farm").split("|"),
    "day": nature.DAYS,
    "month": nature.MONTHS,
    "event": ("meeting|concert|party|lesson|workshop|dinner|exam|game|talk|film|dance class|"
              "interview|choir practice|tour|training").split("|"),
    "room": ("main hall|blue room|library|gym|room 12|garden|theatre|conference room|cafe|"
             "music room|kitchen|room 7|chapel|lobby|red room|room 204|meeting room").split("|"),
    "pet": "dog cat rabbit parrot hamster pony turtle goat mouse goldfish lizard duck".split(),
    "petname": ("Rex Bella Max Luna Coco Rocky Daisy Milo Charlie Molly Toby Ruby Oscar Lola Simba "
                "Nala Pepper Ginger Bruno Felix Snowy Lucky Biscuit Shadow Pip").split(),
    "door": ("front door|safe|gate|garage|office|locker|back door|storage room|lift|server room|"
             "laboratory|bike cellar").split("|"),
    "vehicle": "train bus car plane boat ship bicycle motorbike taxi ferry".split(),
    "building": ("tower bridge castle cathedral lighthouse skyscraper church mill monument palace "
                 "museum").split(),
    "meal": "breakfast lunch dinner supper".split(),
    "food": ("soup|rice|bread|pasta|pizza|fish|salad|an omelette|potatoes|cheese|pancakes|noodles|"
             "beans|a sandwich|dumplings|curry").split("|"),
    "drink": ("water|tea|coffee|milk|orange juice|lemonade|apple juice|cocoa|mint tea").split("|"),
    "game": ("race|chess game|quiz|contest|tournament|final|card game|match|"
             "cooking contest").split("|"),
    "machine": ("pump|generator|tractor|printer|coffee machine|boiler|engine|dishwasher|mixer|"
                "compressor|heater").split("|"),
    "liquid": "water oil fuel diesel milk cleaner coolant paint".split(),
    "part": "filter belt seal battery valve fuse fan hose bulb".split(),
    "unit": "days weeks months years hours".split(),
    "newday": nature.DAYS,
    "kin": ("cousin friend boss teacher neighbour doctor partner colleague coach parent "
            "child").split(),
    "kind": ("flower fish bird tree stone fruit beetle mushroom drink cheese dance tool "
             "boat").split(),
    "spot": ("under the table|behind the church|near the river|on the roof|beside the door|"
             "on the sofa|under the bed|in front of the window|next to the tree|"
             "behind the curtain|on the stairs|between the shelves|under the bridge|"
             "on the balcony|near the lake|in the corner").split("|"),
}

# what people do to things: now and in the past
_VERBS = rows("""
see|saw
find|found
leave|left
paint|painted
clean|cleaned
hide|hid
break|broke
repair|repaired
forget|forgot
sell|sold
drop|dropped
open|opened
carry|carried
lose|lost
build|built
wash|washed
make|made
draw|drew
photograph|photographed
test|tested
""")


class _Cast:
    """Draws the fields of one passage so that no value stands for two things in it."""

    def __init__(self, rng, exam):
        self.rng, self.exam, self.used = rng, exam, set()

    def fields(self, kind):
        """All the fields of one event of the kind."""
        values = {name: self.draw(name) for name in _FIELDS[kind] if name not in ("do", "did")}
        if "do" in _FIELDS[kind]:
            values["do"], values["did"] = self.rng.choice(_VERBS)
        return values

    def draw(self, name):
        for _ in range(50):
            value = self._candidate(name)
            if value not in self.used:
                break
        self.used.add(value)
        return value

    def _candidate(self, name):
        rng = self.rng
        digits = lambda count: "".join(rng.choice(string.digits) for _ in range(count))
        if name in ("n", "m"):
            return person(rng, self.exam)
        if name == "town":
            return town(rng, self.exam)
        if name == "num":
            return str(rng.randint(2, rng.choice((12, 99, 400))))
        if name == "small":
            return str(rng.randint(1, 20))
        if name == "year":
            return str(rng.randint(1600, 2025))
        if name == "code":
            return rng.choice(("", "", rng.choice("ABCDEFGHK"))) + digits(rng.randint(3, 5))
        if name == "phone":
            return digits(3) + rng.choice(" -") + digits(rng.randint(3, 4))
        if name == "time":
            return self._time()
        if name == "firm":
            stem = invented_word(rng).capitalize()
            return stem + rng.choice(["", " Ltd", " Labs", " Works", " Bakery", " Systems",
                                      " Motors"])
        if name in ("land", "city", "tongue"):
            return invented_word(rng).capitalize()
        if name in ("coin", "stuff"):
            return invented_word(rng)
        if name == "host":
            return rng.choice((invented_word(rng), rng.choice(_POOLS["pet"]))) + rng.choice(
                ("", "-" + str(rng.randint(1, 40))))
        if name == "petname" and rng.random() < 0.25:
            return invented_word(rng).capitalize()
        if name == "obj" and rng.random() < 0.1:
            return invented_word(rng)
        return rng.choice(_POOLS[name])

    def _time(self):
        rng = self.rng
        hour = rng.randint(1, 12)
        if rng.random() < 0.3:
            return f"{hour} o'clock"
        clock = f"{hour}:{rng.choice(('00', '15', '30', '45', '10', '20'))}"
        return clock + rng.choice(("", "", " am", " pm"))


def _fields(event):
    texts = " ".join(event.says + [part for ask in event.asks for part in ask[:2]])
    return sorted({name for _, name, _, _ in string.Formatter().parse(texts) if name})


_FIELDS = [_fields(event) for event in EVENTS]


def _clean(text):
    """Corrects the article before a vowel and a capital at the start."""
    for vowel in "aeio":
        text = text.replace(f" a {vowel}", f" an {vowel}")
    return cap(text)


def _story(rng, exam):
    """Sentences, the events they tell with their fields, and the fields' source."""
    cast = _Cast(rng, exam)
    count = rng.choice((1, 2, 2, 3, 3, 4, 4, 5, 6))
    kinds = rng.sample(range(len(EVENTS)), count)
    if rng.random() < 0.6:  # the same kind more than once: people must be told apart
        kinds = [kinds[0]] * min(count, rng.choice((2, 2, 3))) + kinds[1:]
        kinds = kinds[:max(count, 2)]
    rng.shuffle(kinds)
    told, sentences, met = [], [], []
    for kind in kinds:
        values = cast.fields(kind)
        others = [n for n, known in met if kind not in known]
        if "n" in values and others and rng.random() < 0.35:
            values["n"] = rng.choice(others)
        if "n" in values:
            met.append((values["n"], {k for k, v in told if v.get("n") == values["n"]} | {kind}))
        told.append((kind, values))
        sentences.append(_clean(rng.choice(EVENTS[kind].says).format(**values)))
        if rng.random() < 0.12:
            sentences.append(rng.choice(_FILLERS))
    return sentences, told


def _is_clear(told, ask, kind, values):
    """Whether only one event of the passage answers the question."""
    question = ask[0].format(**values)
    same = [v for k, v in told if k == kind and ask[0].format(**v) == question]
    return len(same) == 1


def _question(rng, told):
    for _ in range(20):
        kind, values = rng.choice(told)
        ask = rng.choice(EVENTS[kind].asks)
        if _is_clear(told, ask, kind, values) and not _shared(ask, told, kind, values):
            return _clean(ask[0].format(**values)), _clean(ask[1].format(**values)), values[ask[2]]
    kind, values = told[0]
    ask = EVENTS[kind].asks[0]
    return _clean(ask[0].format(**values)), _clean(ask[1].format(**values)), values[ask[2]]


def _shared(ask, told, kind, values):
    """Whether the question's key value also belongs to an event of another kind."""
    keys = {name for _, name, _, _ in string.Formatter().parse(ask[0]) if name} - {"n", "m", ask[2]}
    others = [v for k, v in told if v is not values]
    return any(values[key] in other.values() for key in keys for other in others)


_NOT_SAID = "The text does not say."


def _unanswerable(rng, told):
    """A question about someone or something that the passage does not tell of."""
    cast = _Cast(rng, False)
    for _, values in told:
        cast.used.update(values.values())
    kinds_told = {kind for kind, _ in told}
    kind = rng.randrange(len(EVENTS))
    values = cast.fields(kind)
    people = [v["n"] for _, v in told if "n" in v]
    if people and kind not in kinds_told and rng.random() < 0.6:
        values["n"] = rng.choice(people)
    return _clean(rng.choice(EVENTS[kind].asks)[0].format(**values)), _NOT_SAID, "does not say"


_FRAMES = {
    TRAIN: ["{p}\n\n{q}", "{p}\n\n{q}", "{p}\n{q}", "{p} {q}", "Passage: {p}\nQuestion: {q}",
            "Passage: {p}\n\nQuestion: {q}\nAnswer:", "Read the text and answer.\n\n{p}\n\n{q}",
            "Context: {p}\nQuestion: {q}", "Context:\n{p}\n\nQuestion: {q}", "Text: {p}\n{q}",
            "{q}\n\n{p}", "Here is a text: {p} Now tell me: {l}", "{p} So, {l}",
            "Use the following text to answer the question.\n{p}\n{q}",
            "Given this text: \"{p}\" {q}", "According to the text, {l}\nText: {p}",
            "Question: {q}\nPassage: {p}", "Read this: {p}\n\n{q}", "\"{p}\"\n\n{q}",
            "I read this: {p} {q}",
            "Answer the question from the text.\n\nText: {p}\n\nQuestion: {q}",
            "Story: {p}\n\n{q}", "Document: {p}\n\nQuery: {q}", "{p}\n\nQuestion: {q}",
            "Please answer with the help of this text.\n\n{p}\n\n{q}", "Note: {p}\n\n{q}"],
    HELDOUT: ["Here is a note that I found:\n{p}\n\n{q}", "{p}\n\n{q}",
              "Please look at this message: {p}\n\n{q}",
              "This is from a letter. {p} My question: {q}",
              "Passage: {p}\nQuestion: {q}", "Context: {p}\n\nUsing the context, answer: {q}"],
}
_GIVEN = ["Read this: {p}", "Here is a text: {p}", "{p}", "Remember this: {p}", "Text: {p}",
          "I will ask you about this text.\n\n{p}", "Please read: {p}"]
_READ = "I have read it. What would you like to know?"
_SYSTEM = ["Answer from this text: {p}", "Use this context to answer.\n\n{p}", "Context: {p}",
           "You are the Neuros assistant. Answer from this text:\n{p}", "{p}"]


def _layout(rng, sentences):
    draw = rng.random()
    if draw < 0.85:
        return " ".join(sentences)
    if draw < 0.92:
        return "\n".join(sentences)
    if draw < 0.96:
        return "\n".join(f"- {s}" for s in sentences)
    return "\n".join(f"[{i + 1}] {s}" for i, s in enumerate(sentences))


def make(rng, split):
    """One passage: (system text or None, turns). The first turn or the system text holds it."""
    exam = split == HELDOUT
    sentences, told = _story(rng, exam)
    ask = lambda: (_unanswerable(rng, told) if not exam and rng.random() < 0.08
                   else _question(rng, told))
    text = " ".join(sentences) if exam else _layout(rng, sentences)
    asked = [ask() for _ in range(1 if exam else rng.choice((1, 1, 1, 2, 3)))]
    turns = [Turn(q, a, _accept(v)) for q, a, v in asked]
    draw = 0.0 if exam else rng.random()
    if draw < 0.8:
        question = turns[0].user
        turns[0].user = rng.choice(_FRAMES[split]).format(p=text, q=question, l=uncap(question))
        return None, turns
    if draw < 0.9:
        return None, [Turn(rng.choice(_GIVEN).format(p=text), _READ, [])] + turns
    return rng.choice(_SYSTEM).format(p=text), turns


def _accept(value):
    short = value.split(" ", 1)[1] if value.startswith(("a ", "an ")) else value
    return sorted({value, short})
