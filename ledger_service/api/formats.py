"""In which format a report is wanted: by `?format=`, else by the Accept header."""

from typing import Annotated, Any, Literal

from fastapi import Query, Response

from shared.streaming import CSV, preferred

PDF = "application/pdf"
Format = Annotated[
    Literal["json", "csv", "pdf"] | None,
    Query(description="as the Accept header would say: `json` by default, `csv` or `pdf`"),
]
TableFormat = Annotated[
    Literal["json", "csv"] | None,
    Query(description="as the Accept header would say: `json` by default, or `csv`"),
]
_MEDIA_TYPES = {"csv": CSV, "pdf": PDF, "json": "application/json"}
_NAMES = {media_type: name for name, media_type in _MEDIA_TYPES.items()}


def wanted_format(asked: str | None, accept: str | None) -> str:
    """Return `json`, `csv` or `pdf`."""
    return asked or _NAMES.get(preferred(accept) or "", "json")


def file_responses(*names: str) -> dict[int | str, dict[str, Any]]:
    """Declare the formats beside JSON for a route's `responses=`."""
    content: dict[str, Any] = {}
    for name in names:
        kind = {"type": "string"} | ({"format": "binary"} if name == "pdf" else {})
        content[_MEDIA_TYPES[name]] = {"schema": kind}
    return {200: {"content": content, "description": "the report, as JSON or as a file"}}


def file_response(content: str | bytes, kind: str, name: str) -> Response:
    """Return a report as a file with a name; `name` holds nothing that a header would escape."""
    return Response(
        content,
        media_type=_MEDIA_TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}.{kind}"'},
    )
