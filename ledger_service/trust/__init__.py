"""What lets others check the books: seals of the log, signed anchors, and checks against both."""
