"""The JSON of sources and uploads."""

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from recon_service.api.bodies import SourceName, StrictIn, StrictOut
from recon_service.domain.config import SourceConfig


class SourceBody(StrictIn):
    """A new source."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "card_csv",
                    "config": {
                        "kind": "csv",
                        "columns": {
                            "txn_id": "Reference",
                            "timestamp": "Booked",
                            "amount": "Amount",
                            "description": "Text",
                        },
                        "fixed_currency": "EUR",
                        "decimal_style": "1.234,56",
                        "csv": {"delimiter": ";", "fallback_encoding": "cp1252"},
                        "time_zone": "Europe/Berlin",
                    },
                }
            ]
        }
    )

    name: SourceName
    config: dict[str, Any] = Field(description="the definition, as `config` of a source shows it")


class SourceOut(StrictOut):
    name: str
    version: int
    made_at: datetime
    nightly_since: datetime | None
    config: SourceConfig


class SourcePage(StrictOut):
    sources: list[SourceOut]
    next_cursor: str | None
    next: str | None


class UploadOut(StrictOut):
    upload_id: str = Field(description="the SHA-256 of the content")
    size_bytes: int
