"""ReconEngine: how a run goes from a statement to proven decisions.

    claim ──▶ load ──────▶ match ───▶ log ──────────▶ finalize
              │            │          │               │
              statement    passes,    one atomic step: what was superseded is freed; records,
              records      off the    lines, match log, matches in force, breaks; then the
              universe     event      equations are proven, the summary is kept and the run
              ledger       loop       is finished. All of it lands, or nothing.
              memory

    load       read and normalise the statement; a bad line is a rejected record
               read the ledger at one seq: the days around the records, what is new, what is open
               choose the records meanwhile: free lines, and open ones that earlier days left
    match      decide every record against the population's free items (pure)
    settle     say what that means for lines, items and breaks (pure: domain/history.py)
    log        append it all through ReconLogger, while the leases are ours; new records at once,
               before anything is settled
    finalize   prove the population equation, or write nothing and fail

Nothing is written before `log`, so a run that was interrupted simply begins again. A dry run goes
the same way with a policy of its own; it keeps lines, decisions and summary, and nothing comes in
force: no match, no break, no memory, no superseded attempt.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import polars as pl
from sqlalchemy.ext.asyncio import AsyncEngine

from recon_service.domain import decisions, equation, history, records
from recon_service.domain.config import SourceConfig
from recon_service.domain.errors import WeightsUnknown
from recon_service.domain.history import Days, Margins, PastRun, Side
from recon_service.domain.run import Claim, Run
from recon_service.domain.settling import Settled, settle_frames
from recon_service.domain.summary import Summary, sentence, summarise
from recon_service.match_log import ReconLogger, Writing
from recon_service.matchers.partition import Outcome, match_partition
from recon_service.matchers.weights import Weights, shipped
from recon_service.readers.ledger_reader import LedgerReader
from recon_service.readers.ledger_reading import read_reading
from recon_service.readers.offload import Offload
from recon_service.readers.statements import Inputs, Statement, read_statement
from recon_service.repositories import history as memory
from recon_service.repositories import runs
from recon_service.repositories.atomic import plain
from shared.clock import Clock

Progress = Callable[[str, Mapping[str, int]], Awaitable[None]]
Matcher = Callable[..., Outcome]
# A run's population is one partition: groups and rivals may lie anywhere in it.
PARTITIONS = 1


class EquationBroken(Exception):
    """The run cannot prove that every line and item ended in exactly one bucket."""

    code = "equation-broken"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Recalled:
    """What earlier runs left behind for this one."""

    universe: history.Universe
    ending: history.Ending
    carried: pl.DataFrame
    known: pl.Series
    open_items: pl.DataFrame
    states: Mapping[str, history.State]


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that a run decides on.

    `universe` has the lines that were known before; all others are free.
    """

    statement: Statement
    superseded: PastRun | None
    universe: history.Universe
    ending: history.Ending
    carried: pl.DataFrame
    items: pl.DataFrame
    taken_items: frozenset[str]
    memory: history.Memory
    known_records: pl.Series
    covered: Days
    covered_before: Days | None
    read_after_seq: int | None
    read_to_seq: int


@dataclass(frozen=True, slots=True)
class Decided:
    """What the matcher decided (`rows`: one per record) and what that means.

    `members` are the `described` ones of matches that are no pairs; `entries` and `listed` are
    what the log keeps of both.
    """

    rows: pl.DataFrame
    members: pl.DataFrame
    entries: pl.DataFrame
    listed: pl.DataFrame
    search: Mapping[str, int]
    learnt: Mapping[str, Any]
    settled: Settled


