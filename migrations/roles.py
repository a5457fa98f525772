"""The roles and schemas that migrations and services need; safe to run again.

`<service>_owner` owns a schema and cannot log in: migrations act as it. `<service>_app` is what the
service logs in as: it sees its own schema, and there only what the migrations granted to it.
"""

import base64
import hashlib
import hmac
import secrets

import asyncpg

SERVICES = ("ledger", "recon")

_SCRAM_ITERATIONS = 4096  # PostgreSQL's own number

# Roles belong to the whole server, so another database's set-up may make them at the same moment.
# A CREATEROLE administrator may act as a role only once it is a member; a superuser always may.
_ONE_ROLE = """\
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} {login};
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
"""
_ONE_SCHEMA = """\
DO $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        GRANT {service}_owner TO CURRENT_USER;
    END IF;
END
$$;
CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {service}_owner;
GRANT USAGE ON SCHEMA {service} TO {service}_app;
DO $$
BEGIN
    IF NOT has_database_privilege('{service}_app', current_database(), 'CONNECT') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO {service}_app', current_database());
    END IF;
END
$$;
"""
_PUBLIC_SCHEMA = """\
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public')
        AND has_schema_privilege('ledger_app', 'public', 'CREATE')
    THEN
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    END IF;
END
$$;
"""


def roles_sql() -> str:
    """The whole as SQL, without passwords."""
    parts = []
    for service in SERVICES:
        parts.append(_ONE_ROLE.format(role=f"{service}_owner", login="NOLOGIN"))
        parts.append(_ONE_ROLE.format(role=f"{service}_app", login="LOGIN"))
        parts.append(_ONE_SCHEMA.format(service=service))
    return "".join(parts) + _PUBLIC_SCHEMA


async def create_roles(
    connection: asyncpg.Connection, *, ledger_password: str | None, recon_password: str | None
) -> None:
    """Create what is missing and set the passwords that are given."""
    passwords = {"ledger_app": ledger_password, "recon_app": recon_password}
    async with connection.transaction():
        # Two set-ups of one database at once would both create its schemas.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('kairon roles'))")
        await connection.execute(roles_sql())
        for role, password in passwords.items():
            if password is not None:
                statement = await connection.fetchval(
                    "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)",
                    role,
                    _scram_verifier(password) if password.isascii() else password,
                )
                await connection.execute(statement)


def _scram_verifier(password: str) -> str:
    """What PostgreSQL stores for a password (RFC 5803), so that no log ever sees the password."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
