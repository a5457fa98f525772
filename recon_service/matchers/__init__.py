"""Matchers: pure functions that pair records with ledger items."""
