"""The ledger's bench: one command, one table, each rate beside the same server's pgbench."""
