"""Frames that travel between processes arrive as they left."""

from datetime import UTC, date, datetime
from multiprocessing.reduction import ForkingPickler
from pickle import loads

import polars as pl

from recon_service.domain.records import ACCEPTED_SCHEMA
from recon_service.readers import offload


def test_a_frame_travels_as_arrow_and_arrives_whole() -> None:
    line = (2, 60, None, datetime(2025, 7, 13, tzinfo=UTC), date(2025, 7, 13), -1, 2, "EUR")
    frame = pl.DataFrame([(*line, "Café", None, "ab", 0)] * 3, ACCEPTED_SCHEMA, orient="row")
    sent = bytes(ForkingPickler.dumps({"accepted": frame[1:]}))
    assert offload.__name__.encode() in sent
    arrived = loads(sent)["accepted"]  # noqa: S301 (our own bytes)
    assert arrived.schema == ACCEPTED_SCHEMA
    assert arrived.equals(frame[1:])
