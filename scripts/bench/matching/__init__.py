"""Measures how well the matcher pairs: generated books and statements, truth, and baselines."""