@dataclass(frozen=True, slots=True)
class ReconEngine:
    """Runs what has been claimed; whoever claimed it keeps the leases alive meanwhile."""

    database: AsyncEngine
    logger: ReconLogger
    ledger: LedgerReader
    inputs: Inputs
    offload: Offload
    clock: Clock
    matcher: Matcher = match_partition

    async def run(self, held: Claim, show: Progress) -> Summary:
        """Reconcile and commit.

        Raises SourceUnreadable, LedgerUnreadable, LaterRunDepends, EquationBroken, WeightsUnknown
        (the run has failed) and LeaseLost (another process has it).
        """
        loaded = await self.load(held.run, show)
        progress = {"ledger_items": loaded.items.height, "partitions": PARTITIONS}
        await show("matching", progress | {"partitions_done": 0})
        outcome = await self.match(held.run, loaded)
        await show("writing", {"partitions_done": PARTITIONS})
        async with self.logger.atomic(held, self.clock()) as writing:
            # What is worked out does not wait for what is being written, nor the other way round.
            decided, _ = await asyncio.gather(
                asyncio.to_thread(_settled, held.run, loaded, outcome),
                self.log_records(writing, loaded),
            )
            summary, _ = await asyncio.gather(
                asyncio.to_thread(_summary, held.run, loaded, decided),
                self.log(writing, loaded, decided),
            )
            await self.finalize(writing, loaded, summary)
            return summary

    async def load(self, run: Run, show: Progress) -> Loaded:
        """Read the statement, the ledger and what earlier runs left behind."""
        statement = await read_statement(
            run, self.inputs, scales=self.ledger.scales, offload=self.offload
        )
        await show(
            "ledger",
            {
                "lines": statement.lines,
                "accepted": statement.accepted.height,
                "rejected": statement.rejected.height,
            },
        )
        async with plain(self.database) as connection:
            find = runs.current_run if run.dry_run else runs.require_no_dependent
            superseded = await find(connection, run.source, run.business_date)
            gone = None if superseded is None else superseded.run_id
            past = await memory.population_runs(connection, run.population)
        others = [one for one in past if one.run_id != gone]
        covered = history.covered_days(
            business_date=run.business_date,
            line_days=statement.days,
            today=self.clock().astimezone(run.config.zone).date(),
        )
        reading = history.plan_reading(
            covered=covered, line_days=statement.days, others=others, margins=Margins.of(run.config)
        )
        reading_ledger = read_reading(self.ledger, run.population, reading, run.config.zone)
        ledger = asyncio.create_task(reading_ledger, name="ledger")
        try:
            recalled = await self._recall(run, statement, gone)
        except BaseException:
            ledger.cancel()
            await asyncio.gather(ledger, return_exceptions=True)
            raise
        read_to_seq, read = await ledger
        items = _merged(read, recalled.open_items, run.config)
        async with plain(self.database) as connection:
            read_before = pl.col("seq") <= await memory.read_to_seq(connection, run.population)
            keys = items.filter(read_before)["internal_id"].to_list()
            taken_items = await memory.taken_items(
                connection, run.population, keys, gone, recalled.ending
            )
            item_states = await memory.states(connection, Side.LEDGER, run.population, keys)
        before = history.coverage(others[1:], others[0].covered) if others else None
        return Loaded(
            statement=statement,
            superseded=superseded,
            universe=recalled.universe,
            ending=recalled.ending,
            carried=recalled.carried,
            items=items,
            taken_items=taken_items,
            memory=history.Memory(recalled.states, item_states),
            known_records=recalled.known,
            covered=covered,
            covered_before=before,
            read_after_seq=reading.after_seq,
            read_to_seq=read_to_seq,
        )

    async def _recall(self, run: Run, statement: Statement, gone: str | None) -> Recalled:
        """Return what earlier runs left behind, `gone` being the superseded one.

        No run has left anything of a line that is not known.
        """
        in_file = statement.accepted["record_id"]
        async with plain(self.database) as connection:
            known = await memory.known_records(connection, statement.accepted)
            remembered = await memory.remembered_records(connection, run.source, gone)
            held = await memory.held_by_others(connection, gone)
            orphans = history.orphaned(
                superseded=sorted(held),
                lines=frozenset(in_file) if held else frozenset(),
                referred_to=await memory.referred_to(connection, held, gone),
                taken=held,
            )
            ending = await memory.ending(connection, orphans)
            remembered += sorted(ending.records)
            lines = known.to_list()
            taken = await memory.taken_records(connection, [*lines, *remembered], gone)
            universe = history.select_universe(
                lines=lines,
                remembered=remembered,
                referred_to=await memory.referred_to(connection, remembered, gone),
                taken={key: by for key, by in taken.items() if key not in ending.records},
            )
            looked_at = [*universe.free, *universe.carried, *universe.withdrawn]
            return Recalled(
                universe=universe,
                ending=ending,
                carried=await memory.load_records(connection, universe.carried),
                known=known,
                open_items=await memory.remembered_items(connection, run.population, gone, ending),
                states=await memory.states(connection, Side.EXTERNAL, run.source, looked_at),
            )

    async def match(self, run: Run, loaded: Loaded) -> Outcome:
        """Decide every record."""
        accepted = loaded.statement.accepted
        held = pl.Series(list(loaded.universe.already_reconciled), dtype=pl.String)
        free = accepted.filter(~pl.col("record_id").is_in(held.implode()))
        left = records.comparable(pl.concat([free, loaded.carried]), run.config)
        taken = pl.Series(list(loaded.taken_items), dtype=pl.String)
        is_taken = pl.col("internal_id").is_in(taken.implode())
        right, gone = loaded.items.filter(~is_taken), loaded.items.filter(is_taken)
        return await self.offload(
            partial(self.matcher, weights=await self._frozen_weights(run)),
            left,
            right.select(records.ITEM_SCHEMA.names()),
            run.config.policy,
            gone.select(records.ITEM_SCHEMA.names()),
        )

    async def _frozen_weights(self, run: Run) -> Weights | None:
        """Return the weights that the policy names. Raises WeightsUnknown."""
        version = run.config.policy.weights
        if version in (None, shipped().version):
            return None if version is None else shipped()
        async with plain(self.database) as connection:
            stored = await memory.learnt_weights(connection, run.source, version)
        if stored is None:
            raise WeightsUnknown(run.source, version)
        return Weights.from_dict(stored)

    async def log_records(self, writing: Writing, loaded: Loaded) -> None:
        """Append the records that no run has seen before."""
        known = loaded.known_records.to_frame()
        await writing.append_records(
            loaded.statement.accepted.join(known, on="record_id", how="anti", maintain_order="left")
        )

    async def log(self, writing: Writing, loaded: Loaded, decided: Decided) -> None:
        """Append lines and decisions; unless it is a dry run, put them in force."""
        statement = loaded.statement
        lines = await asyncio.to_thread(
            decisions.run_lines,
            statement.accepted,
            statement.rejected,
            decided.settled.lines,
            loaded.universe.already_reconciled,
        )
        await writing.append_lines(lines)
        await writing.append_log(decided.entries, decided.listed)
        if writing.held.run.dry_run:
            return
        await writing.supersede(loaded.superseded)
        await writing.end_matches(loaded.ending)
        await writing.put_in_force(decisions.in_force(decided.rows, decided.members))
        await self._change_breaks(writing, loaded, decided)

    async def _change_breaks(self, writing: Writing, loaded: Loaded, decided: Decided) -> None:
        run = writing.held.run
        looked_at = pl.concat([loaded.statement.accepted, loaded.carried])
        for side, scope, states in (
            (Side.EXTERNAL, run.source, loaded.memory.records),
            (Side.LEDGER, run.population, loaded.memory.items),
        ):
            changes = decisions.changed(decided.settled.changes, side)
            known_keys = pl.Series(list(states), dtype=pl.String)
            new = changes.filter(~pl.col("key").is_in(known_keys.implode()))
            opened = decisions.facts(new, looked_at, loaded.items, side)
            await writing.change_breaks(side, scope, changes, opened)

    async def finalize(self, writing: Writing, loaded: Loaded, summary: Summary) -> None:
        """Prove the equations, keep the summary, finish the run. Raises EquationBroken."""
        broken = equation.failures(summary.proof)
        if broken:
            raise EquationBroken("; ".join(sentence(term) for term in broken))
        shown = ["lines", "accepted", "rejected", "exact", "fuzzy", "grouped", "netted"]
        shown += ["suggested", "unmatched"]
        await writing.finish(
            summary=summary.document,
            covered=loaded.covered,
            read_to_seq=loaded.read_to_seq,
            supersedes=None if writing.held.run.dry_run else loaded.superseded,
            counts={name: summary.document[name] for name in shown}
            | {"ledger_items": loaded.items.height}
            | {"partitions": PARTITIONS, "partitions_done": PARTITIONS},
        )


