"""What the unit tests share: a live IPython shell whose displays are kept, and a clean list of claims."""

import matplotlib as mpl
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from utils import check


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Run the test inside an IPython shell; gives the list of what it displays (data and metadata)."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    running = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    running.display_pub = CapturingDisplayPublisher()
    try:
        yield running.display_pub.outputs
    finally:
        InteractiveShell.clear_instance()


@pytest.fixture(autouse=True)
def _leave_no_trace():
    """Forget the claims of a test and its matplotlib style."""
    before = len(check.claims)
    with mpl.rc_context():
        yield
    del check.claims[before:]
