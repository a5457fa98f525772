"""Reads of the books, each one statement; none of them can write."""
