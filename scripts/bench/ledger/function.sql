-- The same transfer as one SQL function: balances, running entries, floors and keys, no history
-- that could be replayed. Called by pgbench in one round trip; psql variable: accounts.

CREATE TABLE account (
    account_id int PRIMARY KEY,
    floor_minor bigint,
    balance_minor bigint NOT NULL,
    position bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE TABLE transfer (
    transfer_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    idempotency_key uuid NOT NULL UNIQUE,
    source_id int NOT NULL,
    destination_id int NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    recorded_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE entry (
    transfer_id bigint NOT NULL,
    account_id int NOT NULL,
    amount_minor bigint NOT NULL,
    balance_after_minor bigint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (transfer_id, account_id)
);
CREATE INDEX ON entry (account_id, transfer_id);

INSERT INTO account (account_id, floor_minor, balance_minor)
SELECT account_id, 0, 100000000 FROM generate_series(1, :accounts) AS account_id;

CREATE FUNCTION transfer(key uuid, source int, destination int, amount bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    -- in the order of their ids, so that two transfers never wait for each other
    PERFORM 1 FROM account WHERE account_id IN (source, destination) ORDER BY account_id FOR UPDATE;
    IF (SELECT balance_minor - amount < floor_minor FROM account WHERE account_id = source) THEN
        RAISE EXCEPTION 'insufficient funds';
    END IF;
    INSERT INTO transfer (idempotency_key, source_id, destination_id, amount_minor)
    VALUES (key, source, destination, amount) RETURNING transfer_id INTO made;
    WITH changed AS (
        UPDATE account SET
            balance_minor = balance_minor
                + CASE account_id WHEN source THEN -amount ELSE amount END,
            position = position + 1
        WHERE account_id IN (source, destination)
        RETURNING account_id, balance_minor, position
    )
    INSERT INTO entry
    SELECT made, account_id, CASE account_id WHEN source THEN -amount ELSE amount END,
        balance_minor, position
    FROM changed;
    RETURN made;
END
$$;
