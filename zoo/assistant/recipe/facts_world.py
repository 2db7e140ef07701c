"""Facts about the world, one a line: countries, states, people and records. '|' parts fields."""

# country | capital | continent | currency | main language or languages
COUNTRIES = """
Afghanistan|Kabul|Asia|afghani|Pashto and Dari
Albania|Tirana|Europe|lek|Albanian
Algeria|Algiers|Africa|Algerian dinar|Arabic
Andorra|Andorra la Vella|Europe|euro|Catalan
Angola|Luanda|Africa|kwanza|Portuguese
Argentina|Buenos Aires|South America|Argentine peso|Spanish
Armenia|Yerevan|Asia|dram|Armenian
Australia|Canberra|Oceania|Australian dollar|English
Austria|Vienna|Europe|euro|German
Azerbaijan|Baku|Asia|manat|Azerbaijani
the Bahamas|Nassau|North America|Bahamian dollar|English
Bahrain|Manama|Asia|Bahraini dinar|Arabic
Bangladesh|Dhaka|Asia|taka|Bengali
Barbados|Bridgetown|North America|Barbadian dollar|English
Belarus|Minsk|Europe|Belarusian ruble|Belarusian and Russian
Belgium|Brussels|Europe|euro|Dutch, French and German
Belize|Belmopan|North America|Belize dollar|English
Benin|Porto-Novo|Africa|CFA franc|French
Bhutan|Thimphu|Asia|ngultrum|Dzongkha
Bolivia|Sucre|South America|boliviano|Spanish
Bosnia and Herzegovina|Sarajevo|Europe|convertible mark|Bosnian, Croatian and Serbian
Botswana|Gaborone|Africa|pula|English and Tswana
Brazil|Brasilia|South America|real|Portuguese
Brunei|Bandar Seri Begawan|Asia|Brunei dollar|Malay
Bulgaria|Sofia|Europe|euro|Bulgarian
Burkina Faso|Ouagadougou|Africa|CFA franc|French
Burundi|Gitega|Africa|Burundian franc|Kirundi and French
Cambodia|Phnom Penh|Asia|riel|Khmer
Cameroon|Yaounde|Africa|CFA franc|French and English
Canada|Ottawa|North America|Canadian dollar|English and French
Chad|N'Djamena|Africa|CFA franc|French and Arabic
Chile|Santiago|South America|Chilean peso|Spanish
China|Beijing|Asia|yuan|Chinese
Colombia|Bogota|South America|Colombian peso|Spanish
Costa Rica|San Jose|North America|colon|Spanish
Croatia|Zagreb|Europe|euro|Croatian
Cuba|Havana|North America|Cuban peso|Spanish
Cyprus|Nicosia|Europe|euro|Greek and Turkish
the Czech Republic|Prague|Europe|koruna|Czech
Denmark|Copenhagen|Europe|Danish krone|Danish
Djibouti|Djibouti City|Africa|Djiboutian franc|French and Arabic
the Dominican Republic|Santo Domingo|North America|Dominican peso|Spanish
Ecuador|Quito|South America|US dollar|Spanish
Egypt|Cairo|Africa|Egyptian pound|Arabic
El Salvador|San Salvador|North America|US dollar|Spanish
Eritrea|Asmara|Africa|nakfa|Tigrinya and Arabic
Estonia|Tallinn|Europe|euro|Estonian
Eswatini|Mbabane|Africa|lilangeni|Swazi and English
Ethiopia|Addis Ababa|Africa|birr|Amharic
Fiji|Suva|Oceania|Fijian dollar|English and Fijian
Finland|Helsinki|Europe|euro|Finnish
France|Paris|Europe|euro|French
Gabon|Libreville|Africa|CFA franc|French
the Gambia|Banjul|Africa|dalasi|English
Georgia|Tbilisi|Asia|lari|Georgian
Germany|Berlin|Europe|euro|German
Ghana|Accra|Africa|cedi|English
Greece|Athens|Europe|euro|Greek
Grenada|St. George's|North America|East Caribbean dollar|English
Guatemala|Guatemala City|North America|quetzal|Spanish
Guinea|Conakry|Africa|Guinean franc|French
Guyana|Georgetown|South America|Guyanese dollar|English
Haiti|Port-au-Prince|North America|gourde|Haitian Creole and French
Honduras|Tegucigalpa|North America|lempira|Spanish
Hungary|Budapest|Europe|forint|Hungarian
Iceland|Reykjavik|Europe|Icelandic krona|Icelandic
India|New Delhi|Asia|Indian rupee|Hindi and English
Indonesia|Jakarta|Asia|rupiah|Indonesian
Iran|Tehran|Asia|rial|Persian
Iraq|Baghdad|Asia|Iraqi dinar|Arabic and Kurdish
Ireland|Dublin|Europe|euro|English and Irish
Italy|Rome|Europe|euro|Italian
Jamaica|Kingston|North America|Jamaican dollar|English
Japan|Tokyo|Asia|yen|Japanese
Jordan|Amman|Asia|Jordanian dinar|Arabic
Kazakhstan|Astana|Asia|tenge|Kazakh and Russian
Kenya|Nairobi|Africa|Kenyan shilling|Swahili and English
Kuwait|Kuwait City|Asia|Kuwaiti dinar|Arabic
Kyrgyzstan|Bishkek|Asia|som|Kyrgyz and Russian
Laos|Vientiane|Asia|kip|Lao
Latvia|Riga|Europe|euro|Latvian
Lebanon|Beirut|Asia|Lebanese pound|Arabic
Lesotho|Maseru|Africa|loti|Sotho and English
Liberia|Monrovia|Africa|Liberian dollar|English
Libya|Tripoli|Africa|Libyan dinar|Arabic
Liechtenstein|Vaduz|Europe|Swiss franc|German
Lithuania|Vilnius|Europe|euro|Lithuanian
Luxembourg|Luxembourg City|Europe|euro|Luxembourgish, French and German
Madagascar|Antananarivo|Africa|ariary|Malagasy and French
Malawi|Lilongwe|Africa|Malawian kwacha|English and Chichewa
Malaysia|Kuala Lumpur|Asia|ringgit|Malay
the Maldives|Male|Asia|rufiyaa|Dhivehi
Mali|Bamako|Africa|CFA franc|Bambara
Malta|Valletta|Europe|euro|Maltese and English
Mauritania|Nouakchott|Africa|ouguiya|Arabic
Mauritius|Port Louis|Africa|Mauritian rupee|English and French
Mexico|Mexico City|North America|Mexican peso|Spanish
Moldova|Chisinau|Europe|Moldovan leu|Romanian
Monaco|Monaco|Europe|euro|French
Mongolia|Ulaanbaatar|Asia|tugrik|Mongolian
Montenegro|Podgorica|Europe|euro|Montenegrin
Morocco|Rabat|Africa|Moroccan dirham|Arabic
Mozambique|Maputo|Africa|metical|Portuguese
Myanmar|Naypyidaw|Asia|kyat|Burmese
Namibia|Windhoek|Africa|Namibian dollar|English
Nepal|Kathmandu|Asia|Nepalese rupee|Nepali
the Netherlands|Amsterdam|Europe|euro|Dutch
New Zealand|Wellington|Oceania|New Zealand dollar|English
Nicaragua|Managua|North America|cordoba|Spanish
Niger|Niamey|Africa|CFA franc|Hausa
Nigeria|Abuja|Africa|naira|English
North Korea|Pyongyang|Asia|North Korean won|Korean
North Macedonia|Skopje|Europe|denar|Macedonian
Norway|Oslo|Europe|Norwegian krone|Norwegian
Oman|Muscat|Asia|Omani rial|Arabic
Pakistan|Islamabad|Asia|Pakistani rupee|Urdu and English
Panama|Panama City|North America|balboa|Spanish
Papua New Guinea|Port Moresby|Oceania|kina|English and Tok Pisin
Paraguay|Asuncion|South America|guarani|Spanish and Guarani
Peru|Lima|South America|sol|Spanish
the Philippines|Manila|Asia|Philippine peso|Filipino and English
Poland|Warsaw|Europe|zloty|Polish
Portugal|Lisbon|Europe|euro|Portuguese
Qatar|Doha|Asia|Qatari riyal|Arabic
Romania|Bucharest|Europe|Romanian leu|Romanian
Russia|Moscow|Europe|Russian ruble|Russian
Rwanda|Kigali|Africa|Rwandan franc|Kinyarwanda
Samoa|Apia|Oceania|tala|Samoan and English
San Marino|San Marino City|Europe|euro|Italian
Saudi Arabia|Riyadh|Asia|Saudi riyal|Arabic
Senegal|Dakar|Africa|CFA franc|French
Serbia|Belgrade|Europe|Serbian dinar|Serbian
the Seychelles|Victoria|Africa|Seychellois rupee|English, French and Creole
Sierra Leone|Freetown|Africa|leone|English
Singapore|Singapore|Asia|Singapore dollar|English, Malay, Chinese and Tamil
Slovakia|Bratislava|Europe|euro|Slovak
Slovenia|Ljubljana|Europe|euro|Slovene
Somalia|Mogadishu|Africa|Somali shilling|Somali and Arabic
South Africa|Pretoria|Africa|rand|Zulu, Xhosa, Afrikaans and English
South Korea|Seoul|Asia|South Korean won|Korean
South Sudan|Juba|Africa|South Sudanese pound|English
Spain|Madrid|Europe|euro|Spanish
Sri Lanka|Colombo|Asia|Sri Lankan rupee|Sinhala and Tamil
Sudan|Khartoum|Africa|Sudanese pound|Arabic
Suriname|Paramaribo|South America|Surinamese dollar|Dutch
Sweden|Stockholm|Europe|Swedish krona|Swedish
Switzerland|Bern|Europe|Swiss franc|German, French, Italian and Romansh
Syria|Damascus|Asia|Syrian pound|Arabic
Taiwan|Taipei|Asia|New Taiwan dollar|Chinese
Tajikistan|Dushanbe|Asia|somoni|Tajik
Tanzania|Dodoma|Africa|Tanzanian shilling|Swahili and English
Thailand|Bangkok|Asia|baht|Thai
Togo|Lome|Africa|CFA franc|French
Tonga|Nuku'alofa|Oceania|pa'anga|Tongan and English
Trinidad and Tobago|Port of Spain|North America|Trinidad dollar|English
Tunisia|Tunis|Africa|Tunisian dinar|Arabic
Turkey|Ankara|Asia|Turkish lira|Turkish
Turkmenistan|Ashgabat|Asia|Turkmen manat|Turkmen
Uganda|Kampala|Africa|Ugandan shilling|English and Swahili
Ukraine|Kyiv|Europe|hryvnia|Ukrainian
the United Arab Emirates|Abu Dhabi|Asia|UAE dirham|Arabic
the United Kingdom|London|Europe|pound sterling|English
the United States|Washington, D.C.|North America|US dollar|English
Uruguay|Montevideo|South America|Uruguayan peso|Spanish
Uzbekistan|Tashkent|Asia|Uzbek som|Uzbek
Vanuatu|Port Vila|Oceania|vatu|Bislama, English and French
Venezuela|Caracas|South America|bolivar|Spanish
Vietnam|Hanoi|Asia|dong|Vietnamese
Yemen|Sanaa|Asia|Yemeni rial|Arabic
Zambia|Lusaka|Africa|Zambian kwacha|English
Zimbabwe|Harare|Africa|Zimbabwe Gold|English, Shona and Ndebele
"""

