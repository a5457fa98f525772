"""The refusals of the service; each class is one stable problem `code`.

AppError
├── NotFound
│   ├── UnknownSource       404
│   ├── UnknownRun          404
│   ├── NoSummary           404
│   ├── UnknownLogEntry     404
│   └── UnknownRecord       404  no such record, or no run meant has decided it
├── Conflict
│   ├── LaterRunDepends     409  a later day counts a line as reconciled by the run to supersede
│   ├── RunNotFinished      409  a run that waits, goes on or failed has no summary
│   ├── RunQueueFull        409  more runs of the source are waiting than it takes
│   ├── SourceExists        409
│   ├── RunsNotComparable   409  two runs of different sources, or one that has not finished
│   └── VersionMismatch     412  If-Match names another version
├── InvalidSource           422  the definition of a source is not valid
├── InvalidPolicy           422  the policy that a dry run is to try out is not valid
├── InvalidStatement        422  the file named by a request cannot be used
├── DateInFuture            422
├── UploadTooLarge          413
└── Unavailable
    └── LedgerUnavailable   503  the ledger cannot be read now
"""

from shared.errors import AppError, Conflict, NotFound, Unavailable


class WeightsUnknown(Exception):
    """The policy freezes weights that no run of the source has learnt."""

    code = "weights-unknown"

    def __init__(self, source: str, version: str) -> None:
        self.detail = f"no run of {source} has learnt the weights {version}"
        super().__init__(self.detail)


class UnknownSource(NotFound):
    code, title = "unknown_source", "There is no source of that name"


class UnknownRun(NotFound):
    code, title = "unknown_run", "There is no such run"


class NoSummary(NotFound):
    code, title = "no_summary", "No finished run has a summary for this"


class UnknownLogEntry(NotFound):
    code, title = "unknown_log_entry", "There is no such entry in the match log"


class UnknownRecord(NotFound):
    code, title = "unknown_record", "There is no decision about such a record"


class LaterRunDepends(Conflict):
    code, title = "later_run_depends", "A later day's run depends on the run to be superseded"


class RunNotFinished(Conflict):
    code, title = "run_not_finished", "The run has no summary, or none yet"


class RunQueueFull(Conflict):
    code, title = "run_queue_full", "More runs of the source are waiting than it takes"
    retry_after_seconds = 10


class SourceExists(Conflict):
    code, title = "source_exists", "A source of that name exists"


class RunsNotComparable(Conflict):
    code, title = "runs_not_comparable", "The two runs cannot be compared"


class VersionMismatch(AppError):
    code, title, status = "version_mismatch", "The source has another version by now", 412


class InvalidSource(AppError):
    code, title, status = "invalid_source", "The definition of the source is not valid", 422


class InvalidPolicy(AppError):
    code, title, status = "invalid_policy", "The policy to try out is not valid", 422


class InvalidStatement(AppError):
    code, title, status = "invalid_statement", "The statement cannot be used", 422


class DateInFuture(AppError):
    code, title, status = "date_in_future", "The business date lies in the future", 422


class UploadTooLarge(AppError):
    code, title, status = "upload_too_large", "The upload is larger than the service takes", 413


class LedgerUnavailable(Unavailable):
    code, title = "ledger_unavailable", "The ledger cannot be read now"
