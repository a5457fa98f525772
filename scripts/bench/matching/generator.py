"""Makes books, the bank's statement about them, and the truth: what is the same money.

parties, contracts ─▶ payments ─┬─▶ our books write it   ─▶ items   ┐
                                ├─▶ the bank tells it    ─▶ records ├─ Case
                                └─▶ what belongs together ─▶ truth  ┘

It knows nothing of the matcher: neither its features nor its thresholds. The same scenario, size
and seed give the same case, whatever the machine.
"""

from dataclasses import dataclass
from random import Random

import polars as pl

from recon_service.domain.config import Policy
from recon_service.domain.records import ITEM_SCHEMA, RECORD_SCHEMA
from scripts.bench.matching.bank import Bank
from scripts.bench.matching.books import Books
from scripts.bench.matching.events import Business
from scripts.bench.matching.scenarios import SCENARIOS, Scenario
from scripts.bench.matching.shapes import Teller
from scripts.bench.matching.story import Story


@dataclass(frozen=True, slots=True)
class Case:
    """One set of books and statement: RECORD_SCHEMA, ITEM_SCHEMA, and TRUTH_SCHEMA of both."""

    scenario: str
    seed: int
    records: pl.DataFrame
    items: pl.DataFrame
    policy: Policy
    truth: pl.DataFrame


def generate(scenario: str | Scenario, *, rows: int, seed: int) -> Case:
    """Return about `rows` economic events as both sides tell them."""
    plan = SCENARIOS[scenario] if isinstance(scenario, str) else scenario
    chance = {
        part: Random(f"{plan.name}/{seed}/{part}")
        for part in ("business", "books", "bank", "teller", "order")
    }
    business = Business(chance["business"], plan, rows)
    payments = business.payments(rows)
    story = Story()
    teller = Teller(
        random=chance["teller"],
        scenario=plan,
        business=business,
        books=Books(chance["books"]),
        bank=Bank(chance["bank"], plan, business.references),
        story=story,
    )
    for payment in payments:
        teller.tell(payment)
    chance["order"].shuffle(story.records)
    chance["order"].shuffle(story.items)
    amount = pl.col("amount_minor") if plan.is_signed else pl.col("amount_minor").abs()
    return Case(
        scenario=plan.name,
        seed=seed,
        records=pl.DataFrame(story.records, schema=RECORD_SCHEMA).with_columns(amount),
        items=pl.DataFrame(story.items, schema=ITEM_SCHEMA).with_columns(amount),
        policy=plan.policy,
        truth=story.truth(),
    )
