"""The one exception of all readers: a source that cannot be read as a whole."""


class SourceUnreadable(Exception):
    """Says in one plain sentence (`detail`) why nothing could be read; `code` is stable.

    A single bad line is never this: it becomes a rejected record.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
