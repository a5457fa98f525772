"""The business rules, one module for each kind of command."""
