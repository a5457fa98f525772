"""Routes of sources: their definitions, changed by merge patch, every version kept."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Request, Response

from recon_service.api.bodies import SourcePath
from recon_service.api.source_bodies import SourceBody, SourceOut, SourcePage
from recon_service.api.validation import validated
from recon_service.dependencies import Held
from recon_service.domain.config import SourceConfig, patched
from recon_service.domain.errors import (
    InvalidSource,
    SourceExists,
    UnknownSource,
    VersionMismatch,
)
from recon_service.repositories.atomic import atomic, plain
from recon_service.repositories.idempotency import first_answer, keep_answer
from recon_service.repositories.sources import (
    Source,
    change_source,
    create_source,
    find_source,
    list_sources,
    list_versions,
    lock_source,
)
from shared.errors import InvalidCursor, KeyInFlight, KeyReused
from shared.idempotency import REPLAYED_HEADER, KeyHeader, identify
from shared.lists import LIMIT_DEFAULT, Cursor, Limit, next_link
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import body_responses, problem_responses
from shared.strict_json import StrictJSONRoute
from shared.text import Metadata

router = APIRouter(prefix="/recon/sources", tags=["sources"], route_class=StrictJSONRoute)
VERSION_MAX = 2**31 - 1
IfMatch = Annotated[
    str | None,
    Header(max_length=40, description='the version that the change is meant for, as in "3"'),
]
Changes = Annotated[
    Metadata,
    Body(
        description="a JSON merge patch (RFC 7396) of `config`; null removes a key",
        openapi_examples={
            "policy": {
                "summary": "accept small differences",
                "value": {"policy": {"amount_tolerance": {"absolute": "0.05"}}},
            }
        },
    ),
]


@router.get(
    "/",
    summary="List sources",
    response_model=SourcePage,
    responses=problem_responses(InvalidCursor),
)
async def get_sources(
    request: Request, held: Held, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> dict[str, Any]:
    """Sources by name, each with the definition in force."""
    after = decode_cursor("sources", cursor, str)
    async with plain(held.database) as connection:
        found, more = await list_sources(connection, after=after[0] if after else "", limit=limit)
    following = encode_cursor("sources", found[-1].name) if more else None
    return _page(request, found, following)


@router.post(
    "/",
    status_code=201,
    summary="Make a source",
    response_model=SourceOut,
    responses=body_responses()
    | problem_responses(InvalidSource, SourceExists, KeyReused, KeyInFlight),
)
async def post_source(body: SourceBody, held: Held, key: KeyHeader) -> Response:
    """Define where a new source's statements come from, how they are read and matched."""
    identified = identify(key, "make source", body.model_dump(mode="json"))
    config = validated(lambda: SourceConfig.model_validate(body.config), InvalidSource)
    async with atomic(held.database) as connection:
        if kept := await first_answer(connection, identified):
            return _source_response(kept.document, kept.status, replayed=True)
        made = await create_source(connection, name=body.name, config=config, now=held.clock())
        if made is None:
            raise SourceExists(f"there is a source {body.name}", source=body.name)
        document = _out(made).model_dump_json()
        await keep_answer(connection, identified, 201, document)
    return _source_response(document, 201)


@router.get(
    "/{name}",
    summary="Get a source",
    response_model=SourceOut,
    responses=problem_responses(UnknownSource),
)
async def get_source(name: SourcePath, held: Held) -> Response:
    """A source with the definition in force; its ETag is the version."""
    async with plain(held.database) as connection:
        found = await find_source(connection, name)
    return _source_response(_out(_known(found, name)).model_dump_json(), 200)


@router.patch(
    "/{name}",
    summary="Change a source",
    response_model=SourceOut,
    responses=body_responses()
    | problem_responses(UnknownSource, InvalidSource, VersionMismatch, KeyReused, KeyInFlight),
)
async def patch_source(
    name: SourcePath, changes: Changes, held: Held, key: KeyHeader, if_match: IfMatch = None
) -> Response:
    """Give a source another definition: a new version that later runs use.

    A change that changes nothing makes no version. Runs keep the version that they were asked for.
    """
    identified = identify(key, "change source", [name, changes, if_match])
    async with atomic(held.database) as connection:
        if kept := await first_answer(connection, identified):
            return _source_response(kept.document, kept.status, replayed=True)
        source = _known(await lock_source(connection, name), name)
        _require_version(source, if_match)
        config = validated(lambda: patched(source.config, changes), InvalidSource)
        changed = await change_source(connection, source, config, held.clock())
        document = _out(changed).model_dump_json()
        await keep_answer(connection, identified, 200, document)
    return _source_response(document, 200)


@router.get(
    "/{name}/versions",
    summary="List the versions of a source",
    response_model=SourcePage,
    responses=problem_responses(UnknownSource, InvalidCursor),
)
async def get_versions(
    request: Request,
    name: SourcePath,
    held: Held,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Every definition that the source ever had, newest first."""
    before = decode_cursor("versions", cursor, int)
    async with plain(held.database) as connection:
        _known(await find_source(connection, name), name)
        found, more = await list_versions(
            connection,
            name,
            before=min(before[0], VERSION_MAX) if before else VERSION_MAX,
            limit=limit,
        )
    following = encode_cursor("versions", found[-1].version) if more else None
    return _page(request, found, following)


def _page(request: Request, found: list[Source], following: str | None) -> dict[str, Any]:
    return {
        "sources": [_out(source) for source in found],
        "next_cursor": following,
        "next": following and next_link(request, following),
    }


def _out(source: Source) -> SourceOut:
    return SourceOut(
        name=source.name,
        version=source.version,
        made_at=source.made_at,
        nightly_since=source.nightly_since,
        config=source.config,
    )


def _source_response(document: str, status: int, *, replayed: bool = False) -> Response:
    version = SourceOut.model_validate_json(document).version
    headers = {"ETag": f'"{version}"'} | ({REPLAYED_HEADER: "true"} if replayed else {})
    return Response(document, status, headers=headers, media_type="application/json")


def _known(source: Source | None, name: str) -> Source:
    if source is None:
        raise UnknownSource(f"there is no source {name}", source=name)
    return source


def _require_version(source: Source, if_match: str | None) -> None:
    if if_match is None or if_match.strip() == "*":
        return
    wanted = re.fullmatch(r'(?:W/)?"?([0-9]+)"?', if_match.strip(), re.ASCII)
    if wanted is None or int(wanted[1]) != source.version:
        raise VersionMismatch(
            f"{source.name} is at version {source.version}", version=source.version
        )
