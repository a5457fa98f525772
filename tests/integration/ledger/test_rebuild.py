"""Projections are made anew from the log, compared, and repaired beside a running service."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from ledger_service.projections.rebuild import RebuildRefused, Rebuilt, look, repair
from ledger_service.projections.verifier import verify
from ledger_service.tables import MAIN_LEDGER_ID
from tests.integration.ledger.calls import balance, open_account, transfer
from tests.integration.ledger.histories import write_history
from tests.postgres import TestDatabases


@pytest.fixture
async def admin(databases: TestDatabases) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(databases.admin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def app(databases: TestDatabases) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(databases.ledger_url)
    yield connection
    await connection.close()


async def differing(connection: asyncpg.Connection) -> list[str]:
    return [str(one) for one in (await look(connection, MAIN_LEDGER_ID)).differences]


DAMAGES = {
    "balances": (
        "UPDATE ledger.balances SET credits_minor = credits_minor + 1 WHERE position > 0",
        "DELETE FROM ledger.balances WHERE position > 0",
        "UPDATE ledger.balances SET held_debits_minor = held_debits_minor + 7",
        "INSERT INTO ledger.balances (ledger_id, account_id) VALUES (1, gen_random_uuid())",
    ),
    "accounts": (
        "UPDATE ledger.accounts SET floor_minor = -5, ceiling_minor = NULL, version = 77",
        "UPDATE ledger.accounts SET metadata = '{\"a\": 1}', opened_at = now()",
        "DELETE FROM ledger.accounts",
        "UPDATE ledger.accounts SET code = 'x' || code WHERE code IS NOT NULL",
        "UPDATE ledger.accounts SET frozen = 'all', status = 'closed', type = 'martian'",
    ),
    "holds": (
        "UPDATE ledger.holds SET amount_minor = amount_minor + 1",
        "UPDATE ledger.holds SET status = 'voided' WHERE status = 'open'",
        "DELETE FROM ledger.holds",
    ),
    "periods": (
        "UPDATE ledger.periods SET status = 'open', late = 'next_open_day', name = 'x'",
        "DELETE FROM ledger.periods",
        "INSERT INTO ledger.periods VALUES "
        "(1, gen_random_uuid(), 'x', now(), now() + interval '1 day', 'open', 'refuse')",
    ),
    "reversals": (
        "UPDATE ledger.reversals SET amounts_minor = '{1,1}'",
        "DELETE FROM ledger.reversals",
        "INSERT INTO ledger.reversals VALUES (1, gen_random_uuid(), 9, gen_random_uuid(), '{1}')",
    ),
}


async def damage(admin: asyncpg.Connection, statement: str) -> None:
    async with admin.transaction():
        await admin.execute("ALTER TABLE ledger.reversals DISABLE TRIGGER ALL")
        assert not (await admin.execute(statement)).endswith(" 0")
        for trigger in ("refuse_change", "refuse_truncate"):
            await admin.execute(f"ALTER TABLE ledger.reversals ENABLE ALWAYS TRIGGER {trigger}")


@pytest.mark.parametrize("table", DAMAGES)
async def test_every_damaged_projection_is_named_and_repaired(
    admin: asyncpg.Connection, app: asyncpg.Connection, table: str
) -> None:
    await write_history(app, seed=1)
    assert await differing(app) == []
    for epoch, statement in enumerate(DAMAGES[table], 1):
        await damage(admin, statement)
        found = await look(app, MAIN_LEDGER_ID)
        named = list(map(str, found.differences))
        assert named, statement
        assert all(one.startswith(f"{table} ") for one in named)
        repaired = await repair(admin, found)
        assert list(map(str, repaired.differences)) == named
        assert repaired.epoch == epoch
        assert await differing(app) == []
        assert (await verify(app, MAIN_LEDGER_ID)).findings == []
    with pytest.raises(asyncpg.RestrictViolationError):
        await admin.execute("DELETE FROM ledger.reversals")


async def test_what_agrees_is_left_alone(
    admin: asyncpg.Connection, app: asyncpg.Connection
) -> None:
    entries = await write_history(app, seed=2)
    repaired = await repair(admin, await look(app, MAIN_LEDGER_ID))
    assert (repaired.entries, repaired.differences, repaired.epoch) == (entries, [], None)
    assert await admin.fetchval("SELECT epoch FROM ledger.ledgers") == 0


async def test_codes_that_two_accounts_have_swapped_go_back(
    admin: asyncpg.Connection, app: asyncpg.Connection, ledger: httpx.AsyncClient
) -> None:
    one = await open_account(ledger, code="assets:one")
    two = await open_account(ledger, code="assets:two")
    for account_id, code in ((one, None), (two, "assets:one"), (one, "assets:two")):
        await admin.execute(
            "UPDATE ledger.accounts SET code = $2 WHERE account_id = $1", account_id, code
        )
    assert len((await repair(admin, await look(app, MAIN_LEDGER_ID))).differences) == 2
    assert await differing(app) == []


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE ledger.ledgers SET last_seq = last_seq + 1", "the head says that it ends with"),
        ("UPDATE ledger.ledgers SET last_recorded_at = now()", "the head says that it ends with"),
        ("DELETE FROM ledger.journal WHERE seq = 5", "seq 5 is missing"),
        ("DELETE FROM ledger.events WHERE line = 2", "are not those that its payload makes"),
        ("UPDATE ledger.journal SET payload = '{}' WHERE seq = 2", "the payload of seq 2"),
        ("DELETE FROM ledger.journal WHERE seq > 4", "the journal ends with seq 4"),
    ],
)
async def test_nothing_is_made_of_a_damaged_log(
    admin: asyncpg.Connection, app: asyncpg.Connection, statement: str, sentence: str
) -> None:
    await write_history(app, seed=1)
    for table in ("journal", "events"):
        await admin.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL")
    await admin.execute(statement)
    if "seq > 4" in statement:
        await admin.execute("DELETE FROM ledger.events WHERE seq > 4")
    with pytest.raises(RebuildRefused, match=sentence):
        await look(app, MAIN_LEDGER_ID)
    with pytest.raises(RebuildRefused, match=sentence):
        await repair(admin, Rebuilt(MAIN_LEDGER_ID))


async def test_a_running_service_goes_on_from_what_was_repaired(
    ledger: httpx.AsyncClient, admin: asyncpg.Connection, app: asyncpg.Connection
) -> None:
    """It remembers every account; the damage, and what it makes of it, must not come back."""
    funding = await open_account(ledger, "internal")
    users = [await open_account(ledger) for _ in range(4)]
    for user in users:
        await transfer(ledger, funding, user, "100.00")
    await damage(admin, "UPDATE ledger.balances SET credits_minor = credits_minor + 500")
    await damage(admin, "UPDATE ledger.accounts SET floor_minor = -99, currency = 'EUR'")
    found = await look(app, MAIN_LEDGER_ID)
    await transfer(ledger, users[0], users[1], "1.00")  # appended after the look
    repaired = await repair(admin, found)
    assert {one.projection.table for one in repaired.differences} == {"accounts", "balances"}
    assert repaired.entries == found.entries == 5 + 4 + 1
    answers = [await transfer(ledger, users[1], user, "2.00") for user in users if user != users[1]]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert await balance(ledger, users[1]) == "95.00"
    refused = await transfer(ledger, users[0], users[1], "101.01")
    assert refused.status_code == 422
    assert (await verify(app, MAIN_LEDGER_ID)).findings == []
    assert await differing(app) == []


async def test_a_committer_that_believed_the_damage_reads_again(
    ledger: httpx.AsyncClient, admin: asyncpg.Connection, app: asyncpg.Connection
) -> None:
    """A service that has read damaged rows holds them in memory: the new epoch takes them away."""
    funding = await open_account(ledger, "internal")
    user = await open_account(ledger)
    await transfer(ledger, funding, user, "10.00")
    await admin.execute("UPDATE ledger.ledgers SET epoch = epoch + 1")  # it forgets,
    await damage(admin, "UPDATE ledger.accounts SET floor_minor = NULL WHERE type = 'user'")
    overdrawn = await transfer(ledger, user, funding, "11.00")  # and believes what it reads
    assert overdrawn.status_code == 201
    await repair(admin, await look(app, MAIN_LEDGER_ID))
    assert (await transfer(ledger, user, funding, "1.00")).status_code == 422
    assert await differing(app) == []


async def test_transfers_go_on_during_looks_and_repairs(
    ledger: httpx.AsyncClient, admin: asyncpg.Connection, app: asyncpg.Connection
) -> None:
    funding = await open_account(ledger, "internal")
    users = [await open_account(ledger) for _ in range(3)]

    async def post(user: str) -> list[int]:
        return [(await transfer(ledger, funding, user, "1.00")).status_code for _ in range(60)]

    posting = asyncio.gather(*map(post, users))
    repaired = 0
    while not posting.done():
        await damage(admin, "UPDATE ledger.accounts SET version = version + 1")
        found = await repair(admin, await look(app, MAIN_LEDGER_ID))
        repaired += len(found.differences)
    assert await posting == [[201] * 60] * 3
    assert repaired >= 4
    assert [await balance(ledger, user) for user in users] == ["60.00"] * 3
    assert (await verify(app, MAIN_LEDGER_ID)).findings == []
