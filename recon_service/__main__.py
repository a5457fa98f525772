"""`python -m recon_service`: the command line of reconciliation."""

from recon_service.cli import app

app()
