"""Every name that configures Kairon, taken from the code that reads it."""

import importlib
import re
from pathlib import Path

from shared.settings import ServiceSettings
from tests.architecture.source import PACKAGES, ROOT, modules

SERVICES = ("ledger", "recon")
OWN_NAME = re.compile(r"\bKAIRON_[A-Z_]+\b")
STACK_NAMES = {"DATABASE_URL", "LEDGER_URL", "RECON_URL"}
"""The administrator's database, and where `scripts/up` says that the services answer."""


def settings_of(service: str) -> type[ServiceSettings]:
    """The settings class of a service: LedgerSettings, ReconSettings."""
    module = importlib.import_module(f"{service}_service.settings")
    found: type[ServiceSettings] = getattr(module, f"{service.capitalize()}Settings")
    return found


def settings_fields() -> set[str]:
    """The environment names of all fields of both services' settings."""
    return {
        f"{settings.model_config.get('env_prefix', '')}{field}".upper()
        for settings in map(settings_of, SERVICES)
        for field in settings.model_fields
    }


def names_read_by_code() -> set[str]:
    """The names outside of the settings classes: KAIRON_… wherever they stand, and the stack's."""
    shell = [path for path in (ROOT / "scripts").iterdir() if _is_shell(path)]
    texts = [module.text for module in modules(*PACKAGES)]
    texts += [path.read_text(encoding="utf-8") for path in shell]
    return STACK_NAMES | {name for text in texts for name in OWN_NAME.findall(text)}


def names_of_compose() -> set[str]:
    """The variables that docker-compose.yml asks the environment for."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    return set(re.findall(r"\$\{(\w+)", text))


def _is_shell(path: Path) -> bool:
    return path.is_file() and path.suffix in {"", ".sh"}
