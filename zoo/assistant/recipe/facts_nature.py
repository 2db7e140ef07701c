"""Facts about nature, science and measures. One fact a line, fields split by '|'."""

# element | symbol, in order of the atomic number, which starts at 1
ELEMENTS = """
hydrogen|H
helium|He
lithium|Li
beryllium|Be
boron|B
carbon|C
nitrogen|N
oxygen|O
fluorine|F
neon|Ne
sodium|Na
magnesium|Mg
aluminium|Al
silicon|Si
phosphorus|P
sulfur|S
chlorine|Cl
argon|Ar
potassium|K
calcium|Ca
scandium|Sc
titanium|Ti
vanadium|V
chromium|Cr
manganese|Mn
iron|Fe
cobalt|Co
nickel|Ni
copper|Cu
zinc|Zn
gallium|Ga
germanium|Ge
arsenic|As
selenium|Se
bromine|Br
krypton|Kr
rubidium|Rb
strontium|Sr
yttrium|Y
zirconium|Zr
niobium|Nb
molybdenum|Mo
technetium|Tc
ruthenium|Ru
rhodium|Rh
palladium|Pd
silver|Ag
cadmium|Cd
indium|In
tin|Sn
antimony|Sb
tellurium|Te
iodine|I
xenon|Xe
"""

# heavier elements, without the atomic number
HEAVY_ELEMENTS = """
caesium|Cs
barium|Ba
tungsten|W
platinum|Pt
gold|Au
mercury|Hg
lead|Pb
bismuth|Bi
radon|Rn
radium|Ra
thorium|Th
uranium|U
plutonium|Pu
"""

# animal | kind | legs | young ('-' where there is no plain answer)
ANIMALS = """
dog|mammal|four|puppy
cat|mammal|four|kitten
cow|mammal|four|calf
horse|mammal|four|foal
sheep|mammal|four|lamb
goat|mammal|four|kid
pig|mammal|four|piglet
rabbit|mammal|four|kit
deer|mammal|four|fawn
bear|mammal|four|cub
lion|mammal|four|cub
tiger|mammal|four|cub
wolf|mammal|four|pup
fox|mammal|four|kit
elephant|mammal|four|calf
giraffe|mammal|four|calf
kangaroo|mammal|-|joey
mouse|mammal|four|pup
zebra|mammal|four|foal
camel|mammal|four|calf
donkey|mammal|four|foal
monkey|mammal|-|infant
squirrel|mammal|four|kit
hedgehog|mammal|four|hoglet
whale|mammal|no|calf
dolphin|mammal|no|calf
seal|mammal|no|pup
bat|mammal|two|pup
chicken|bird|two|chick
duck|bird|two|duckling
goose|bird|two|gosling
swan|bird|two|cygnet
eagle|bird|two|eaglet
owl|bird|two|owlet
penguin|bird|two|chick
parrot|bird|two|chick
ostrich|bird|two|chick
pigeon|bird|two|squab
turkey|bird|two|poult
frog|amphibian|four|tadpole
toad|amphibian|four|tadpole
salamander|amphibian|four|larva
snake|reptile|no|snakelet
lizard|reptile|four|hatchling
turtle|reptile|four|hatchling
crocodile|reptile|four|hatchling
salmon|fish|no|fry
shark|fish|no|pup
tuna|fish|no|fry
trout|fish|no|fry
ant|insect|six|larva
bee|insect|six|larva
butterfly|insect|six|caterpillar
beetle|insect|six|grub
fly|insect|six|maggot
mosquito|insect|six|larva
grasshopper|insect|six|nymph
spider|arachnid|eight|spiderling
scorpion|arachnid|eight|scorpling
crab|crustacean|ten|larva
lobster|crustacean|ten|larva
snail|mollusc|no|-
octopus|mollusc|-|-
"""

SOUNDS = """
dog|woof
cat|meow
cow|moo
sheep|baa
duck|quack
pig|oink
horse|neigh
lion|roar
frog|croak
bee|buzz
owl|hoot
snake|hiss
rooster|cock-a-doodle-doo
mouse|squeak
wolf|howl
crow|caw
donkey|hee-haw
turkey|gobble
"""

HOMES = """
bee|hive
bird|nest
spider|web
dog|kennel
horse|stable
lion|den
rabbit|burrow
pig|sty
bear|cave
fish|water
ant|anthill
beaver|lodge
chicken|coop
cow|barn
fox|den
eagle|eyrie
"""

GROUPS = """
lions|pride
wolves|pack
fish|school
sheep|flock
cows|herd
bees|swarm
geese|gaggle
crows|murder
whales|pod
elephants|herd
ants|colony
puppies|litter
owls|parliament
birds|flock
monkeys|troop
"""

# thing | colour
COLOURS = """
a banana|yellow
the sky|blue
grass|green
snow|white
coal|black
blood|red
a carrot|orange
a lemon|yellow
a ripe tomato|red
milk|white
an emerald|green
a ruby|red
a sapphire|blue
the sun|yellow
chocolate|brown
a flamingo|pink
a polar bear|white
a crow|black
a ripe strawberry|red
an aubergine|purple
a fire engine|red
salt|white
the sea|blue
a frog|green
a pumpkin|orange
a lime|green
an elephant|grey
a leaf in spring|green
gold|yellow
soot|black
"""

MIXES = """
blue and yellow|green
red and yellow|orange
red and blue|purple
red and white|pink
black and white|grey
yellow and blue|green
yellow and red|orange
blue and red|purple
white and red|pink
white and black|grey
"""

# what is counted | number | the whole
COUNTS = """
seconds|60|a minute
minutes|60|an hour
hours|24|a day
days|7|a week
days|365|a year
weeks|52|a year
months|12|a year
years|10|a decade
years|100|a century
years|1000|a millennium
centimetres|100|a metre
millimetres|10|a centimetre
millimetres|1000|a metre
metres|1000|a kilometre
grams|1000|a kilogram
kilograms|1000|a tonne
millilitres|1000|a litre
inches|12|a foot
feet|3|a yard
cents|100|a dollar
cents|100|a euro
pence|100|a pound
bits|8|a byte
bytes|1024|a kibibyte
items|12|a dozen
sides|3|a triangle
sides|4|a square
sides|4|a rectangle
sides|5|a pentagon
sides|6|a hexagon
sides|7|a heptagon
sides|8|an octagon
sides|9|a nonagon
sides|10|a decagon
corners|3|a triangle
corners|4|a square
faces|6|a cube
edges|12|a cube
wheels|2|a bicycle
wheels|3|a tricycle
wheels|4|a car
wheels|1|a unicycle
arms|8|an octopus
degrees|90|a right angle
degrees|360|a circle
quarters|4|a whole
seasons|4|a year
fingers|5|a hand
toes|10|two feet
players|2|a game of chess
"""

PLANETS = "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = ("January February March April May June July August September October November "
          "December").split()
MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
SEASONS = "spring summer autumn winter".split()
ORDINALS = ("first second third fourth fifth sixth seventh eighth ninth tenth eleventh "
            "twelfth").split()
