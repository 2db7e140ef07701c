"""Facts about words: opposites, forms, translations and short definitions."""

# each pair is used in both directions; every word occurs once
OPPOSITES = """
hot|cold
big|small
fast|slow
up|down
left|right
open|closed
happy|sad
light|dark
day|night
young|old
rich|poor
hard|soft
wet|dry
full|empty
early|late
high|low
long|short
strong|weak
clean|dirty
near|far
inside|outside
above|below
before|after
black|white
good|bad
true|false
yes|no
win|lose
buy|sell
push|pull
start|finish
begin|end
come|go
give|take
love|hate
friend|enemy
question|answer
first|last
front|back
top|bottom
north|south
east|west
summer|winter
sunrise|sunset
loud|quiet
thick|thin
wide|narrow
deep|shallow
sharp|blunt
smooth|rough
sweet|bitter
safe|dangerous
easy|difficult
cheap|expensive
brave|cowardly
polite|rude
kind|cruel
wise|foolish
awake|asleep
alive|dead
present|absent
arrive|leave
remember|forget
accept|refuse
agree|disagree
appear|disappear
arrest|release
attack|defend
build|destroy
laugh|cry
borrow|lend
increase|decrease
success|failure
victory|defeat
war|peace
entrance|exit
teacher|student
parent|child
king|queen
man|woman
boy|girl
brother|sister
husband|wife
father|mother
uncle|aunt
maximum|minimum
positive|negative
add|subtract
multiply|divide
always|never
everything|nothing
everybody|nobody
many|few
more|less
most|least
with|without
over|under
public|private
guilty|innocent
artificial|natural
ancient|modern
tight|loose
ascend|descend
import|export
include|exclude
expand|shrink
freeze|melt
float|sink
lock|unlock
enable|disable
online|offline
input|output
upload|download
visible|invisible
possible|impossible
legal|illegal
regular|irregular
patient|impatient
honest|dishonest
lucky|unlucky
known|unknown
equal|unequal
careful|careless
useful|useless
hopeful|hopeless
"""

PAST_TENSES = """
go|went
come|came
see|saw
eat|ate
drink|drank
run|ran
write|wrote
read|read
give|gave
take|took
make|made
do|did
have|had
say|said
tell|told
think|thought
buy|bought
bring|brought
catch|caught
teach|taught
find|found
know|knew
grow|grew
fly|flew
draw|drew
throw|threw
blow|blew
sing|sang
ring|rang
swim|swam
begin|began
speak|spoke
break|broke
choose|chose
drive|drove
ride|rode
rise|rose
wear|wore
sleep|slept
keep|kept
leave|left
feel|felt
meet|met
send|sent
spend|spent
build|built
lose|lost
win|won
hold|held
stand|stood
understand|understood
sit|sat
get|got
forget|forgot
fall|fell
pay|paid
sell|sold
walk|walked
play|played
work|worked
open|opened
ask|asked
learn|learned
"""

PLURALS = """
child|children
mouse|mice
foot|feet
tooth|teeth
man|men
woman|women
person|people
goose|geese
sheep|sheep
fish|fish
leaf|leaves
knife|knives
wolf|wolves
life|lives
half|halves
baby|babies
city|cities
box|boxes
bus|buses
cactus|cacti
ox|oxen
deer|deer
tomato|tomatoes
potato|potatoes
hero|heroes
dog|dogs
cat|cats
book|books
watch|watches
family|families
"""

LANGUAGES = "French Spanish German Italian".split()

# English | French | Spanish | German | Italian
TRANSLATIONS = """
hello|bonjour|hola|hallo|ciao
goodbye|au revoir|adios|auf Wiedersehen|arrivederci
thank you|merci|gracias|danke|grazie
please|s'il vous plait|por favor|bitte|per favore
yes|oui|si|ja|si
no|non|no|nein|no
cat|chat|gato|Katze|gatto
dog|chien|perro|Hund|cane
bird|oiseau|pajaro|Vogel|uccello
fish|poisson|pez|Fisch|pesce
horse|cheval|caballo|Pferd|cavallo
house|maison|casa|Haus|casa
water|eau|agua|Wasser|acqua
bread|pain|pan|Brot|pane
milk|lait|leche|Milch|latte
cheese|fromage|queso|Kaese|formaggio
apple|pomme|manzana|Apfel|mela
wine|vin|vino|Wein|vino
sun|soleil|sol|Sonne|sole
moon|lune|luna|Mond|luna
star|etoile|estrella|Stern|stella
tree|arbre|arbol|Baum|albero
flower|fleur|flor|Blume|fiore
book|livre|libro|Buch|libro
school|ecole|escuela|Schule|scuola
friend|ami|amigo|Freund|amico
mother|mere|madre|Mutter|madre
father|pere|padre|Vater|padre
brother|frere|hermano|Bruder|fratello
sister|soeur|hermana|Schwester|sorella
man|homme|hombre|Mann|uomo
woman|femme|mujer|Frau|donna
day|jour|dia|Tag|giorno
night|nuit|noche|Nacht|notte
red|rouge|rojo|rot|rosso
blue|bleu|azul|blau|blu
green|vert|verde|gruen|verde
white|blanc|blanco|weiss|bianco
black|noir|negro|schwarz|nero
one|un|uno|eins|uno
two|deux|dos|zwei|due
three|trois|tres|drei|tre
four|quatre|cuatro|vier|quattro
five|cinq|cinco|fuenf|cinque
ten|dix|diez|zehn|dieci
good|bon|bueno|gut|buono
big|grand|grande|gross|grande
small|petit|pequeno|klein|piccolo
love|amour|amor|Liebe|amore
time|temps|tiempo|Zeit|tempo
"""

