"""Conditions on a command, under the name by which routes ask for them."""

from ledger_service.api.conditions import ConditionBody, Conditions, conditions_of

__all__ = ["ConditionBody", "Conditions", "conditions_of"]
