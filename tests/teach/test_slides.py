"""The slides lane: every slide of every deck in headless chromium at 1280 x 720 with the network cut; the live deck.

What the page says of itself is not asked: sizes, texts and pictures are measured in the browser and compared with
the notebook's file.
"""

import ast
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import psutil
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import expect

from tests import chromium
from utils.teach import explorers, slides
from utils.workshop import lessons

pytestmark = chromium.needed

SMALLEST_TEXT = 16.9  # pixels of 720; the deck's floor is 17
SMALLEST_PICTURE = 1.2  # times the stored size; the deck's floor
READY = "document.body?.dataset.ready !== undefined"

FITS = """explorer => [...explorer.querySelectorAll('.widget-slider, .widget-image')].every(part => {
    const box = part.getBoundingClientRect(), room = explorer.getBoundingClientRect();
    return box.height > 20 && box.bottom <= room.bottom + 1 && box.right <= room.right + 1; })"""
CONTRAST = """async () => {
    const options = {runOnly: ["color-contrast"], resultTypes: ["violations"], preload: false};
    const found = await axe.run(document.querySelector("section.present section.present"), options);
    return found.violations.flatMap(fault => fault.nodes.map(node => node.html));
}"""
PRESENTED = lessons.find() if chromium.ALL else lessons.find()[:2]

MEASURE = Path(__file__).with_name("measure_slide.js").read_text(encoding="utf-8")


