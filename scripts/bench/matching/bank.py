"""The bank's side: its words, its ids, its days, and what it does to names and references."""

import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID

from scripts.bench.matching.events import Payment, References, bank_day
from scripts.bench.matching.parties import choose, scale_of
from scripts.bench.matching.scenarios import Scenario
from scripts.bench.matching.words import CITIES, CLEARING_HOUSES


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one bank writes: templates for money that arrives and money that leaves."""

    arrives: tuple[str, ...]
    leaves: tuple[str, ...]
    name_chars: int
    is_upper: bool
    is_ascii: bool


_DIALECTS = (
    Dialect(
        (
            "SEPA-Gutschrift {name} EREF+{e2e} SVWZ+{memo}",
            "GUTSCHRIFT ÜBERWEISUNG {name} {memo} IBAN {iban}",
            "Dauerauftragsgutschr. {name} {memo}",
        ),
        (
            "SEPA-Überweisung an {name} IBAN {iban} EREF+{e2e} SVWZ+{memo}",
            "Lastschrift {name} MREF+{mandate} CRED+DE98ZZZ{digits} SVWZ+{memo}",
            "Kartenzahlung {name}//{city}/DE {day}T{clock} Debitk.{digits4}",
        ),
        27,
        False,
        False,
    ),
    Dialect(
        (
            "FASTER PAYMENTS RECEIPT REF.{memo} FROM {name}",
            "BANK GIRO CREDIT REF {name}, {memo}",
            "CREDIT FROM {name} {memo}",
        ),
        (
            "DIRECT DEBIT PAYMENT TO {name} REF {memo}, MANDATE NO {digits4}",
            "BILL PAYMENT VIA FASTER PAYMENT TO {name} REFERENCE {memo}",
            "CARD PAYMENT TO {name},{city} ON {day}",
            "STANDING ORDER VIA FASTER PAYMENT TO {name} REFERENCE {memo}",
        ),
        18,
        True,
        True,
    ),
    Dialect(
        (
            "ACH CREDIT {name} {memo} CCD ID:{digits}",
            "WIRE TYPE:WIRE IN DATE:{day} TIME:{clock} ET TRN:{digits} ORIG:{name} PMT DET:{memo}",
            "DEPOSIT {name} DES:PAYMENT ID:{memo} INDN:{name} CO ID:{digits} PPD",
        ),
        (
            "POS DEBIT {digits4} {name} {city}",
            "ACH DEBIT {name} DES:{memo} ID:{digits}",
            "Online Transfer to {name} transaction#: {digits} {memo}",
            "CHECKCARD {day} {name} {city} {digits}{digits}",
        ),
        22,
        True,
        True,
    ),
    Dialect(
        (
            "VIR SEPA RECU /DE {name} /MOTIF {memo} /REF {e2e}",
            "VIREMENT DE {name} {memo}",
            "REMISE CARTE {day} {name} {digits}",
        ),
        (
            "VIR SEPA EMIS /VERS {name} /MOTIF {memo} /REFDO {e2e}",
            "PRLV SEPA {name} ECH/{day} ID EMETTEUR/FR{digits} MDT/{mandate} LIB/{memo}",
            "CARTE {day} {name} {city} CB*{digits4}",
        ),
        35,
        True,
        True,
    ),
    Dialect(
        ("TRANSFERENCIA DE {name}, CONCEPTO {memo}", "Abono {name} {memo} Ref. {digits}"),
        (
            "TRANSFERENCIA A FAVOR DE {name} CONCEPTO: {memo}",
            "Recibo {name} Nº Recibo {digits} {memo}",
            "Compra {name}, {city}, Tarjeta {digits4}",
        ),
        35,
        False,
        False,
    ),
    Dialect(
        (
            "/TRTP/SEPA OVERBOEKING/IBAN/{iban}/BIC/ABNANL2A/NAME/{name}/REMI/{memo}/EREF/{e2e}",
            "{name} {memo}",
        ),
        (
            "/TRTP/SEPA Incasso algemeen doorlopend/CSID/NL{digits}/NAME/{name}/MARF/{mandate}"
            "/REMI/{memo}/IBAN/{iban}/EREF/{e2e}",
            "BEA, Betaalpas {name},PAS{digits4} NR:{digits}, {day}/{clock} {city}",
            "/TRTP/SEPA OVERBOEKING/NAME/{name}/REMI/{memo}/EREF/{e2e}",
        ),
        35,
        False,
        True,
    ),
)


class Bank:
    """Writes records; one bank keeps to its dialect, its ids and its field lengths."""

    def __init__(self, random: Random, scenario: Scenario, references: References) -> None:
        self._random, self._scenario, self._references = random, scenario, references
        self._dialect = random.choice(_DIALECTS)
        self._has_times = random.random() < 0.3
        self._id_style = random.randrange(5)
        self._sequence = random.randrange(10**6, 10**8)

    def settle(self, booked: date) -> date:
        """Return the day on which the bank posts what we booked on `booked`."""
        lags = self._scenario.lag
        lag = self._random.choices(list(lags), list(lags.values()))[0]
        return bank_day(booked + timedelta(days=lag))

    def record(
        self, payment: Payment, *, amount_minor: int, on: date, memo: str | None = None
    ) -> dict[str, Any]:
        """Return one row of RECORD_SCHEMA; `memo` replaces the payer's words."""
        in_id, in_text = self._passed_on(payment)
        text, counterparty = self._told(payment, amount_minor, on, in_text, in_id, memo)
        return self._row(payment.party.currency, amount_minor, on, in_id, text, counterparty)

    def own_line(self, currency: str, amount_minor: int, on: date, text: str) -> dict[str, Any]:
        """Return a line of the bank's own, such as a fee."""
        return self._row(currency, amount_minor, on, None, text, None)

    def _row(
        self,
        currency: str,
        amount_minor: int,
        on: date,
        external_id: str | None,
        text: str,
        counterparty: str | None,
    ) -> dict[str, Any]:
        random = self._random
        seconds = random.randrange(6 * 3600, 22 * 3600) if self._has_times else 0
        return {
            "record_id": str(UUID(int=random.getrandbits(128), version=4)),
            "external_id": external_id or self.own_id(on),
            "occurred_at": datetime.combine(on, time(), UTC) + timedelta(seconds=seconds),
            "booked_on": on,
            "amount_minor": amount_minor,
            "scale": scale_of(currency),
            "currency": currency,
            "text": " ".join(text.split()) or None,
            "counterparty": counterparty,
        }

    def own_id(self, on: date) -> str | None:
        """Return the bank's own id of a line: never related to ours, in some banks absent."""
        self._sequence += self._random.choice((1, 1, 2, 7))
        return (
            f"{on:%Y%m%d}{self._sequence:08d}",
            f"FT{on:%y%j}{self._random.randrange(36**5):05X}",
            f"{self._random.getrandbits(64):016x}",
            "NOTPROVIDED",
            None,
        )[self._id_style]

    def _passed_on(self, payment: Payment) -> tuple[str | None, str | None]:
        """Return our reference as it survives in the bank's id field and in its text."""
        ids, random = self._scenario.ids, self._random
        weights = {
            "id": ids.external_id,
            "text": ids.text,
            "both": ids.both,
            "nowhere": ids.nowhere,
        }
        place = choose(random, weights)
        if payment.reference is None or place == "nowhere":
            return None, None
        noise = self._scenario.references
        if random.random() < noise.missing:
            return None, None
        reference = payment.reference
        if random.random() < noise.wrong and len(self._references.given) > 1:
            reference = random.choice(self._references.given)
        reference = self._mangled(reference)
        return (
            reference if place in ("id", "both") else None,
            reference if place in ("text", "both") else None,
        )

    def _mangled(self, reference: str) -> str:
        noise, random = self._scenario.references, self._random
        if random.random() < noise.reformatted:
            reference = reformatted(random, reference)
        if random.random() < noise.transposed and len(reference) > 3:
            k = random.randrange(len(reference) // 2, len(reference) - 1)
            reference = f"{reference[:k]}{reference[k + 1]}{reference[k]}{reference[k + 2 :]}"
        if random.random() < noise.substituted:
            k = random.randrange(len(reference))
            reference = f"{reference[:k]}{random.choice('0123456789')}{reference[k + 1 :]}"
        if random.random() < noise.truncated:
            cut = 16 if len(reference) > 16 else max(5, len(reference) - random.randrange(1, 5))
            reference = reference[:cut]
        return reference

    def _told(
        self,
        payment: Payment,
        amount_minor: int,
        on: date,
        reference: str | None,
        in_id: str | None,
        memo: str | None,
    ) -> tuple[str, str | None]:
        random, dialect = self._random, self._dialect
        name = self._name(payment)
        words = [memo] if memo else self._payers_words(payment, reference)
        if not self._scenario.names_anybody:
            return self._lettered(" ".join(words)), None
        template = random.choice(dialect.arrives if amount_minor > 0 else dialect.leaves)
        if reference and "{memo}" not in template:
            template += " {memo}"
        text = template.format(
            name=name,
            memo=" ".join(words),
            e2e=in_id or "NOTPROVIDED",
            iban=payment.party.iban,
            mandate=f"M{payment.party.number}",
            city=random.choice(CITIES),
            day=f"{payment.on:%d/%m}",
            clock=f"{random.randrange(24):02d}:{random.randrange(60):02d}",
            digits=str(random.randrange(10**9, 10**10)),
            digits4=f"{random.randrange(10**4):04d}",
        )
        counterparty = None if random.random() < self._scenario.names.absent else name
        return self._lettered(text), counterparty and self._lettered(counterparty)

    def _payers_words(self, payment: Payment, reference: str | None) -> list[str]:
        random = self._random
        words = [reference] if reference else []
        if payment.number is not None and random.random() < 0.6:
            words.append(payment.number)
        if random.random() < 0.25:
            words.append(payment.party.number)
        if random.random() < 0.4:
            words.append(payment.memo)
        if random.random() < 0.1:
            words.append(f"{payment.on:%B} {payment.on.year}")
        random.shuffle(words)
        return words

    def _name(self, payment: Payment) -> str:
        noise, random, party = self._scenario.names, self._random, payment.party
        if random.random() < noise.clearing_house:
            return random.choice(CLEARING_HOUSES)
        name = party.name if random.random() < noise.suffix_dropped else party.full_name
        if random.random() < noise.reordered and " " in name:
            first, rest = name.split(" ", 1)
            name = f"{rest}, {first}" if not party.suffix else f"{rest} {first}"
        if random.random() < noise.truncated:
            name = name[: self._dialect.name_chars]
        return name.strip()

    def _lettered(self, text: str) -> str:
        if self._dialect.is_ascii:
            text = text.translate(_GERMAN)
            text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        return text.upper() if self._dialect.is_upper else text


_GERMAN = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "AE", "Ö": "OE", "Ü": "UE", "ß": "ss", "ø": "o"}
)


def reformatted(random: Random, reference: str) -> str:
    """Return a reference as somebody types it: other separators, no prefix, no leading zeros."""
    compact = "".join(letter for letter in reference if letter.isalnum())
    digits = "".join(letter for letter in reference if letter.isdigit())
    kind = random.randrange(7)
    if kind == 0:
        return compact
    if kind == 1:
        return reference.replace("-", " ").replace("/", " ")
    if kind == 2:
        return reference.replace("-", "/")
    if kind == 3:
        return reference.lower()
    if kind == 4:
        return digits.lstrip("0") if len(digits) >= 4 else compact
    if kind == 5:
        return f"{random.choice(('Nr.', 'No', 'RG', 'Ref:', 'Rechnung', 'invoice'))} {reference}"
    return " ".join(compact[k : k + 4] for k in range(0, len(compact), 4))
