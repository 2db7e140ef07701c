"""Names of people and places for stories and passages, and words that do not exist."""

PEOPLE = ("Ada Adam Alice Amir Amy Andrea Anna Anton Ben Beth Bruno Carla Carlos Carol Chen Chris "
          "Clara Daniel David Diana Dora Elena Eli Ella Emil Emma Erik Eva Felix Fiona Frank Fred "
          "Gina Grace Greta Hana Hannah Harry Helen Henry Hugo Ida Igor Ines Iris Ivan Jack James "
          "Jane Jasmin Joan Joel John Jonas Julia Karim Kate Kim Klara Laila Laura Lea Lena Leo "
          "Liam Lily Lisa Lucas Lucy Luis Maja Marco Maria Mark Martin Mary Max Maya Mei Mia Mila "
          "Nadia Nick Nina Noah Nora Olga Oliver Omar Oscar Paul Paula Pedro Peter Pia Priya "
          "Rafael Rahul Rita Robert Rosa Ruth Sam Samira Sara Simon Sofia Stefan Susan Tara Tess "
          "Thomas Tim Tina Tom Vera Victor Wei William Yara Yuki Zoe").split()

# people and towns that only the exam's questions name
EXAM_PEOPLE = ("Agnes Basil Celia Dmitri Esther Farah Gustav Hilda Isaac Jamal Kofi Linnea Morris "
               "Noelle Otis Paloma Quentin Ramona Silas Thea Ulrich Viola Walter Xenia Yusuf "
               "Zelda").split()
EXAM_TOWNS = ("Aarhus Brighton Coimbra Dresden Eindhoven Florence Grenoble Halifax Innsbruck Kazan "
              "Leeds Nantes Odense Palermo Quebec Seville Tampere Utrecht Verona Wroclaw").split()

TOWNS = ("Amsterdam Athens Barcelona Berlin Bergen Boston Bristol Brussels Budapest Cairo Chicago "
         "Cologne Dallas Delhi Denver Dublin Geneva Genoa Glasgow Hamburg Hanoi Helsinki Istanbul "
         "Kyoto Lagos Lima Lisbon Liverpool London Lyon Madrid Manila Miami Milan Montreal Moscow "
         "Mumbai Munich Nairobi Naples Osaka Oslo Ottawa Oxford Paris Porto Prague Riga Rome "
         "Seattle Seoul Sofia Stockholm Sydney Tokyo Toronto Turin Vienna Warsaw York "
         "Zurich").split()

_ONSETS = ("b bl br c ch cl cr d dr dw f fl fr g gl gr h j k kl kn kr l m n p ph pl pr qu r s sc "
           "sh sk sl sm sn sp st str sw t th tr tw v w wh x y z zh").split() + [""]
_VOWELS = "a e i o u a e i o u ai ea ee ei eu ia ie io oa oo ou ue y ay".split()
_CODAS = ("n r l s m t k x d g p b f th nd nt rk rd rt st ss ll ck ng sh ch mp ft lm nz "
          "rn").split() + [""] * 20
_ENDS = ("ton son man ville field berg burg stad ford land wood ham ley low ris nis tis rich wig "
         "mund bert gard wald ina ella etta ine ia ius us os as is on an en a o i y ie ov ski ez "
         "ero ando iva ora ura ani ari eno ito").split()
_EXAM_WORDS = {word.lower() for word in EXAM_PEOPLE + EXAM_TOWNS}


def _syllables(rng):
    count = rng.choice((1, 2, 2, 2, 3))
    word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
                   for _ in range(count))
    return word + rng.choice(_ENDS) if count == 1 or rng.random() < 0.3 else word


def _spliced(rng):
    """The head of one name and the tail of another."""
    head, tail = rng.choice(PEOPLE + TOWNS), rng.choice(PEOPLE + TOWNS + _ENDS)
    return (head[:rng.randint(1, len(head))] + tail[rng.randrange(len(tail)):]).lower()


def invented_word(rng):
    """A word that can be said but means nothing, such as "brondal"."""
    while True:
        word = _syllables(rng) if rng.random() < 0.65 else _spliced(rng)
        if 3 <= len(word) <= 14 and word not in _EXAM_WORDS:
            return word


def person(rng, exam):
    """A first name, at times with an invented surname or wholly invented."""
    if exam:
        return rng.choice(EXAM_PEOPLE)
    draw = rng.random()
    if draw < 0.5:
        return rng.choice(PEOPLE)
    if draw < 0.88:
        return invented_word(rng).capitalize()
    return rng.choice(PEOPLE) + " " + invented_word(rng).capitalize()


def town(rng, exam):
    if exam:
        return rng.choice(EXAM_TOWNS)
    return rng.choice(TOWNS) if rng.random() < 0.5 else invented_word(rng).capitalize()