@pytest.fixture
def page(browser):
    """Open a page at 1280 x 720 that reaches nothing but files and this machine, and remembers what it asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.complaints, context.outward = [], []

    def cut(route):
        context.outward.append(route.request.url)
        route.abort()

    context.route(re.compile(r"^(?!file:|data:|blob:|about:|https?://127\.0\.0\.1[:/])"), cut)
    context.on("weberror", lambda error: context.complaints.append(str(error.error)))
    context.on("console", lambda message: message.type == "error" and context.complaints.append(message.text))
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    """Build every deck once; return the folder and the seconds it took."""
    folder, start = tmp_path_factory.mktemp("slides"), time.perf_counter()
    slides.build(lessons.find(), folder, films=explorers.film_all(lessons.find()[:1]))
    return folder, time.perf_counter() - start


def visit(page, address):
    """Open a deck, wait until it is laid out, and return what was measured on each of its slides."""
    page.goto(address)
    page.wait_for_function(READY, timeout=chromium.PATIENCE)
    return [page.evaluate(MEASURE, index) for index in range(page.evaluate("Reveal.getTotalSlides()"))]


def shown(book):
    """Return the cells of a notebook that a deck shows."""
    hidden = {"check", "solution", "evidence"}
    kinds = [(cell, cell.metadata.get("slideshow", {}).get("slide_type", "-")) for cell in book.cells]
    return [cell for cell, kind in kinds if kind not in ("skip", "notes") and not lessons.tags(cell) & hidden]


def prose(cell):
    """Return what a prose cell says openly, without code, formulas and addresses of links; and its formulas."""
    text = re.sub(r"<details>.*?</details>|```.*?```|`[^`]*`", " ", cell.source, flags=re.S)
    formulas = re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, flags=re.S)
    text = re.sub(r"\$\$.+?\$\$|\$[^$]+\$", " ", text, flags=re.S)
    return re.sub(r"\]\([^)]*\)", " ", re.sub(r"<[^>]+>", " ", text)), formulas


def printed(cell):
    """Return the lines that a cell printed or displayed as text."""
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        text = output.get("text", "") if output.output_type == "stream" else data.get("text/plain", "")
        texts += [] if {"image/png", "text/html"} & set(data) else text.rstrip().splitlines()
    return [text.rstrip() for text in texts]


def faults(page, measured, book):
    """Say what is wrong with a deck: on its slides, in what it loaded, and compared with its notebook."""
    found = [f"slide {m['h']}.{m['v']} ({', '.join(m['cells'])}): {fault}" for m in measured for fault in m["faults"]]
    for m in measured:
        where = f"slide {m['h']}.{m['v']} ({', '.join(m['cells'])})"
        if m["smallest"] < SMALLEST_TEXT:
            found.append(f"{where}: text of {m['smallest']:.1f} pixels")
        for picture in m["pictures"]:
            if picture["scale"] < SMALLEST_PICTURE or picture["bent"] > 0.02:
                found.append(
                    f"{where}: the picture is {picture['scale']:.2f} times its size, bent {picture['bent']:.2f}"
                )
    found += [f"asked for {url}" for url in page.context.outward]
    found += [f"console: {text}" for text in page.context.complaints]

    cells = shown(book)
    code = [cell for cell in cells if cell.cell_type == "code"]
    texts = [cell for cell in cells if cell.cell_type == "markdown"]
    alts = [o.metadata["image/png"]["alt"] for c in code for o in c.outputs if "image/png" in o.get("data", {})]
    if [p["alt"] for m in measured for p in m["pictures"]] != alts:
        found.append("the pictures, in their order, are not those of the notebook")
    blocks = [
        line.rstrip() for c in texts for b in re.findall(r"```\w*\n(.*?)```", c.source, re.S) for line in b.splitlines()
    ]
    opened = [cell for cell in code if not cell.metadata.get("jupyter", {}).get("source_hidden")]
    sources = [line.rstrip() for cell in opened for line in cell.source.rstrip().splitlines()]
    found += [f"code lost or added: {line!r}" for line in difference(sources + blocks, measured, "source")]
    found += [
        f"output lost or added: {x!r}" for x in difference([t for c in code for t in printed(c)], measured, "output")
    ]
    formulas = sum(len(prose(cell)[1]) for cell in texts)
    typeset = sum(m["formulas"] for m in measured)
    if formulas != typeset:
        found.append(f"{typeset} formulas are typeset, the notebook has {formulas}")
    for cell in texts:
        told = " ".join(m["words"] for m in measured if cell.id in m["cells"])
        lost = set(re.findall(r"[^\W\d_]{3,}", prose(cell)[0])) - set(re.findall(r"[^\W\d_]{3,}", told))
        if lost:
            found.append(f"{cell.id}: words lost: {', '.join(sorted(lost))}")
    for cell in code:
        sentences = " ".join(o.data["text/plain"] for o in cell.outputs if "text/html" in o.get("data", {}))
        told = " ".join(m["words"] for m in measured if cell.id in m["cells"])
        lost = set(re.findall(r"[^\W\d_]{3,}", sentences)) - set(re.findall(r"[^\W\d_]{3,}", told))
        if lost:
            found.append(f"{cell.id}: words lost: {', '.join(sorted(lost))}")
    for cell in cells:
        notes = cell.metadata.get("course", {}).get("notes")
        spoken = next((m["notes"] for m in measured if cell.id in m["cells"]), None)
        if notes and (spoken or "").split() != notes.split():
            found.append(f"{cell.id}: its notes are not on its slide")
    return found


def difference(wanted, measured, kind):
    """Return the lines, counted, that stand in the notebook or in the deck but not in both."""
    there = Counter(line for m in measured for line in m[kind] if line.strip())
    wanted = Counter(line for line in wanted if line.strip())
    return list((wanted - there) + (there - wanted))


def test_every_slide_fits_and_shows_what_the_notebook_holds(notebook, decks, page, record_property):
    folder, seconds = decks
    book, start = lessons.read(notebook), time.perf_counter()
    measured = visit(page, (folder / f"{notebook.stem}.html").as_uri())
    found = faults(page, measured, book)
    assert not found, "\n".join(found)
    exercises = [cell for cell in lessons.code_cells(book) if "exercise" in lessons.tags(cell)]
    on_slides = {identifier for m in measured for identifier in m["cells"]}
    assert {cell.id for cell in exercises} <= on_slides, "each exercise's task stands on a slide"
    content = page.content()
    assert "def solution_" not in content, "no solution is in the file"
    texts, pictures = [m["smallest"] for m in measured], [p["scale"] for m in measured for p in m["pictures"]]
    record_property(
        "figure",
        f"{notebook.stem}: {len(measured)} slides, none overflows; smallest text {min(texts):.1f} px of 720, "
        f"smallest picture {min(pictures):.2f} times its size; {sum(m['formulas'] for m in measured)} formulas; "
        f"{time.perf_counter() - start:.1f} s (all decks built in {seconds:.1f} s)",
    )


def deck_of(cells, folder):
    """Build the deck of a small notebook made of these cells; return the notebook and the deck's address."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A trial", id="title"), *cells])
    path = folder / "99_trial.ipynb"
    nbformat.write(book, path)
    return book, slides.build([path], folder)[0].as_uri()


