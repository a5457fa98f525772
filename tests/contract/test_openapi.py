"""Both services keep what their OpenAPI documents promise, whatever is sent to them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import ROOT, live_service
from tests.postgres import TestDatabases

EXAMPLES_PER_OPERATION = 10
CASES_MIN = 300
SEED = 20250713  # the same requests every time; other seeds by hand: `st run URL/openapi.json`


@pytest.mark.parametrize("service", ["ledger", "recon"])
def test_generated_requests_find_no_broken_promise(
    service: str, databases: TestDatabases, tmp_path: Path
) -> None:
    environment = {
        "LEDGER_DATABASE_URL": databases.ledger_url,
        "RECON_DATABASE_URL": databases.recon_url,
        "RECON_LEDGER_URL": "http://127.0.0.1:9",
        "KAIRON_DATA_DIR": str(tmp_path),
    }
    with live_service(f"{service}_service.main", environment, tmp_path / "log") as (url, _):
        found = subprocess.run(
            [
                str(Path(sys.executable).with_name("st")),
                "run",
                f"{url}/openapi.json",
                "--checks=all",
                "--continue-on-failure",
                "--suppress-health-check=all",
                f"--max-examples={EXAMPLES_PER_OPERATION}",
                f"--seed={SEED}",
                "--generation-database=none",
                "--no-color",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert found.returncode == 0, found.stdout[-6_000:] + found.stderr[-2_000:]
    generated = re.search(r"(\d+) generated, (\d+) passed", found.stdout)
    assert generated is not None, found.stdout[-2_000:]
    assert int(generated[1]) == int(generated[2]) >= CASES_MIN
