"""The reconciliation service: proves the books against what the outside world recorded."""