def text_cell(text, **metadata):
    return nbformat.v4.new_markdown_cell(text, id="text", metadata={"slideshow": {"slide_type": "slide"}, **metadata})


def drawn(alt="three grey bars of equal height"):
    book = lessons.read(lessons.NOTEBOOKS / "00_start_here.ipynb")
    outputs = [o for c in lessons.code_cells(book) for o in c.outputs if "image/png" in o.get("data", {})]
    cell = nbformat.v4.new_code_cell("plot.show(fig)", id="drawn", outputs=outputs[:1])
    cell.outputs[0].metadata["image/png"]["alt"] = alt
    return cell


PLANTED = {
    "a paragraph that no page holds": ([text_cell("word " * 800)], "leaves the slide"),
    "a table that no page holds": ([text_cell("| a |\n|---|\n" + "| b |\n" * 40)], "leaves the slide"),
    "a remote picture": ([text_cell("![a map](https://example.org/map.png)")], "asked for https://example.org/map.png"),
    "broken maths": ([text_cell(r"A power $x^2^3$.")], "maths not understood"),
    "a misspelt command": ([text_cell(r"The sum $\somme x$.")], "maths not understood"),
    "maths left raw": (
        [text_cell(r"The half is <span class='mathjax_ignore tex2jax_ignore'>$\frac12$</span>.")],
        "formulas are",
    ),
    "text too small": ([text_cell("<span style='font-size: 10px'>the small print</span>")], "text of 10.0 pixels"),
    "a picture without alternative text": ([drawn("")], "without alternative text"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_noticed(kind, page, tmp_path):
    cells, complaint = PLANTED[kind]
    book, address = deck_of(cells, tmp_path)
    found = faults(page, visit(page, address), book)
    assert any(complaint in fault for fault in found), found


def test_long_code_and_output_are_split_and_nothing_is_lost(page, tmp_path):
    lines = [f"value_{i} = {'very_' * (i % 5)}long_name({i})" for i in range(90)]
    code = nbformat.v4.new_code_cell("\n".join(lines), id="long")
    code.outputs = [nbformat.v4.new_output("stream", text="".join(f"line {i}\n" for i in range(70)))]
    book, address = deck_of([text_cell("## Long\n\nRead it."), code], tmp_path)
    measured = visit(page, address)
    found = faults(page, measured, book)
    assert not found, "\n".join(found)
    assert len(measured) >= 6
    assert [line for m in measured for line in m["source"]] == lines, "in the order of the notebook"


def test_notes_are_in_the_speaker_view(page, tmp_path):
    notes = "Misconception: the mean is one of the numbers. It need not be.\nAsk: which guess loses least?"
    book, address = deck_of([text_cell("## One idea\n\nFour numbers.", course={"notes": notes})], tmp_path)
    assert not faults(page, visit(page, address), book)
    page.evaluate("Reveal.slide(0, 0)")
    with page.context.expect_page() as opened:
        page.keyboard.press("s")
    speaker = opened.value
    speaker.wait_for_function("document.querySelectorAll('iframe').length === 2", timeout=chromium.PATIENCE)
    page.keyboard.press("ArrowRight")
    speaker.wait_for_function("document.body.innerText.includes('which guess loses least?')", timeout=chromium.PATIENCE)
    current, upcoming = speaker.frames[1:3]
    for frame in (current, upcoming):
        frame.wait_for_function(READY, timeout=chromium.PATIENCE)
    current.wait_for_function("Reveal.getIndices().h === 1")
    speaker.keyboard.press("ArrowLeft")  # the speaker's window turns the audience's
    page.wait_for_function("Reveal.getIndices().h === 0")
    page.keyboard.press("Shift+Slash")  # the list of keys
    assert page.locator(".r-overlay-help").is_visible()
    assert not page.context.outward + page.context.complaints


def test_an_unknown_notebook_is_named_with_those_there_are():
    for command in ("build", "present"):
        run = [sys.executable, "-m", "utils.teach.slides", command, "99_unknown"]
        done = subprocess.run(run, capture_output=True, text=True, cwd=lessons.ROOT)
        assert done.returncode == 1
        assert "99_unknown" in done.stderr and "10_cnn" in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def presented(request, tmp_path):
    """Present a lesson, with options for Voilà where a test adds some, on the loopback interface.

    Return its name and the address.
    """
    name, *options = request.param.split()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "utils.teach.slides", "present", name, "--no-browser", f"--port={port}"]
    command += options
    environment = {key: value for key, value in os.environ.items() if key != "COURSE_STRICT"}
    with (tmp_path / "voila.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=lessons.ROOT, env=environment)
        try:
            for _ in range(300):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert server.poll() is None, (tmp_path / "voila.log").read_text()
                    time.sleep(0.2)
            yield name, f"http://127.0.0.1:{port}/"
        finally:
            chromium.stop(server)


@pytest.mark.parametrize("presented", [path.stem for path in PRESENTED], indirect=True)
def test_live_explorers_answer_and_the_deck_is_the_same(presented, decks, page, browser, record_property):
    name, address = presented
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function("/Running cell \\d+ of \\d+/.test(document.getElementById('progress')?.textContent)")
    page.wait_for_function(READY, timeout=240_000)
    page.wait_for_selector(".explorer .widget-image", state="attached", timeout=chromium.PATIENCE)
    seconds = time.perf_counter() - start
    measured = [page.evaluate(MEASURE, index) for index in range(page.evaluate("Reveal.getTotalSlides()"))]
    assert not [fault for m in measured for fault in m["faults"]]
    still = browser.new_page(viewport={"width": 1280, "height": 720})
    stored = visit(still, (decks[0] / f"{name}.html").as_uri())
    still.close()
    assert [m["cells"] for m in measured] == [m["cells"] for m in stored]

    page.evaluate("Reveal.slide(0, 0)")
    moved = 0
    for _ in range(20 * len(measured)):  # as a presenter does: space by space
        if page.evaluate("Reveal.isLastSlide()"):
            break
        page.keyboard.press("Space")
        for found in page.query_selector_all("section.present section.present .explorer:not([data-moved])"):
            if not found.is_visible():
                continue  # at a later key
            place = page.evaluate("Reveal.getIndices()")
            assert found.evaluate(FITS)
            picture, handle = found.query_selector("img"), found.query_selector(".noUi-handle")
            assert picture.get_attribute("alt"), "the live picture keeps its alternative text"
            found.evaluate("place => place.dataset.moved = 'yes'")
            if not handle:
                continue
            handle.focus()
            at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
            for key in ("Home", "End") if at_end else ("End", "Home"):
                before = picture.get_attribute("src")
                page.keyboard.press(key)
                page.wait_for_function("([i, src]) => i.src !== src", arg=[picture, before])
            assert page.evaluate("Reveal.getIndices()") == place, "the keys moved the slider, not the slide"
            chromium.SHOTS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=chromium.SHOTS / f"{name}-live.png")
            page.keyboard.press("Escape")  # gives the keys back to the slides
            moved += 1
    assert moved and page.evaluate("Reveal.isLastSlide()")
    with page.context.expect_page() as opened:
        page.keyboard.press("s")
    speaker = opened.value
    speaker.wait_for_function("document.querySelectorAll('iframe').length === 2", timeout=chromium.PATIENCE)
    current = speaker.frames[1]
    current.wait_for_function(READY, timeout=chromium.PATIENCE)
    assert f"voila/static/{name}.html" in current.url, "it shows the stored deck and runs no second kernel"
    current.wait_for_function("Reveal.isLastSlide()")
    assert not page.context.outward
    assert not page.context.complaints
    record_property(
        "figure", f"{name} live: {len(measured)} slides, {moved} explorers moved, ready after {seconds:.0f} s"
    )


# Not the minute that a kernel without a page is kept, but more than a slow browser needs from the last cell's end
# until it speaks with the kernel: one that is culled in between leaves a deck without explorers.
CULLED = "--MappingKernelManager.cull_idle_timeout=15 --MappingKernelManager.cull_interval=1"


@pytest.mark.parametrize("presented", [f"00_start_here {CULLED}"], ids=["00_start_here"], indirect=True)
def test_only_this_machine_reaches_a_live_deck_and_a_closed_page_leaves_no_kernel(presented, page):
    _, address = presented
    page.goto(address, wait_until="commit")
    page.wait_for_function(READY, timeout=240_000)
    port = f"--port={urlsplit(address).port}"
    (server,) = [each for each in psutil.process_iter(["cmdline"]) if port in (each.info["cmdline"] or [])]
    heard = {c.laddr.ip for c in server.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert heard == {"127.0.0.1"}
    assert any("ipykernel_launcher" in " ".join(child.cmdline()) for child in server.children(recursive=True))
    page.close()
    for _ in range(60):
        if not server.children(recursive=True):
            break
        time.sleep(1)
    assert not server.children(recursive=True), "its kernel lives on"


def test_a_fragment_waits_for_its_key_and_links_lead_to_decks(page, tmp_path):
    cells = [
        text_cell("## A question\n\nSee [the start](00_start_here.ipynb). **Predict** it."),
        nbformat.v4.new_code_cell("6 * 7", metadata={"slideshow": {"slide_type": "fragment"}}),
    ]
    (tmp_path / "00_start_here.html").touch()
    _, address = deck_of(cells, tmp_path)
    visit(page, address)
    page.evaluate("Reveal.slide(0, 0, -1)")
    for _ in range(5):
        if page.locator("section.present", has_text="A question").count():
            break
        page.keyboard.press("Space")
    code = page.locator("section.present pre.source")
    expect(code).to_be_hidden()
    page.keyboard.press("Space")
    expect(code).to_be_visible()
    assert page.locator("section.present a[href]").first.get_attribute("href") == "00_start_here.html"


def test_a_link_to_a_lesson_without_a_deck_is_plain_text(tmp_path):
    _, address = deck_of(
        [text_cell("See [the start](00_start_here.ipynb) and [a paper](https://a.example/x.ipynb).")], tmp_path
    )
    text = Path(urlsplit(address).path).read_text(encoding="utf-8")
    assert "See the start and" in text and "00_start_here" not in text and "https://a.example/x.ipynb" in text
    decks = slides.build([lessons.find()[0]], tmp_path / "alone")
    assert not re.search(r"href=\"\d\d_\w+\.ipynb", decks[0].read_text(encoding="utf-8"))


def test_the_selection_for_45_minutes_is_the_core_without_exercises(tmp_path):
    """Counted from the lessons' tags and headings, not with the function that selects."""
    headings = [
        "# A",
        "## One",
        "### Further in",
        "## Exercises",
        "**Do it.**",
        "## What we saw",
        "## Further: more",
        "z",
    ]
    trial = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in headings])
    assert [cell.source for cell in slides.core(trial).cells] == ["# A", "## One", "### Further in", "## What we saw"]
    for path in lessons.find():
        book = lessons.read(path)
        cells = [cell.id for cell in book.cells]
        begins = {cell.source.split("\n")[0]: cell.id for cell in book.cells if cell.source.startswith("## ")}
        end = next((name for head, name in begins.items() if head.startswith(("## Further", "## References"))), None)
        wanted = cells[: cells.index(end) if end else None]
        if "## Exercises" in begins:
            wanted = [
                *wanted[: wanted.index(begins["## Exercises"])],
                *wanted[wanted.index(begins["## What we saw"]) :],
            ]
        assert [cell.id for cell in slides.core(lessons.read(path)).cells] == wanted, path.stem


