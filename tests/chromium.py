"""The browser that the tests open: where it is, how it is started, and where its screenshots go."""

import os
import shutil
import subprocess

import pytest

from utils.workshop import lessons

PLACES = (
    *("chromium", "chromium-browser", "google-chrome", "chrome"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
)
CHROMIUM = next(filter(None, map(shutil.which, PLACES)), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ALL = os.environ.get("COURSE_BROWSER") == "all"  # `make test-browser`
PATIENCE = 60_000  # milliseconds that a page has for what it has to show; a busy machine is many times slower
SHOTS = lessons.BUILD / "screenshots"
needed = pytest.mark.skipif(CHROMIUM is None and not ALL, reason="no chromium here; on Debian: apt install chromium")


def stop(server: subprocess.Popen) -> None:
    """End a server that the browser was served by, by force if it does not go."""
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
