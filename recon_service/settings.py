"""What the reconciliation service is configured with; every key has the prefix RECON_."""

from pathlib import Path
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings
from shared.stack_files import PROJECT_ROOT, data_dir


def _a_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not an IANA time zone such as 'Europe/Berlin' or 'UTC'")
    return name


class ReconSettings(ServiceSettings):
    """Settings of one reconciliation process."""

    model_config = SettingsConfigDict(env_prefix="RECON_", extra="ignore", frozen=True)

    ledger_url: str = Field(
        default="http://127.0.0.1:8000",
        pattern="^https?://[^/]+/?$",
        description="where the ledger answers",
    )
    ledger_seconds_max: float = Field(
        default=60, gt=0, le=3_600, description="longest silence of the ledger during an answer"
    )
    inbox: Path = Field(
        default=PROJECT_ROOT / "data",
        description="folder below which the API may name statement files",
    )
    uploads: Path | None = Field(
        default=None,
        description="folder for uploaded statements; several copies of the service share it; "
        "default: uploads in the data directory",
    )
    file_bytes_max: int = Field(
        default=536_870_912, ge=1_024, description="largest statement file or upload that is read"
    )
    api_hosts: frozenset[str] = Field(
        default=frozenset({"127.0.0.1:8002"}),
        description='hosts that sources may fetch from, as JSON: ["bank.example", "10.0.0.5:8443"]',
    )
    workers: int = Field(
        default=1,
        ge=0,
        le=64,
        description="processes that read and match; 0: in threads of the service itself",
    )
    runs_at_once: int = Field(
        default=2, ge=1, le=64, description="runs of different populations at the same time"
    )
    queue_max: int = Field(
        default=20, ge=1, le=10_000, description="runs of one source that may wait; more get a 409"
    )
    lease_seconds: float = Field(
        default=30,
        ge=1,
        le=3_600,
        description="how long a silent process keeps its run before another takes it over",
    )
    poll_seconds: float = Field(
        default=2, gt=0, le=600, description="how often the queue is looked at without being asked"
    )
    write_timeout_ms: int = Field(
        default=600_000,
        ge=1_000,
        le=3_600_000,
        description="longest that one statement of a run's atomic step may run",
    )
    nightly: bool = Field(default=True, description="whether this copy starts nightly runs")
    nightly_hour: int = Field(default=2, ge=0, le=23, description="hour of the nightly runs")
    nightly_minute: int = Field(default=30, ge=0, le=59, description="minute of the nightly runs")
    nightly_timezone: Annotated[str, AfterValidator(_a_zone)] = Field(
        default="UTC", description="time zone of that hour and minute"
    )
    catch_up_days_max: int = Field(
        default=7, ge=0, le=366, description="missed nights that are caught up at start"
    )

    def uploads_folder(self) -> Path:
        """Return where uploads lie."""
        return self.uploads or data_dir() / "uploads"
