"""Ids: UUIDs made and read by compiled code, since each request names several."""

import re
from typing import Annotated, Any
from uuid import UUID

from asyncpg.pgproto import pgproto
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from uuid_utils import uuid7

_FORM = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)


def new_id() -> UUID:
    """Return a new UUID of version 7: later ones sort after earlier ones."""
    made: UUID = pgproto.UUID(uuid7().bytes)
    return made


def parse_id(value: Any) -> UUID:
    """Return the UUID that a text of hexadecimal digits names; raise PydanticCustomError."""
    if isinstance(value, str) and _FORM.fullmatch(value):
        parsed: UUID = pgproto.UUID(value)
        return parsed
    if isinstance(value, UUID):
        return value
    raise PydanticCustomError("uuid_parsing", "is not a UUID")


class _IdSchema:
    """Tells Pydantic to read with `parse_id` and to describe the field as a UUID."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            parse_id, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "uuid"}


Id = Annotated[UUID, _IdSchema]