# profession | what they do
JOBS = """
a baker|bakes bread and cakes
a doctor|helps sick people
a dentist|takes care of teeth
a teacher|teaches students
a pilot|flies planes
a farmer|grows food and keeps animals
a firefighter|puts out fires
a tailor|makes and mends clothes
a carpenter|makes things out of wood
a plumber|repairs water pipes
a chef|cooks meals
a butcher|sells meat
a florist|sells flowers
a librarian|looks after the books in a library
a vet|treats sick animals
a photographer|takes photos
a journalist|writes the news
an architect|designs buildings
an author|writes books
a programmer|writes computer programs
a judge|decides cases in a court
a sailor|works on a ship
a mechanic|repairs cars and machines
a nurse|cares for patients
a gardener|looks after gardens
a waiter|serves food in a restaurant
an astronaut|travels in space
a miner|digs for coal or metals
a barber|cuts hair
a shepherd|looks after sheep
"""

# a thing | what it is
DEFINITIONS = """
a volcano|a mountain that can throw out hot melted rock
a desert|a very dry place where little rain falls
an island|land with water all around it
a river|a large stream of water that flows to the sea
a glacier|a huge, slow river of ice
an earthquake|a sudden shaking of the ground
a rainbow|an arc of colours made by sunlight in rain
a cloud|a mass of tiny water drops in the sky
thunder|the loud sound that follows lightning
gravity|the force that pulls things towards each other
photosynthesis|how plants make food from light, water and air
evaporation|when a liquid turns into a gas
an atom|the smallest part of an element
a molecule|a group of atoms joined together
a cell|the smallest living part of a plant or animal
a fossil|the remains of an old animal or plant in rock
a planet|a large round body that moves around a star
a star|a huge ball of hot gas that gives light
a comet|a ball of ice and dust that moves around the sun
a galaxy|a very large group of stars
a telescope|a tool for seeing things that are far away
a microscope|a tool for seeing very small things
a thermometer|a tool that measures temperature
a compass|a tool that shows where north is
a library|a place where people borrow books
a museum|a place that shows old or special things
a bakery|a place where bread is made and sold
a hospital|a place where sick people are treated
a bridge|a structure that carries a road over water or a valley
a bicycle|a vehicle with two wheels and pedals
a submarine|a ship that can travel under water
a calendar|a chart of the days and months of a year
a dictionary|a book that explains words
an atlas|a book of maps
a verb|a word for an action
a noun|a word for a person, place or thing
an adjective|a word that describes a noun
a synonym|a word with the same meaning as another
an antonym|a word with the opposite meaning
a vowel|one of the letters A, E, I, O and U
a triangle|a shape with three sides
a circle|a round shape
a prime number|a number that only 1 and itself divide
an even number|a number that 2 divides
an odd number|a number that 2 does not divide
a fraction|a part of a whole
democracy|a system where the people choose their government
a mammal|an animal that feeds its young with milk
an insect|a small animal with six legs
a reptile|an animal with scales, like a snake
a vegetarian|a person who eats no meat
a computer|a machine that follows programs
a program|a list of instructions for a computer
a processor|the part of a computer that carries out instructions
memory|where a computer keeps the data it is working on
a GPU|a chip that does many calculations at once
a bug|a mistake in a program
an algorithm|a step by step way to solve a problem
an operating system|the software that runs a computer and its programs
a kernel|the core of an operating system
a file|a named piece of data on a disk
a database|an organised store of data
a server|a computer that answers requests from others
the internet|a network that joins computers all over the world
a browser|a program that shows web pages
a password|a secret word that lets you in
a robot|a machine that can do work on its own
artificial intelligence|software that does tasks which seem to need thought
a language model|a program that predicts the next piece of text
a neural network|a program made of many simple connected units
a token|a piece of text, such as a word or a part of one
a tokenizer|a program that cuts text into tokens
inference|running a trained model to get answers
training|showing a model examples so that it learns
quantisation|storing numbers with fewer bits to save space
a tensor|a table of numbers with any number of dimensions
open source|software whose code anyone may read and change
a compiler|a program that turns code into machine instructions
"""
