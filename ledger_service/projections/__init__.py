"""What can be rebuilt from the log at any time: accounts and balances."""

from ledger_service.projections.engine import ProjectionEngine

__all__ = ["ProjectionEngine"]
