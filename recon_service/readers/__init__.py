"""Readers: bring a source's lines into columns of strings."""
