"""The offline lane: `make test` runs all lanes with the network cut; these tests prove it, here and in a kernel."""

import os
import socket
import subprocess
import sys

import nbformat
import pytest

from utils.workshop import kernel, lessons

CUT = os.environ.get("COURSE_OFFLINE")
NOWHERE = ("192.0.2.1", 80)  # an address reserved for documentation: nothing is there
KNOCK = f"""
import os, socket
if os.environ["COURSE_OFFLINE"] == "namespace":
    assert {{name for _, name in socket.if_nameindex()}} == {{"lo"}}, "there is another network interface"
try:
    socket.create_connection({NOWHERE!r}, timeout=2).close()
    print("connected")
except TimeoutError:
    print("asked the network")
except OSError:
    print("cut")
"""
needs_cut = pytest.mark.skipif(not CUT, reason="the network is on: run it through `make test`, which cuts it")


@needs_cut
def test_this_process_is_cut():
    answer = subprocess.run([sys.executable, "-c", KNOCK], capture_output=True, text=True, check=True)
    assert answer.stdout == "cut\n"


@needs_cut
def test_a_kernel_is_cut(tmp_path):
    cells = [nbformat.v4.new_code_cell("SEED = 0", metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(KNOCK)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), tmp_path / "knock.ipynb")
    run = kernel.execute(tmp_path / "knock.ipynb")
    assert lessons.text_of(run.notebook.cells[-1]) == "cut\n"


def test_loopback_still_works():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=2).close()


def test_the_guard_refuses_where_no_namespace_is_allowed():
    """The fall-back for systems without namespaces, tried on its own."""
    environment = {**os.environ, "PYTHONPATH": str(lessons.ROOT / "tests" / "guard"), "COURSE_OFFLINE": "guard"}
    answer = subprocess.run([sys.executable, "-c", KNOCK], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout == "cut\n"
    ask = "import socket; socket.getaddrinfo('example.org', 80)"
    answer = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True)
    assert "The network is cut in this test; example.org" in answer.stderr
