"""The rules of the books, pure: nothing here reads a clock, a database or a setting."""