# other names a country goes by in questions | the name in COUNTRIES
COUNTRY_ALIASES = """
the USA|the United States
America|the United States
the US|the United States
the UK|the United Kingdom
England|the United Kingdom
Great Britain|the United Kingdom
Holland|the Netherlands
Czechia|the Czech Republic
the UAE|the United Arab Emirates
Burma|Myanmar
"""

US_STATES = """
Alabama|Montgomery
Alaska|Juneau
Arizona|Phoenix
Arkansas|Little Rock
California|Sacramento
Colorado|Denver
Connecticut|Hartford
Delaware|Dover
Florida|Tallahassee
the state of Georgia|Atlanta
Hawaii|Honolulu
Idaho|Boise
Illinois|Springfield
Indiana|Indianapolis
Iowa|Des Moines
Kansas|Topeka
Kentucky|Frankfort
Louisiana|Baton Rouge
Maine|Augusta
Maryland|Annapolis
Massachusetts|Boston
Michigan|Lansing
Minnesota|Saint Paul
Mississippi|Jackson
Missouri|Jefferson City
Montana|Helena
Nebraska|Lincoln
Nevada|Carson City
New Hampshire|Concord
New Jersey|Trenton
New Mexico|Santa Fe
the state of New York|Albany
North Carolina|Raleigh
North Dakota|Bismarck
Ohio|Columbus
Oklahoma|Oklahoma City
Oregon|Salem
Pennsylvania|Harrisburg
Rhode Island|Providence
South Carolina|Columbia
South Dakota|Pierre
Tennessee|Nashville
Texas|Austin
Utah|Salt Lake City
Vermont|Montpelier
Virginia|Richmond
the state of Washington|Olympia
West Virginia|Charleston
Wisconsin|Madison
Wyoming|Cheyenne
"""

