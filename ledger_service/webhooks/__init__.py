"""Tells others of entries once they are committed: signed HTTP requests, in the order of seq."""
