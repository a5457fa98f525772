"""`python -m migrations upgrade|check|schema|index-metadata`: the database's tables and indexes."""

import argparse
import os
import sys

from alembic.util import CommandError
from sqlalchemy.engine import make_url

from migrations.index_metadata import SUBJECTS, index_metadata
from migrations.prepare import DatabaseNotReady, check_database, prepare_database, schema_sql
from shared.stack_files import read_environment, stack_files

INFRASTRUCTURE = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m migrations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("upgrade", help="create roles and schemas and migrate both services")
    commands.add_parser("check", help="compare the migrated tables with what the code declares")
    commands.add_parser("schema", help="print the whole database as SQL; needs no server")
    index = commands.add_parser(
        "index-metadata", help="give a key of metadata an index, so that lists are filtered by it"
    )
    index.add_argument("key")
    index.add_argument("--of", choices=SUBJECTS, default="accounts", dest="subject")
    arguments = parser.parse_args()
    chosen = arguments.command
    if chosen == "schema":
        print(schema_sql(), end="")
        return 0
    names = read_environment(stack_files()) | os.environ
    if "DATABASE_URL" not in names:
        print("Set DATABASE_URL to the administrator's postgresql://… URL.", file=sys.stderr)
        return INFRASTRUCTURE
    try:
        if chosen == "upgrade":
            upgrade(names)
        elif chosen == "index-metadata":
            index_metadata(names["DATABASE_URL"], arguments.subject, arguments.key)
            print(f"Lists of {arguments.subject} can be filtered by {arguments.key} now.")
        else:
            check_database(names["DATABASE_URL"])
    except (DatabaseNotReady, CommandError) as error:
        print(error, file=sys.stderr)
        return INFRASTRUCTURE
    return 0


def upgrade(names: dict[str, str]) -> None:
    """Prepare the database of DATABASE_URL; the services' URLs, where set, name the passwords."""
    prepare_database(
        names["DATABASE_URL"],
        ledger_password=_password(names.get("LEDGER_DATABASE_URL")),
        recon_password=_password(names.get("RECON_DATABASE_URL")),
    )
    print("The database is ready: roles, schemas and migrations of ledger and recon.")


def _password(url: str | None) -> str | None:
    return make_url(url).password if url else None


if __name__ == "__main__":
    sys.exit(main())
