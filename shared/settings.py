"""Where settings come from: environment, .env, secret files, then the running stack's own file."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from shared.stack_files import PROJECT_ROOT, data_dir, stack_env_path


class MissingSetting(Exception):
    """A setting without which the service cannot start; the message names it."""


class ServiceSettings(BaseSettings):
    """What both services are configured with; subclasses set the prefix of the names."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: SecretStr | None = Field(
        default=None, description="postgresql://… of the service's own role"
    )
    pool_size: int = Field(default=8, ge=1, le=100, description="connections for reads")
    streams_max: int = Field(
        default=8, ge=1, le=100, description="lists streamed at a time, a connection each"
    )
    statement_timeout_ms: int = Field(
        default=30_000, ge=100, le=3_600_000, description="longest that one statement may run"
    )
    body_bytes_max: int = Field(
        default=1_048_576, ge=1_024, description="largest JSON body that is read"
    )
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level logged"
    )
    assets: dict[str, int] = Field(
        default_factory=dict,
        description='assets beyond ISO 4217 with their decimals, as JSON: {"BTC": 8}',
    )

    @classmethod
    def load(cls) -> Self:
        """Read the settings; each source wins over those behind it."""
        secrets_dir = os.environ.get("KAIRON_SECRETS_DIR")
        return cls(
            _env_file=PROJECT_ROOT / ".env",
            _secrets_dir=Path(secrets_dir) if secrets_dir else None,
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the file of the running stack behind everything that a person set."""
        stack = DotEnvSettingsSource(settings_cls, env_file=stack_env_path(data_dir()))
        return init_settings, env_settings, dotenv_settings, file_secret_settings, stack

    def require_database_url(self) -> str:
        """Return the database's URL; raise MissingSetting with the name to set."""
        if self.database_url is None:
            name = f"{self.model_config.get('env_prefix', '')}DATABASE_URL"
            raise MissingSetting(
                f"{name} is not set and no running stack was found; run scripts/up or set it"
            )
        return self.database_url.get_secret_value()
