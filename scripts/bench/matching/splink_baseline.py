"""Splink 5 on DuckDB with the settings that its documentation gives for linking transactions.

As documented: amount by percentage steps, memo by Levenshtein distance, a one-sided date distance,
u by random sampling, m by expectation maximisation, a prior of one counterpart each. Ours differ
from the example in having a reference and a counterparty, so these two are compared as well and
the rarity of an amount counts (all of which helps), and in a policy, which is the blocking rule.
Pairs are then chosen greedily, one to one.

Needs the group `bench`: `uv run --group bench python -m scripts.bench.matching`.
"""

import logging
import time
from importlib.util import find_spec
from typing import Any

import polars as pl

from scripts.bench.matching.baselines import greedy, ranking
from scripts.bench.matching.generator import Case
from scripts.bench.matching.prediction import Prediction

ABSENT = (
    "Splink is not installed, so its row is missing:"
    " uv run --group bench python -m scripts.bench.matching"
)
_RANDOM_PAIRS_MAX = 1e5
_PREDICTED_FROM = 0.001


def is_installed() -> bool:
    """Tell whether the baseline can run."""
    return find_spec("splink") is not None


def splink(case: Case) -> Prediction:
    """Link the items (left) with the records (right)."""
    logging.disable(logging.WARNING)  # it reports every chunk and iteration
    started = time.perf_counter()
    try:
        scored = _scored(case)
    finally:
        logging.disable(logging.NOTSET)
    matches = greedy(
        scored, auto=case.policy.auto_threshold, suggested=case.policy.suggest_threshold
    )
    return Prediction(
        "splink",
        matches,
        ranking(scored, matches),
        time.perf_counter() - started,
        scores_are_probabilities=True,
    )


def _scored(case: Case) -> list[tuple[float, str, str]]:
    """Return score, record and item of every pair worth looking at."""
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on
    from splink.blocking_rule_library import CustomRule
    from splink.internals.exceptions import EMTrainingException

    api = DuckDBAPI()
    frames = [
        api.register(_ledger(case).to_arrow(), dataset_display_name="a_ledger"),
        api.register(_bank(case).to_arrow(), dataset_display_name="b_bank"),
    ]
    settings = SettingsCreator(
        link_type="link_only",
        unique_id_column_name="unique_id",
        probability_two_random_records_match=1 / max(case.items.height, 2),
        blocking_rules_to_generate_predictions=[CustomRule(_gates(case))],
        comparisons=_comparisons(),
        retain_intermediate_calculation_columns=False,
    )
    linker = Linker(frames, settings)
    linker.training.estimate_u_using_random_sampling(max_pairs=_RANDOM_PAIRS_MAX, seed=1)
    training = linker.training
    training.estimate_parameters_using_expectation_maximisation(block_on("amount"))
    for columns in (("counterparty", "transaction_date"), ("transaction_date",)):
        try:  # where the books name nobody, no two names are equal
            training.estimate_parameters_using_expectation_maximisation(block_on(*columns))
            break
        except EMTrainingException:
            continue
    found = linker.inference.predict(threshold_match_probability=_PREDICTED_FROM)
    pairs = found.as_duckdbpyrelation().select("match_probability, unique_id_r, unique_id_l")
    return [(float(score), record, item) for score, record, item in pairs.fetchall()]


def _ledger(case: Case) -> pl.DataFrame:
    return case.items.select(
        unique_id="internal_id",
        amount=pl.col("amount_minor").cast(pl.Float64),
        transaction_date="effective_on",
        memo=pl.col("text").str.to_lowercase(),
        reference=pl.col("reference").str.to_lowercase(),
        counterparty=pl.col("counterparty").str.to_lowercase(),
        currency="currency",
        scale=pl.lit(0),
    )


def _bank(case: Case) -> pl.DataFrame:
    return case.records.select(
        unique_id="record_id",
        amount=pl.col("amount_minor").cast(pl.Float64),
        transaction_date="booked_on",
        memo=pl.col("text").str.to_lowercase(),
        reference=pl.col("external_id").str.to_lowercase(),
        counterparty=pl.col("counterparty").str.to_lowercase(),
        currency="currency",
        scale=pl.col("scale").cast(pl.Int32),
    )


def _gates(case: Case) -> str:
    """Return the policy as a blocking rule; l is the ledger, r the bank."""
    window, tolerance = case.policy.window, case.policy.amount_tolerance
    if not (float(tolerance.absolute) or float(tolerance.percent)):
        # the same pairs, by a key that can be joined
        return f"""
            l.currency = r.currency and l.amount = r.amount
            and r.transaction_date - l.transaction_date
                between -{window.before_days} and {window.after_days}
        """
    return f"""
        l.currency = r.currency
        and r.transaction_date - l.transaction_date
            between -{window.before_days} and {window.after_days}
        and abs(r.amount - l.amount) <= greatest(
            {float(tolerance.absolute)} * pow(10, r.scale),
            {float(tolerance.percent)} / 100 * abs(l.amount)) + 1e-6
    """


def _comparisons() -> list[Any]:
    import splink.comparison_level_library as levels
    import splink.comparison_library as library

    within = (
        "transaction_date_r - transaction_date_l <= {} and transaction_date_r >= transaction_date_l"
    )
    return [
        {
            "output_column_name": "amount",
            "comparison_levels": [
                levels.NullLevel("amount"),
                levels.ExactMatchLevel("amount", term_frequency_adjustments=True),
                *(levels.PercentageDifferenceLevel("amount", p) for p in (0.01, 0.03, 0.1, 0.3)),
                levels.ElseLevel(),
            ],
        },
        library.LevenshteinAtThresholds("memo", [2, 6, 10]),
        {
            "output_column_name": "transaction_date",
            "comparison_levels": [
                levels.NullLevel("transaction_date"),
                *(
                    {"sql_condition": within.format(days), "label_for_charts": f"<={days} days"}
                    for days in (1, 4, 10, 30)
                ),
                levels.ElseLevel(),
            ],
        },
        {
            "output_column_name": "reference",
            "comparison_levels": [
                levels.NullLevel("reference"),
                levels.ExactMatchLevel("reference"),
                {
                    "sql_condition": "contains(memo_r, reference_l)",
                    "label_for_charts": "in the memo",
                },
                levels.LevenshteinLevel("reference", 2),
                levels.ElseLevel(),
            ],
        },
        library.JaroWinklerAtThresholds("counterparty", [0.9, 0.7]),
    ]
