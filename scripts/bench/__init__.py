"""Measurements behind decisions; never part of the tests."""
