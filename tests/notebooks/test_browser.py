"""Lane 9, browser: real JupyterLab in headless chromium, as a reader uses it, on a copy of the notebooks.

The first three notebooks are opened; with COURSE_BROWSER=all (`make test-browser`) every one.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid

import pytest
from playwright.sync_api import expect, sync_playwright

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
RUN_TIMEOUT = 300_000  # milliseconds
OPENED = runner.notebooks() if os.environ.get("COURSE_BROWSER") == "all" else runner.notebooks()[:3]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; on Debian: apt install chromium")


def as_committed(folder):
    """Put the notebooks as they are committed into a folder, over what stands there."""
    ignored = shutil.ignore_patterns(".*")
    shutil.copytree(runner.NOTEBOOKS, folder / "notebooks", ignore=ignored, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Serve a copy of the notebooks with JupyterLab on the loopback interface; return its folder and address."""
    folder = tmp_path_factory.mktemp("course")
    as_committed(folder)
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    whole = {"windowingMode": "none"}  # keeps every cell in the page, so that it can be looked for
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps(whole))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1", "--allow-root"]
    command += ["--IdentityProvider.token=course", f"--ServerApp.root_dir={folder}"]
    environment = {**os.environ, "COURSE_STRICT": "1"}
    for kind in ("settings", "workspaces"):  # a reader's own are left alone
        environment[f"JUPYTERLAB_{kind.upper()}_DIR"] = str(folder / kind)
    environment.pop("TQDM_DISABLE", None)  # a reader sees the progress bars
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(150):
                try:
                    urllib.request.urlopen(f"{address}/api?token=course", timeout=2).close()
                    break
                except OSError:
                    assert server.poll() is None, (folder / "lab.log").read_text()
                    time.sleep(0.2)
            yield folder, address
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """Open a page of its own, which remembers what its console complained of."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda said: said.type == "error" and page.complaints.append(f"{said.text} {said.location}"))
    yield page
    context.close()


def open_notebook(page, address, name):
    """Open a notebook in a workspace of its own, in which nothing else is open, and wait for its kernel."""
    page.goto(f"{address}/lab/workspaces/{uuid.uuid4().hex}/tree/notebooks/{name}.ipynb?token=course")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
    expect(page.locator(".jp-NotebookPanel-toolbar .jp-KernelName")).to_contain_text("Python 3", timeout=60_000)
    idle = page.locator(".jp-Notebook-ExecutionIndicator-tooltip", has_text="Idle")
    expect(idle).to_have_count(1, timeout=60_000)


def run_all(page, folder, name):
    """Choose Run > Run All Cells, wait, save, and return the notebook as it now stands in its file."""
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
    page.wait_for_function(
        """() => {
            const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.textContent);
            const stopped = document.querySelector('[data-mime-type="application/vnd.jupyter.error"], .jp-Dialog');
            const done = prompts.every(p => p === '' || /\\[\\d+\\]/.test(p));  // a folded cell shows no prompt
            return stopped || (done && document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]'));
        }""",
        timeout=RUN_TIMEOUT,
    )
    assert not page.locator(".jp-Dialog").count(), page.locator(".jp-Dialog").inner_text()
    page.keyboard.press("Control+s")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        book = runner.read(folder / "notebooks" / f"{name}.ipynb")
        if all(cell.execution_count for cell in runner.code_cells(book)) and "code" not in book.metadata.get(
            "saved", {}
        ):
            break
        time.sleep(0.2)
    return book


def ours(complaints):
    """Leave out what JupyterLab itself says when it runs without an extension manager or the web."""
    theirs = r"favicon|extensionmanager|/lab/api/(extensions|news|workspaces)|jupyterlab/.*\.map"
    return [text for text in complaints if not re.search(theirs, text)]


@pytest.mark.parametrize("path", OPENED, ids=lambda path: path.stem)
def test_runs_whole_and_its_explorer_answers_the_keyboard(path, lab, page, record_property):
    folder, address = lab
    name = path.stem
    open_notebook(page, address, name)
    book = run_all(page, folder, name)
    errors = [o.evalue for c in runner.code_cells(book) for o in c.outputs if o.output_type == "error"]
    assert not errors
    assert [cell.execution_count for cell in runner.code_cells(book)] == list(
        range(1, len(runner.code_cells(book)) + 1)
    )

    explorers = sum("widgets.explore(" in cell.source for cell in runner.code_cells(book))
    pictures = page.locator(".jp-OutputArea-output img.widget-image, .jp-OutputArea-output .widget-image img")
    expect(pictures).to_have_count(explorers, timeout=20_000)
    handle = page.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    box = handle.locator("xpath=ancestor::*[contains(@class,'jp-OutputArea-output')][1]")
    picture = box.locator("img").first
    latencies = []
    for key in ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft"]:
        before = picture.get_attribute("src")
        handle.focus()
        start = time.perf_counter()
        page.keyboard.press(key)
        page.wait_for_function(
            "([image, before]) => image.src !== before && image.complete", arg=[picture.element_handle(), before]
        )
        latencies.append(time.perf_counter() - start)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")
    median, most = sorted(latencies)[2] * 1e3, max(latencies) * 1e3
    record_property("figure", f"{name}: key press to changed picture, median {median:.0f} ms, most {most:.0f} ms")
    assert not ours(page.complaints)


def test_start_here_opens_and_its_links_lead_somewhere(lab, page):
    folder, address = lab
    as_committed(folder)  # what another test ran and saved points to widgets that a new page may not know
    open_notebook(page, address, "00_start_here")
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "opened.png")
    start = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-RenderedMarkdown a")
    targets = sorted({a.inner_text() for a in start.all() if re.fullmatch(r"\d\d_\w+", a.inner_text())})
    assert targets, "00_start_here links to the lessons"
    for target in targets:
        page.locator(".lm-TabBar-tabLabel", has_text="00_start_here.ipynb").click()
        page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) a", has_text=target).first.click()
        expect(page.locator(".lm-DockPanel-tabBar .lm-mod-current", has_text=f"{target}.ipynb")).to_be_visible()
        title = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-RenderedMarkdown h1").first
        expect(title).to_be_visible(timeout=30_000)
    assert not ours(page.complaints)
