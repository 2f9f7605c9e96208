"""The site, page by page in headless chromium from the file system, with every request that would leave refused.

One build serves all tests. What looks for faults is tried on planted pages that have them.
"""

import base64
import html
import re
import time
from urllib.parse import urljoin

import nbformat
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import expect

from tests import chromium
from utils.teach import explorers, site
from utils.workshop import lessons

pytestmark = [
    chromium.needed,
    pytest.mark.filterwarnings("ignore:.*MystReferenceResolver.app:PendingDeprecationWarning"),  # not ours
]
LESSONS = {f"notebooks/{path.stem}": path for path in lessons.find()}
GUIDES = [name.removesuffix(".md") for name in site.GUIDES if (lessons.ROOT / name).is_file()]
PAGES = ["index", *LESSONS, *GUIDES, "search"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
GRAVE = ("serious", "critical")

# axe takes half a minute for the 10,000 coloured words of one lesson's code; one word of each kind stands for all.
ONE_OF_EACH_KIND = """() => {
    const seen = new Set();
    for (const word of document.querySelectorAll("pre span")) {
        const place = word.closest(".cell_output") ? "output" : word.closest(".cell_input") ? "input" : "text";
        const kind = `${place} ${word.className}`;
        if (seen.has(kind)) word.replaceWith(...word.childNodes);
        else if (!/\\w\\w/.test(word.textContent)) word.append("word");  // axe passes over signs that are no letters
        seen.add(kind);
    }
}"""
AXE = """async rules => {
    const options = {runOnly: rules, resultTypes: ["violations"], preload: false};  // it would fetch the style sheets
    const found = await axe.run(document, options);
    return found.violations.map(fault => [fault.impact, fault.id, fault.nodes.map(node => node.target.join(" "))]);
}"""
PICTURES = """() => Promise.all([...document.querySelectorAll("article img")].map(async image => {
    await image.decode().catch(() => null);
    const fits = image.offsetWidth <= image.closest("article").clientWidth;
    return {alt: image.alt, drawn: image.naturalWidth > 0, fits};
}))"""
RAW_MATHS = """() => {
    const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    const raw = [];
    while (walk.nextNode()) {
        const inside = walk.currentNode.parentElement.closest("pre, code, mjx-container, script, style");
        if (!inside && /\\$|\\\\[(\\[a-z]/.test(walk.currentNode.data)) raw.push(walk.currentNode.data.trim());
    }
    for (const formula of document.querySelectorAll(".math"))
        if (!formula.querySelector("mjx-container svg")) raw.push(formula.textContent);
    for (const fault of document.querySelectorAll("mjx-merror, [data-mjx-error]")) raw.push(fault.outerHTML);
    return raw;
}"""
CUT = """() => [...document.querySelectorAll("article mjx-container > svg, article table")].filter(place =>
    place.getBoundingClientRect().right > innerWidth && !place.closest(".wide, .pst-scrollable-table-container"))
    .map(place => `${place.closest("section").id}: ${place.textContent.slice(0, 60)}`)"""
CUT_CODE = """() => [...document.querySelectorAll("article .cell_input pre")].filter(code =>
    code.checkVisibility() && code.scrollWidth > code.clientWidth).map(code => code.textContent.slice(0, 60))"""
# What a keyboard must reach: everything that answers to one, and everything that scrolls.
REACHABLE = """() => {
    const answers = "a[href], button, input, select, textarea, summary, [tabindex='0']";
    const scrolls = place => {
        const over = getComputedStyle(place);
        return (/auto|scroll/.test(over.overflowX) && place.scrollWidth > place.clientWidth + 1)
            || (/auto|scroll/.test(over.overflowY) && place.scrollHeight > place.clientHeight + 1);
    };
    const groups = new Set();  // of radio buttons, of which Tab reaches one; arrow keys reach the others
    const picked = place => document.querySelector(`[name="${place.name}"]:checked`) === place;
    const first = place => !groups.has(place.name) && groups.add(place.name)
        && !document.querySelector(`[name="${place.name}"]:checked`);
    const another = place => place.type !== "radio" || first(place) || picked(place);
    window.wanted = [...document.querySelectorAll("body *")].filter(place =>
        place.checkVisibility({visibilityProperty: true}) && !place.disabled && !place.closest("dialog:not([open])")
        && (place.matches(answers) && place.tabIndex >= 0
            || place.closest("article") && scrolls(place) && !place.querySelector(answers)) && another(place));
    window.reached = new Map();
    document.addEventListener("focusin", event => {
        const ring = [event.target, event.target.closest("form")].filter(Boolean).some(place => {
            const look = getComputedStyle(place);
            return parseFloat(look.outlineWidth) > 0 && look.outlineStyle !== "none" || look.boxShadow !== "none";
        });
        const box = event.target.getBoundingClientRect();
        const seen = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
        reached.set(event.target, {ring, seen});
    });
    return wanted.length;
}"""
MISSED = """() => {
    const name = place => `${place.tagName} ${place.id} ${place.className} ${place.textContent.trim().slice(0, 40)}`;
    return [
        ...wanted.filter(place => !reached.has(place)).map(place => `never reached: ${name(place)}`),
        ...[...reached].filter(([_, how]) => !how.ring).map(([place]) => `shows no focus: ${name(place)}`),
        ...[...reached].filter(([_, how]) => !how.seen).map(([place]) => `focused out of sight: ${name(place)}`),
    ];
}"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the site once, into a folder of the tests; return the folder, how many pages, and the seconds it took.

    The explorers of the first lesson answer; those of the others, which would have to be run, are stills.
    """
    out, films = tmp_path_factory.mktemp("site") / "site", explorers.film_all(lessons.find()[:1])
    start = time.perf_counter()
    pages = site.build(out=out, films=films)
    return out, pages, time.perf_counter() - start


@pytest.fixture
def page(browser):
    """Open a page of its own that reads files only; it remembers what it asked for beyond, and its complaints."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.asked, page.complaints = [], []

    def answer(route):
        if route.request.url.startswith("file:"):
            return route.continue_()
        page.asked.append(route.request.url)
        return route.abort()

    page.route("**/*", answer)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    yield page
    context.close()


def visit(page, path):
    """Open a page from the file system and wait until its formulas are set."""
    page.goto(path.as_uri())
    page.evaluate("() => window.MathJax?.startup?.promise.then(() => null)")
    page.add_style_tag(content="* { transition: none !important; animation: none !important }")  # looked at at rest


def unfold(page):
    """Open everything that is folded, and wait until the theme has let the keyboard into what scrolls, and no more."""
    page.evaluate("() => document.querySelectorAll('details').forEach(folded => folded.open = true)")
    settled = """() => [...document.querySelectorAll("pre")].every(code =>
        (code.scrollWidth > code.clientWidth || code.scrollHeight > code.clientHeight) === (code.tabIndex >= 0))"""
    page.wait_for_function(settled, timeout=chromium.PATIENCE)


def barriers(page):
    """Return what axe finds in light and in dark: mode, impact, rule, and where."""
    page.evaluate("() => document.activeElement.blur()")
    expect(page.locator(".tooltip")).to_have_count(0)  # the theme's, beside a button that had the focus
    page.evaluate(ONE_OF_EACH_KIND)
    unfold(page)
    page.evaluate(AXE_SCRIPT)
    found = []
    for mode in ("light", "dark"):
        page.emulate_media(color_scheme=mode)
        page.wait_for_function("mode => document.documentElement.dataset.theme === mode", arg=mode)
        found += [(mode, *fault) for fault in page.evaluate(AXE, RULES)]
    return found


def missed_by_keyboard(page):
    """Press Tab through the whole page; return what was not reached, not marked or not in sight."""
    page.mouse.move(0, 0)  # away from the headings, which show their links under it
    stops = page.evaluate(REACHABLE)
    for _ in range(stops + 5):
        page.keyboard.press("Tab")
    return page.evaluate(MISSED)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_and_open_to_all(name, built, page, record_property):
    out, _, _ = built
    visit(page, out / f"{name}.html")
    assert page.locator("h1").count() == 1
    assert page.locator("nav[aria-label='Contents of the course'] a").count() == len(LESSONS) + len(GUIDES)
    pictures = page.evaluate(PICTURES)
    assert all(picture["drawn"] and picture["fits"] for picture in pictures)
    assert all(picture["alt"].strip() for picture in pictures)
    if name in LESSONS:
        shows_its_lesson(page, LESSONS[name], [picture["alt"] for picture in pictures])
    assert not page.evaluate(RAW_MATHS)
    assert not page.locator("details[open]").count()

    page.set_viewport_size({"width": 1200, "height": 900})
    assert not page.evaluate(CUT_CODE), "88 columns of code fit"
    page.set_viewport_size({"width": 390, "height": 844})  # a phone
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert all(picture["fits"] for picture in page.evaluate(PICTURES))
    assert not page.evaluate(CUT)
    page.set_viewport_size({"width": 1280, "height": 900})

    unfold(page)
    assert not missed_by_keyboard(page)
    stops = page.evaluate("() => reached.size")
    found = barriers(page)
    assert not [fault for fault in found if fault[1] in GRAVE]
    assert not page.asked
    assert not page.complaints
    lesser = ", ".join(f"{impact} {rule} ({mode})" for mode, impact, rule, _ in found) or "nothing"
    text = f"site, {name}: axe finds {lesser}; {len(pictures)} pictures, {stops} stops of the tab key"
    record_property("figure", text)


def shows_its_lesson(page, path, alternatives):
    """Compare what a page shows with what stands in its notebook's file."""
    cells = lessons.code_cells(lessons.read(path))
    outputs = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert alternatives == [output.metadata["image/png"]["alt"] for output in outputs]
    solutions = sum("solution" in lessons.tags(cell) for cell in cells)
    assert page.locator(".tag_solution").count() == solutions > 0
    for kind in ("Solution", "Check"):
        assert page.locator("details.folded", has_text=re.compile(f"^{kind}: ")).count() == solutions
    same_layer(page, path)
    bare = "() => [...document.querySelectorAll('details')].flatMap(fold => [...fold.childNodes]).filter(node =>"
    assert not page.evaluate(bare + "node.nodeType === Node.TEXT_NODE && node.data.trim()).map(node => node.data)")
    assert not page.locator(".tag_solution:visible").count()
    notes = page.locator("article p.still", has_text=path.stem)
    assert notes.count() == sum("<explorer: " in output.data["text/plain"] for output in outputs) > 0
    under_a_picture = "note => note.previousElementSibling.querySelector('img') !== null"
    assert all(note.evaluate(under_a_picture) for note in notes.all())


def same_layer(page, path):
    """What stands open in the notebook stands open here; what is folded there is folded here, under a line for each."""
    seen = page.locator("article").inner_text()
    cells = lessons.code_cells(lessons.read(path))
    for cell in cells:
        longest = max(cell.source.splitlines(), key=len).strip()
        twins = sum(longest in other.source for other in cells)
        if len(longest) > 20 and twins == 1:
            open_, folds = longest in seen, {"check", "solution", "evidence", "answer"}
            wanted = not cell.metadata.get("jupyter", {}).get("source_hidden") and not lessons.tags(cell) & folds
            assert open_ == wanted, f"{cell.id}: its code is {'open' if open_ else 'folded'}"
    for tag, words in (("evidence", "^Evidence, .*: [0-9]+ hold$"), ("answer", "^Open the answer$")):
        lines = page.locator("details.folded > summary", has_text=re.compile(words))
        assert lines.count() == sum(tag in lessons.tags(cell) for cell in cells), tag
    questions = page.locator("article fieldset")
    assert questions.count() == sum("widgets.predict(" in cell.source for cell in cells)
    for question in questions.all():
        for option in question.locator("label").all():
            option.click()
            assert option.locator("input").is_checked() and question.locator("input:checked").count() == 1


def test_what_opens_is_open_to_all_too(built, page):
    out, _, _ = built
    page.set_viewport_size({"width": 390, "height": 844})
    for name, opens, shown in (
        ("index", "button.primary-toggle", "#pst-primary-sidebar-modal"),
        ("notebooks/00_start_here", "button.secondary-toggle", "#pst-secondary-sidebar-modal"),
        ("index", ".navbar-persistent--mobile button", "#pst-search-dialog"),
    ):
        visit(page, out / f"{name}.html")
        page.locator(opens).focus()
        page.keyboard.press("Enter")
        expect(page.locator(shown)).to_be_visible()
        assert page.evaluate("id => document.activeElement.closest(id) !== null", shown)
        page.keyboard.press("Escape")
        expect(page.locator(shown)).to_be_hidden()
        page.keyboard.press("Enter")  # the focus came back to the button
        expect(page.locator(shown)).to_be_visible()
        assert not [fault for fault in barriers(page) if fault[1] in GRAVE]
    assert not page.complaints


def test_an_explorer_answers_on_its_page_and_others_are_stills(built, page):
    out, _, _ = built
    visit(page, out / "notebooks" / "00_start_here.html")
    explorer = page.locator("article .explorer")
    slider = explorer.locator("input")
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('.explorer canvas')?.dataset.state === '128'")
    assert explorer.locator("output").text_content() == slider.get_attribute("aria-valuetext") == "32.00"
    assert page.locator("article p.still").inner_text().startswith("Its pictures were drawn beforehand.")
    visit(page, out / "notebooks" / "10_cnn.html")
    assert not page.locator("article .explorer").count()
    assert page.locator("article p.still").first.inner_text().startswith("A still picture.")
    assert not page.asked and not page.complaints


def test_links_lead_somewhere(built, record_property):
    out, pages, seconds = built
    ids, links = {}, []
    for path in sorted(out.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        ids[path.as_uri()] = set(re.findall(r'\sid="([^"]+)"', text))
        found = re.findall(r'<a\b[^>]*\shref="([^"]*)"', text)
        links += [(path.name, urljoin(path.as_uri(), html.unescape(link))) for link in found]
    assert len(ids) == pages + 1 == len(PAGES)  # and the search page
    assert not lead_nowhere(links, ids)
    shown = {link.split("#")[0] for name, link in links if name == "00_start_here.html"}
    assert {(out / f"{name}.html").as_uri() for name in LESSONS} <= shown
    planted = [("here", (out / "no.html").as_uri()), ("here", (out / "index.html").as_uri() + "#no-such-place")]
    assert lead_nowhere(planted, ids) == planted
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    text = f"site: {pages} pages built in {seconds:.0f} s, {size:.0f} MB, {len(links)} links followed"
    record_property("figure", text)


def lead_nowhere(links, ids):
    """Return the links to a file that is not there, or to a place that its page does not have."""
    wrong = []
    for name, link in links:
        address, _, place = link.partition("#")
        if address.startswith("file:") and address in ids:
            if place and html.unescape(place) not in ids[address]:
                wrong.append((name, link))
        elif not re.match(r"https?://", address):
            wrong.append((name, link))
    return wrong


def test_search_finds_a_word_and_leads_to_its_page(built, page):
    out, _, _ = built
    visit(page, out / "notebooks" / "00_start_here.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("gymnasium")
    page.keyboard.press("Enter")
    expect(page.locator("#search-results")).to_contain_text("found")
    found = page.locator("#search-results li a[href*='40_value_iteration']").first
    expect(found).to_be_visible()
    found.focus()
    page.keyboard.press("Enter")
    expect(page.locator("article h1")).to_contain_text("Value iteration")
    assert "40_value_iteration" in page.url
    page.goto((out / "search.html").as_uri() + "?q=zzyzx")
    expect(page.locator("#search-results")).to_contain_text("did not match")
    assert not page.asked
    assert not page.complaints


def test_solution_opens_and_closes_by_keyboard(built, page):
    out, _, _ = built
    visit(page, out / "notebooks" / "00_start_here.html")
    folded = page.locator("details.folded", has_text=re.compile("^Solution: ")).first
    code = folded.locator(".tag_solution")
    expect(code).to_be_hidden()
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(code).to_be_visible()
    expect(code).to_contain_text("solution: right")
    page.keyboard.press("Space")
    expect(code).to_be_hidden()


def test_light_and_dark_by_keyboard_and_on_the_next_page(built, page):
    out, _, _ = built
    visit(page, out / "index.html")
    theme = page.locator("html")
    expect(theme).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Color mode").focus()
    page.keyboard.press("Enter")
    for _ in range(3):  # past what the system says and light, to dark
        page.keyboard.press("ArrowDown")
    expect(page.locator(":focus")).to_have_text("Dark")
    page.keyboard.press("Enter")
    expect(theme).to_have_attribute("data-theme", "dark")
    page.locator(".prev-next-footer a.right-next").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("00_start_here"))
    expect(theme).to_have_attribute("data-theme", "dark")


def test_skip_link_leads_past_the_navigation(built, page):
    out, _, _ = built
    visit(page, out / "notebooks" / "00_start_here.html")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to main content")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('main') !== null")


# The failing side --------------------------------------------------------------------------------------------------


def test_axe_notices_what_is_planted(built, page):
    planted = {
        "no-alternative": '<img id="no-alternative" src="../_static/minus.png">',
        "pale": '<p id="pale" style="color: #aaa; background: #fff">Too pale to be read by many.</p>',
        "dark": '<p id="dark" style="color: #222">Well seen on white, and lost in the dark.</p>',
        "code": '<div class="cell_input"><pre><span id="code" class="planted" style="color: #ccc">=</span></pre></div>',
        "no-name": '<button id="no-name" type="button"></button>',
    }
    visit(page, plant(built, "".join(planted.values())))
    grave = {(mode, place) for mode, impact, _, places in barriers(page) if impact in GRAVE for place in places}
    pale_on_dark = {("dark", "#pale"), ("dark", "#code")}
    wanted = {(mode, f"#{name}") for name in planted for mode in ("light", "dark")} - {("light", "#dark")}
    assert wanted - pale_on_dark <= grave
    assert not {place for _, place in grave} - {f"#{name}" for name in planted}
    assert ("light", "#dark") not in grave


def test_a_remote_picture_is_noticed(built, page):
    visit(page, plant(built, '<img src="https://example.org/picture.png" alt="A picture from elsewhere">'))
    assert page.asked == ["https://example.org/picture.png"]
    assert not page.evaluate(PICTURES)[0]["drawn"]


def test_unset_and_wrong_maths_is_noticed(built, page):
    visit(page, plant(built, "<p>An $x$ left over.</p>"))
    assert len(page.evaluate(RAW_MATHS)) == 1
    visit(page, plant(built, r'<p><span class="math notranslate">\(\frac{1}\)</span></p>'))
    assert page.evaluate(RAW_MATHS)


def test_what_a_keyboard_misses_is_noticed(built, page):
    quiet = '<div tabindex="0" style="outline: none">Quiet.</div>'
    never = '<button onfocus="this.blur()">Never.</button>'
    away = '<a href="#" style="position: fixed; left: -99em">Away.</a>'
    visit(page, plant(built, quiet + never + away))
    missed = missed_by_keyboard(page)
    assert [re.sub(r"(: \w+).* (\w+\.)$", r"\1 \2", text) for text in missed] == [
        "never reached: BUTTON Never.",
        "shows no focus: DIV Quiet.",
        "focused out of sight: A Away.",
    ]
    visit(page, plant(built, '<input aria-label="A trap" onkeydown="event.preventDefault()">'))
    assert len([text for text in missed_by_keyboard(page) if text.startswith("never reached")]) > 10


def plant(built, what):
    """Put a fault at the top of a copy of the smallest lesson's page; return the copy's path."""
    out, _, _ = built
    text = (out / "notebooks" / "00_start_here.html").read_text(encoding="utf-8")
    path = out / "notebooks" / "planted.htm"  # not one of the pages
    head, article, rest = re.split(r"(<article[^>]*>)", text, maxsplit=1)
    path.write_text(head + article + what + rest, encoding="utf-8")
    return path


def test_what_cannot_be_shown_is_refused_in_a_sentence(tmp_path):
    course = tmp_path / "course"
    (course / "notebooks").mkdir(parents=True)
    (course / "README.md").write_text(
        "# Course\n\nA [file](data/x.csv).\n\n## Two\n\nSee [here](https://example.org).\n"
    )
    out = tmp_path / "site"

    def refused(why):
        with pytest.raises(site.UnfitError, match=why):
            site.build(course, out)
        assert not out.exists()

    refused("No notebook was found in .*notebooks")
    (course / "data").mkdir()
    (course / "data" / "x.csv").touch()
    path = course / "notebooks" / "10_cnn.ipynb"
    original = lessons.read(lessons.find()[0])

    def put(book):
        nbformat.write(book, path)

    book = nbformat.from_dict(original)
    for cell in lessons.code_cells(book):
        cell.execution_count, cell.outputs = None, []
    put(book)
    refused("10_cnn holds no outputs; `make run NB=10_cnn` stores a clean run.")
    book = lessons.read(lessons.find()[0])
    lessons.code_cells(book)[1].source += "\n1 + 1"
    put(book)
    refused("10_cnn was changed since its outputs were stored; `make run NB=10_cnn` stores a clean run.")
    book = lessons.read(lessons.find()[0])
    (explorer, *_) = [cell for cell in lessons.code_cells(book) if "widgets.explore(" in cell.source]
    explorer.outputs = []  # what is left when JupyterLab runs and saves it
    put(book)
    refused(f"10_cnn has no picture of its explorer in cell {explorer.id}, which JupyterLab does not save")
    book = lessons.read(lessons.find()[0])
    pictures = [o for cell in lessons.code_cells(book) for o in cell.outputs if "image/png" in o.get("data", {})]
    pictures[0].metadata = {}
    put(book)
    refused("10_cnn, cell .*: a picture without alternative text")
    book = lessons.read(lessons.find()[0])
    book.cells[0].source = "No title"
    put(book)
    refused("must begin with a cell of text whose first line is its title")
    put(nbformat.from_dict(original))
    (course / "data" / "x.csv").unlink()
    refused(r"A link of a document leads nowhere: \[file\]\(data/x.csv\)")
    (course / "data" / "x.csv").touch()
    put(original)  # links to lessons that are not there
    refused("20_rnn_lstm")


def test_a_small_course_is_built_with_its_picture_and_replaces_the_old_site(tmp_path):
    course, out = tmp_path / "course", tmp_path / "site"
    (course / "notebooks").mkdir(parents=True)
    (course / "pictures").mkdir()
    (course / "data").mkdir()
    out.mkdir()
    (out / "old.html").write_text("old")
    start = lessons.read(lessons.find()[0])
    stored = next(o for cell in lessons.code_cells(start) for o in cell.outputs if "image/png" in o.get("data", {}))
    picture = base64.b64decode(stored.data["image/png"])
    text = nbformat.v4.new_markdown_cell("# Zero: a title\n\n**The question.** Why?")
    code = nbformat.v4.new_code_cell("1 + 1", execution_count=1)
    book = nbformat.v4.new_notebook(cells=[text, code], metadata=start.metadata)
    book.metadata.course.code = lessons.digest(book)
    nbformat.write(book, course / "notebooks" / "70_zero.ipynb")
    (course / "pictures" / "a.png").write_bytes(picture)
    (course / "TEACHING.md").write_text("# Teaching\n\nBack to the [README](README.md), by `[a](b.md)`.\n")
    (course / "README.md").write_text(
        '# Course\n\n![A picture](pictures/a.png) and <img src="pictures/a.png" alt="Again">\n\n'
        "[data](data/) and [guide](TEACHING.md) and [70](notebooks/70_zero.ipynb).\n\n## Two\n\nWords.\n"
    )
    assert site.build(course, out) == 3
    assert not (out / "old.html").exists()
    index = (out / "index.html").read_text(encoding="utf-8")
    assert 'alt="A picture"' in index and 'alt="Again"' in index
    assert 'href="TEACHING.html"' in index and 'href="notebooks/70_zero.html"' in index
    assert (
        "Responsible learning" in index
        and "70 Zero<" in index
        and (out / ".nojekyll").exists()
        and "data/" not in index
    )
    guide = (out / "TEACHING.html").read_text(encoding="utf-8")
    assert 'href="index.html"' in guide and "[a](b.md)" in guide
