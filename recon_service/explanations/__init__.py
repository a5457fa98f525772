"""Explanations: turns what a decision was based on into words, numbers and pictures."""