def test_the_expected_answers_of_the_guide_are_those_of_the_lessons():
    """Each prediction of a core has its row, in the lesson's order, with one of its options."""
    guide = (lessons.ROOT / "TEACHING.md").read_text(encoding="utf-8").partition("Expected answers")[2]
    rows = re.findall(r"^\| (\d\d_\w+) \| (.+?) \| .+ \|$", guide.partition("</details>")[0], re.M)
    for name in dict(rows):
        (path,) = lessons.find([name])
        asked = [c for c in lessons.code_cells(slides.core(lessons.read(path))) if "widgets.predict(" in c.source]
        options = [ast.literal_eval(ast.parse(cell.source).body[-1].value.args[1]) for cell in asked]
        told = [answer for lesson, answer in rows if lesson == name]
        assert len(told) == len(options), f"{name}: {len(options)} predictions, {len(told)} answers"
        assert all(answer in choice for answer, choice in zip(told, options, strict=True)), name
    assert len(dict(rows)) >= 11


def test_a_selection_fits_its_slides_and_its_time(page, tmp_path):
    """One lesson stands for all: the pages are laid out as those of the whole deck."""
    (path,) = lessons.find(["10_cnn"])
    (deck,) = slides.build([path], tmp_path, "core")
    measured = visit(page, deck.as_uri())
    assert not faults(page, measured, slides.core(lessons.read(path)))
    assert 30 <= len(measured) <= 50, "about a minute a slide"