# city or place | country
PLACES = """
the Eiffel Tower|France
the Colosseum|Italy
the Taj Mahal|India
Machu Picchu|Peru
the Great Wall|China
the Statue of Liberty|the United States
Big Ben|the United Kingdom
Mount Fuji|Japan
the Acropolis|Greece
the Brandenburg Gate|Germany
the Sagrada Familia|Spain
Petra|Jordan
the Great Sphinx|Egypt
Angkor Wat|Cambodia
the Grand Canyon|the United States
Stonehenge|the United Kingdom
the Sydney Opera House|Australia
Table Mountain|South Africa
the Louvre|France
the Kremlin|Russia
Barcelona|Spain
Munich|Germany
Milan|Italy
Venice|Italy
Lyon|France
Marseille|France
Hamburg|Germany
Geneva|Switzerland
Zurich|Switzerland
Sydney|Australia
Melbourne|Australia
Toronto|Canada
Vancouver|Canada
Montreal|Canada
Mumbai|India
Shanghai|China
Hong Kong|China
Osaka|Japan
Kyoto|Japan
Istanbul|Turkey
Dubai|the United Arab Emirates
Rio de Janeiro|Brazil
Chicago|the United States
Los Angeles|the United States
San Francisco|the United States
Manchester|the United Kingdom
Edinburgh|the United Kingdom
Krakow|Poland
Porto|Portugal
Rotterdam|the Netherlands
Antwerp|Belgium
Salzburg|Austria
Bergen|Norway
Gothenburg|Sweden
Casablanca|Morocco
Lagos|Nigeria
Cape Town|South Africa
"""

