"""The speed bench of the reconciliation: statements of any size through the real services."""