def test_the_command_writes_a_selection_beside_the_whole_decks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lessons, "ROOT", tmp_path)
    monkeypatch.setattr(slides, "SLIDES", tmp_path / "slides")
    monkeypatch.setattr(explorers, "film_all", lambda paths: {})
    assert slides.main(["build", "00_start_here", "--layer", "core"]) == 0
    assert slides.main(["build", "00_start_here"]) == 0
    wanted = [str(Path("slides", *place, "00_start_here.html")) for place in (["core"], [])]
    assert capsys.readouterr().out.splitlines() == wanted
    assert (tmp_path / "slides" / "core" / "assets" / "deck.js").is_file(), "the folder can be copied alone"
    with pytest.raises(SystemExit):
        slides.main(["build", "--layer", "kernel"])
    assert re.search(r"invalid choice: 'kernel' \(choose from '?all'?, '?core'?\)", capsys.readouterr().err)


def test_the_ink_of_a_deck_has_contrast(decks, page):
    """One lesson stands for all: they share their style."""
    visit(page, (decks[0] / "10_cnn.html").as_uri())
    page.evaluate(AXE_SCRIPT)
    for index in range(0, page.evaluate("Reveal.getTotalSlides()"), 5):
        page.evaluate(
            """n => {
            const place = Reveal.getSlides()[n];
            const at = Reveal.getIndices(place);
            Reveal.slide(at.h, at.v, 99);
        }""",
            index,
        )
        faults = page.evaluate(CONTRAST)
        assert not faults, f"slide {index + 1}: {faults}"