# work | what its maker did | maker
MAKERS = """
Hamlet|wrote|William Shakespeare
Romeo and Juliet|wrote|William Shakespeare
Macbeth|wrote|William Shakespeare
Pride and Prejudice|wrote|Jane Austen
Emma|wrote|Jane Austen
Oliver Twist|wrote|Charles Dickens
A Christmas Carol|wrote|Charles Dickens
Frankenstein|wrote|Mary Shelley
Dracula|wrote|Bram Stoker
Moby-Dick|wrote|Herman Melville
War and Peace|wrote|Leo Tolstoy
Anna Karenina|wrote|Leo Tolstoy
Crime and Punishment|wrote|Fyodor Dostoevsky
Don Quixote|wrote|Miguel de Cervantes
the Odyssey|wrote|Homer
the Iliad|wrote|Homer
the Divine Comedy|wrote|Dante Alighieri
Faust|wrote|Johann Wolfgang von Goethe
Les Miserables|wrote|Victor Hugo
Around the World in Eighty Days|wrote|Jules Verne
The Time Machine|wrote|H. G. Wells
Alice in Wonderland|wrote|Lewis Carroll
Peter Pan|wrote|J. M. Barrie
Treasure Island|wrote|Robert Louis Stevenson
The Hobbit|wrote|J. R. R. Tolkien
Animal Farm|wrote|George Orwell
The Jungle Book|wrote|Rudyard Kipling
Tom Sawyer|wrote|Mark Twain
The Little Prince|wrote|Antoine de Saint-Exupery
Pinocchio|wrote|Carlo Collodi
The Metamorphosis|wrote|Franz Kafka
Robinson Crusoe|wrote|Daniel Defoe
Gulliver's Travels|wrote|Jonathan Swift
The Raven|wrote|Edgar Allan Poe
Heidi|wrote|Johanna Spyri
Pippi Longstocking|wrote|Astrid Lindgren
the Mona Lisa|painted|Leonardo da Vinci
the Last Supper|painted|Leonardo da Vinci
the Starry Night|painted|Vincent van Gogh
Sunflowers|painted|Vincent van Gogh
Guernica|painted|Pablo Picasso
the Scream|painted|Edvard Munch
the Night Watch|painted|Rembrandt
Girl with a Pearl Earring|painted|Johannes Vermeer
the Birth of Venus|painted|Sandro Botticelli
the Kiss|painted|Gustav Klimt
Water Lilies|painted|Claude Monet
the Persistence of Memory|painted|Salvador Dali
the telephone|invented|Alexander Graham Bell
the light bulb|invented|Thomas Edison
the printing press|invented|Johannes Gutenberg
the World Wide Web|invented|Tim Berners-Lee
dynamite|invented|Alfred Nobel
the diesel engine|invented|Rudolf Diesel
penicillin|discovered|Alexander Fleming
radium|discovered|Marie Curie
gravity|explained|Isaac Newton
the theory of relativity|developed|Albert Einstein
the theory of evolution|developed|Charles Darwin
the steam engine|invented|James Watt
the battery|invented|Alessandro Volta
the C language|created|Dennis Ritchie
C++|created|Bjarne Stroustrup
Python|created|Guido van Rossum
Linux|created|Linus Torvalds
the first computer program|wrote|Ada Lovelace
X-rays|discovered|Wilhelm Roentgen
the periodic table|created|Dmitri Mendeleev
"""

