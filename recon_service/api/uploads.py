"""The route that takes statement files."""

from fastapi import APIRouter, Request

from recon_service.api.source_bodies import UploadOut
from recon_service.dependencies import Held
from recon_service.domain.errors import InvalidStatement, UploadTooLarge
from recon_service.repositories.atomic import plain
from recon_service.repositories.uploads import keep_upload, store_file
from shared.problems import problem_responses

UPLOADS_PATH = "/recon/uploads"
router = APIRouter(prefix=UPLOADS_PATH, tags=["runs"])


@router.post(
    "/",
    status_code=201,
    summary="Upload a statement",
    response_model=UploadOut,
    responses=problem_responses(InvalidStatement, UploadTooLarge),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "the file itself, not a form",
            "content": {
                "text/csv": {
                    "schema": {},
                    "example": "txn_id,timestamp,amount,currency,description\n"
                    "TXN-1,2025-07-13T10:00:00Z,100.50,USD,Payment\n",
                },
                "application/octet-stream": {"schema": {}},
            },
        }
    },
)
async def upload(request: Request, held: Held) -> UploadOut:
    """Keep a file to reconcile; the same content gets the same id, so a retry is safe."""
    stored = await store_file(
        held.settings.uploads_folder(),
        request.stream(),
        bytes_max=held.settings.file_bytes_max,
    )
    if stored.size_bytes == 0:
        raise InvalidStatement("the upload is empty", reason="empty-file")
    async with plain(held.database) as connection:
        await keep_upload(connection, stored)
    return UploadOut(upload_id=stored.upload_id, size_bytes=stored.size_bytes)
