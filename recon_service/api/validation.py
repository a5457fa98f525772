"""Turns what pydantic finds in a definition into a refusal that names every place."""

from collections.abc import Callable

from pydantic import ValidationError

from recon_service.domain.config import SourceConfig
from shared.errors import AppError

ERRORS_SHOWN_MAX = 20


def validated(make: Callable[[], SourceConfig], refusal: type[AppError]) -> SourceConfig:
    """Return what `make` makes; raise `refusal` with what is wrong with it."""
    try:
        return make()
    except ValidationError as error:
        errors = [
            {
                "location": [str(part) for part in one["loc"]],
                "message": str(one["msg"]),
                "kind": one["type"],
            }
            for one in error.errors()[:ERRORS_SHOWN_MAX]
        ]
        first = errors[0]
        raise refusal(
            f"{'.'.join(first['location']) or 'config'}: {first['message']}", errors=errors
        ) from error