# a thing asked for by name | its answer
RECORDS = """
the largest ocean|the Pacific Ocean
the smallest ocean|the Arctic Ocean
the largest continent|Asia
the smallest continent|Australia
the largest country|Russia
the smallest country|Vatican City
the highest mountain|Mount Everest
the longest river|the Nile
the largest planet|Jupiter
the smallest planet|Mercury
the hottest planet|Venus
the planet closest to the sun|Mercury
the planet farthest from the sun|Neptune
the planet with the big rings|Saturn
the red planet|Mars
the largest animal|the blue whale
the fastest land animal|the cheetah
the tallest animal|the giraffe
the largest land animal|the elephant
the largest bird|the ostrich
the smallest bird|the hummingbird
the king of the jungle|the lion
the largest hot desert|the Sahara
the largest island|Greenland
the deepest lake|Lake Baikal
the highest waterfall|Angel Falls
the star closest to the Earth|the sun
the natural satellite of the Earth|the moon
the hardest natural material|diamond
the lightest element|hydrogen
the most common gas in the air|nitrogen
the gas that people breathe to live|oxygen
the largest organ of the body|the skin
the organ that pumps blood|the heart
the organ that we think with|the brain
the chemical formula of water|H2O
the chemical formula of table salt|NaCl
the chemical formula of carbon dioxide|CO2
the freezing point of water|0 degrees Celsius
the boiling point of water|100 degrees Celsius
the first month of the year|January
the last month of the year|December
the shortest month|February
the first day of the working week|Monday
the first letter of the alphabet|A
the last letter of the alphabet|Z
the first man on the moon|Neil Armstrong
the first man in space|Yuri Gagarin
the first president of the United States|George Washington
the first woman to win a Nobel Prize|Marie Curie
the largest rainforest|the Amazon
the longest wall|the Great Wall of China
the tallest building|the Burj Khalifa
the sweet food made by bees|honey
the main ingredient of bread|flour
the main ingredient of chocolate|cocoa
the main ingredient of an omelette|eggs
the capital of the Roman Empire|Rome
the home planet of humans|Earth
the number of planets in the solar system|eight
the number of continents|seven
the number of letters in the alphabet|twenty-six
the number of players in a football team|eleven
the number of bones in an adult body|206
the number of teeth of an adult|32
the number of strings on a violin|four
the number of strings on a guitar|six
the number of keys on a piano|88
the number of squares on a chessboard|64
the number of states in the United States|fifty
the number of stars on the flag of the United States|fifty
the number of colours in the rainbow|seven
the number of cards in a deck|52
the number of sides of a dice|six
the number of days in a leap year|366
the value of pi|about 3.14
the speed of light|about 300,000 kilometres per second
"""
