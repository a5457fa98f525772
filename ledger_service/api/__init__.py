"""The REST edge: translate a request, let the processor or a repository act, translate back."""
