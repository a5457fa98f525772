"""Random histories of every command against a small model of the books."""
