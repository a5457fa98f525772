"""Unit tests of the reconciliation service."""