def test_a_stored_explorer_answers_on_its_slide(decks, page):
    """Its pictures were drawn beforehand, so no kernel is behind it."""
    visit(page, (decks[0] / "00_start_here.html").as_uri())
    here = "section.present section.present .explorer"
    where = "Reveal.getIndices(document.querySelector('[data-film]').closest('section'))"
    page.evaluate(f"(({{h, v}}) => Reveal.slide(h, v))({where})")
    place = page.evaluate("Reveal.getIndices()")
    page.locator(f"{here} input").first.focus()
    for key, end in (("End", "max"), ("Home", "min")):
        page.keyboard.press(key)
        of = f"document.querySelector('{here} input')"
        page.wait_for_function(f"document.querySelector('{here} canvas')?.dataset.state === {of}.{end}")
    assert page.evaluate("Reveal.getIndices()") == place, "the keys moved the slider, not the slide"
    boxes = [page.locator(f"{here} {part}").first.bounding_box() for part in ("input", "canvas")]
    assert all(box["y"] >= 0 and box["y"] + box["height"] <= 720 for box in boxes)
    assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"], "the control stands above the picture"
    chromium.SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=chromium.SHOTS / "00_start_here-stored.png")
    page.keyboard.press("Escape")
    page.keyboard.press("Space")
    assert page.evaluate("Reveal.getIndices()") != place


def test_prints_to_pdf(decks, page, tmp_path):
    page.goto((decks[0] / "00_start_here.html").as_uri() + "?print-pdf")
    page.wait_for_function(READY, timeout=chromium.PATIENCE)
    page.wait_for_selector(".pdf-page")
    pages = page.locator(".pdf-page").count()
    assert pages == page.evaluate("Reveal.getTotalSlides()")
    assert page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") >= pages


def test_a_lesson_without_outputs_makes_no_deck(tmp_path, monkeypatch):
    book = lessons.read(lessons.find()[0])
    for cell in lessons.code_cells(book):
        cell.execution_count, cell.outputs = None, []
    nbformat.write(book, tmp_path / "00_start_here.ipynb")
    monkeypatch.setattr(lessons, "NOTEBOOKS", tmp_path)
    with pytest.raises(SystemExit, match="^00_start_here holds no outputs; `make run NB=00_start_here` stores a clean"):
        slides.main(["build"])
