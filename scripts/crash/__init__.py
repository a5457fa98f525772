"""The crash run: a ledger under load is killed again and again, and must stay true."""