def _settled(run: Run, loaded: Loaded, outcome: Outcome) -> Decided:
    members = decisions.described(outcome.members, outcome.rows)
    settled = settle_frames(
        universe=loaded.universe,
        items=loaded.items,
        taken_items=loaded.taken_items,
        rows=outcome.rows,
        members=members,
        memory=loaded.memory,
        covered_before=loaded.covered_before,
        covered=loaded.covered.joined(loaded.covered_before),
        margins=Margins.of(run.config),
        watermark=loaded.read_after_seq,
    )
    accepted, carried = loaded.statement.accepted, loaded.carried
    return Decided(
        rows=outcome.rows,
        members=members,
        entries=decisions.log_rows(outcome.rows, members, accepted, carried, loaded.items),
        listed=decisions.member_rows(members, pl.concat([accepted, carried]), loaded.items),
        search=asdict(outcome.counts),
        learnt=outcome.learnt,
        settled=settled,
    )


def _summary(run: Run, loaded: Loaded, decided: Decided) -> Summary:
    return summarise(
        lines_read=loaded.statement.lines,
        accepted=loaded.statement.accepted,
        rejected=loaded.statement.rejected.height,
        carried=loaded.carried,
        items=loaded.items,
        settled=decided.settled,
        rows=decided.rows,
        members=decided.members,
        entries=decided.entries,
        listed=decided.listed,
        is_signed=run.config.ledger_account_id is not None,
        search=decided.search,
        learnt=decided.learnt,
        covered=loaded.covered,
        read_to_seq=loaded.read_to_seq,
    )


def _merged(read: pl.DataFrame, remembered: pl.DataFrame, config: SourceConfig) -> pl.DataFrame:
    """Return each item once, with its day in the source's zone, in the ledger's order."""
    return (
        pl.concat([read, remembered])
        .unique("internal_id")
        .sort("seq", "internal_id")
        .with_columns(records.on_local_date("effective_at", config=config, name="effective_on"))
    )
