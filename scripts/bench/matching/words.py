"""Names of people and companies, products and places from which texts are composed."""


def _list(words: str, separator: str = " ") -> tuple[str, ...]:
    return tuple(words.split(separator))


GIVEN = _list(
    "Anna Maria Sofia Emma Laura Julia Lena Katharina Claire Camille Élodie Léa Manon Inès Lucía"
    " Carmen Paula Marta Giulia Chiara Francesca Sanne Fleur Ingrid Astrid Freja Zofia Agnieszka"
    " Katarzyna Zuzana Eszter Ioana Elena Olga Aisha Fatima Priya Mei Yuki Grace Hannah Olivia"
    " Thomas Michael Stefan Andreas Jürgen Günther Lukas Felix Jan Pieter Daan Bram Pierre François"
    " Jérôme Benoît Luc Olivier José Javier Sergio Álvaro Marco Luca Matteo Giovanni Søren Lars"
    " Björn Åke Paweł Krzysztof Tomáš Jiří István Gábor Mihai Dimitri Omar Ahmed Raj Wei Kenji"
    " James William George Oliver Harry Patrick Seán Rhys Callum"
)

FAMILY = _list(
    "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Hoffmann Schäfer Koch Bauer Richter"
    " Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hartmann Lange Krause Lehmann"
    " Martin Bernard Dubois Thomas Robert Richard Petit Durand Leroy Moreau Lefèvre Girard Bonnet"
    " García Fernández González Rodríguez López Martínez Sánchez Pérez Gómez Jiménez Ruiz Díaz"
    " Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo"
    " Jansen Bakker Visser Smit Mulder Bos Vos Peters Hendriks Dekker Hansen Nielsen Andersen"
    " Larsen Johansson Karlsson Lindqvist Berg Nowak Kowalski Wiśniewski Novák Svoboda Nagy Kovács"
    " Popescu Ionescu Ivanov Petrov Khan Ahmed Patel Singh Chen Wang Tanaka Smith Jones Taylor"
    " Brown Williams Wilson Johnson Davies Evans Walker Wright Robinson Thompson White Hughes"
    " O'Brien Murphy Kelly MacDonald Campbell Stewart"
)

# Two or three of these make a brand: Norvatec, Solaris, Velmora …
SYLLABLES = _list(
    "nor va tec sol ar is vel mo ra al pi na gra fi co mer ka dor lu mi nex tra ver da ser bo ri"
    " qua len ti mar cel pro xi an to ber li hel io zen du ro fa bri ma gel or bi ta sta wil el"
    " kro nos ther mal pa ge hy dra ce lo vi go ter ra ken ton"
)

TRADES = _list(
    "Logistik Logistics Transporte Spedition Transport Handel Trading Consulting Beratung Conseil"
    " Software Systems Systeme Solutions Media Medien Druck Print Bau Construction Costruzioni"
    " Elektro Electric Energie Energy Energía Immobilien Properties Immobilier Catering"
    " Lebensmittel Foods Alimentari Wijnen Vins Textil Textiles Möbel Furniture Pharma Medical"
    " Garten Motors Automobile Autohaus Reisen Travel Voyages Security Sicherheit Cleaning"
    " Gebäudereinigung Facility Engineering Maschinenbau Metallbau Kunststoffe Plastics Papier"
    " Packaging Verpackung Telecom Networks Capital Holding Partners Services Design Studio"
    " Architekten Labs Analytics Werbung Marketing Events Sport Fitness Pet Books Verlag"
)

LEGAL = {
    "de": ("GmbH", "GmbH & Co. KG", "AG", "KG", "UG (haftungsbeschränkt)", "e.K."),
    "fr": ("SARL", "SAS", "SA", "EURL"),
    "es": ("S.L.", "S.A.", "S.L.U."),
    "it": ("S.r.l.", "S.p.A.", "S.n.c."),
    "nl": ("B.V.", "N.V.", "V.O.F."),
    "en": ("Ltd", "Limited", "PLC", "LLP", "Inc.", "LLC", "Corp."),
    "nordic": ("AB", "ApS", "A/S", "Oy", "AS"),
    "pl": ("Sp. z o.o.", "S.A."),
}

CITIES = _list(
    "Berlin Hamburg München Köln Stuttgart Leipzig Bremen Wien Zürich Basel Paris Lyon Nantes"
    " Lille Bordeaux Madrid Sevilla Valencia Bilbao Milano Torino Roma Bologna Amsterdam Rotterdam"
    " Utrecht Antwerpen Gent Bruxelles London Leeds Bristol Glasgow Dublin Cork Boston Austin"
    " Denver Seattle Chicago København Aarhus Oslo Stockholm Göteborg Helsinki Warszawa Kraków"
    " Praha Brno Budapest Lisboa Porto"
)

PRODUCTS = _list(
    "annual licence|Wartungsvertrag|maintenance|Miete|rent|Leasing|hosting|Schulung|training|"
    "workshop|Beratung|consulting hours|spare parts|Ersatzteile|office supplies|Büromaterial|"
    "abonnement|suscripción|subscription|delivery|Lieferung|livraison|spedizione|catering|"
    "Reinigung|cleaning|advertising|Anzeige|travel expenses|Reisekosten|deposit|Anzahlung|"
    "final instalment|Schlussrechnung|membership|Beitrag|seminar|event tickets|hardware|laptops|"
    "raw material|Rohstoffe|packaging|freight|Fracht|support plan|repair|Reparatur|insurance|"
    "Versicherung|phone|energy|Strom|water|translation|design work|photography|printing",
    "|",
)

# Names under which a clearing house or collecting bank passes other people's money on.
CLEARING_HOUSES = (
    "PAYONE GMBH",
    "ADYEN N.V.",
    "STRIPE TECHNOLOGY EUROPE",
    "PPRO FINANCIAL LTD",
    "FIRST DATA MERCHANT SOL",
    "SUMUP PAYMENTS",
    "NETS DENMARK",
    "WORLDLINE SA",
)
PSPS = (
    "Stripe",
    "Adyen",
    "PayPal",
    "Mollie",
    "Klarna",
    "SumUp",
    "Worldline",
    "Checkout.com",
    "Square",
    "GoCardless",
)
