"""Programs for people: start and stop everything, run the tests, seed the books."""
