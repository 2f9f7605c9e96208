"""The browser that the tests open: where it is, how it is started, and where its screenshots go."""

import shutil

import pytest

from tests import runner

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHOTS = runner.BUILD / "screenshots"
needed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; on Debian: apt install chromium")
