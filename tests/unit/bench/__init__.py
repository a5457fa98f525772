"""Tests of what the benches compute."""
