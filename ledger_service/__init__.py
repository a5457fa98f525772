"""The ledger: an event-sourced double-entry book behind a REST interface."""
