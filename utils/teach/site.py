"""The course as static pages: `python -m utils.teach.site` builds build/site from the stored outputs of the notebooks.

Lessons that changed are run once, so that every state of their explorers is drawn; else nothing is executed. The pages
need no server and no network: MathJax, those pictures and all else they load lies beside them.
"""

import argparse
import html
import io
import re
import shutil
import sys
import tempfile
import textwrap
from importlib import resources
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from utils.teach import explorers
from utils.workshop import lessons

HERE = Path(__file__).resolve().parent
PARTS = (
    "Foundations",
    "Vision",
    "Sequences and language",
    "Generative models",
    "Decisions",
    "Representations",
    "Efficient learning",
    "Responsible learning",
)  # the first digit of a notebook's name is the place of its part
GUIDES = {"TEACHING.md": "For instructors", "CONTRIBUTING.md": "For contributors"}
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"}
HINT = re.compile(r"<details>\s*(<summary>.*?</summary>)(.*?)</details>", re.DOTALL)  # apart, its text is Markdown
LINK = re.compile(r"```.*?```|`[^`\n]*`|(!?)\[([^\]]*)\]\(([^)\s]+)\)", re.DOTALL)  # code too, so as to pass over it
FOLDED = {"evidence", "answer", "check", "solution"}  # cells that stand folded, each under a line of its own
STILL = "{{.still}}\nA still picture. Its controls live in the notebook: `make lab`, then `{name}`."
ANSWERS = "{{.still}}\n{drawn} drawn beforehand. In the notebook, `{name}`, they are drawn as you move."
FILMS = "_static/explorers"  # where the pictures of explorers lie in the site
UNUSED = ("_sources", ".buildinfo", "objects.inv", "webpack-macros.html")  # what Sphinx writes and no page needs

SETTINGS = {
    "project": "Deep Learning by Hand",
    "html_title": "Deep Learning by Hand",
    "extensions": ["myst_nb"],
    "nb_execution_mode": "off",
    "nb_merge_streams": True,
    "nb_code_prompt_show": "Show the code",
    "nb_code_prompt_hide": "Hide the code",
    "myst_enable_extensions": ["amsmath", "attrs_block", "dollarmath", "html_image"],
    "myst_heading_anchors": 4,
    "language": "en",
    "highlight_language": "none",  # of a block that names no language, such as commands
    "templates_path": [str(HERE / "templates")],
    "html_static_path": [str(HERE / "static")],
    "html_css_files": ["course.css"],
    "html_js_files": [("explorers.js", {"defer": "defer"}), ("course.js", {"defer": "defer"})],
    "html_copy_source": False,
    "html_scaled_image_link": False,  # a picture is no link to itself
    "html_use_index": False,
    "html_show_search_summary": False,  # a summary is fetched, which a browser refuses to a page from the file system
    "mathjax_path": "mathjax/tex-svg.js",  # svg: from the file system some browsers refuse to load fonts
    "mathjax3_config": {"options": {"enableMenu": False}},  # with its menu every formula is a stop of the tab key
    "html_context": {"default_mode": "auto"},  # light or dark as the reader's system is; a button changes it
    "html_theme": "pydata_sphinx_theme",
    "html_sidebars": {"**": ["course-contents"]},
    "html_theme_options": {
        "article_header_start": [],
        "back_to_top_button": False,  # it hides what is under it
        "navbar_center": [],
        "navbar_end": ["theme-switcher"],
        "secondary_sidebar_items": ["page-toc"],
        "show_toc_level": 2,
        "search_bar_text": "Search the course",
        "footer_start": [],
        "footer_end": [],
    },
}


class UnfitError(Exception):
    """What is to be shown cannot be shown as it is; the message says why."""


def lesson(book: NotebookNode, name: str, films: list[dict[str, Any]] = ()) -> NotebookNode:
    """Return a notebook as MyST-NB is to render it.

    Pictures get their stored alternative text. An explorer among `films` gets its controls; another one says that it is
    a still. What JupyterLab folds is folded:
    the code of figures, evidence under the line that says how many hold, answers, checks and solutions. The code of
    a question to the reader is left out.

    Errors: UnfitError for a picture without alternative text.
    """
    book = nbformat.from_dict(book)
    text = nbformat.v4.new_markdown_cell
    cells = []
    for cell in book.cells:
        pictures = [output for output in cell.get("outputs", ()) if "image/png" in output.get("data", ())]
        if len(pictures) > 1:
            raise UnfitError(f"{name}, cell {cell.id}: {len(pictures)} pictures in one cell; show one in each.")
        for output in pictures:
            shown = output.metadata.get("image/png", {})
            alt = shown.get("alt", "").strip()
            if not alt:
                raise UnfitError(f"{name}, cell {cell.id}: a picture without alternative text; show it with plot.show.")
            width = {"width": f"{shown['width']}px"} if "width" in shown else {}
            cell.metadata["mystnb"] = {"image": {"alt": alt, **width}}
        if cell.cell_type == "markdown":
            cell.source = HINT.sub(r'<details class="folded">\1\n\n\2\n\n</details>', cell.source)
        tags = set(cell.metadata.get("tags", ()))
        if cell.cell_type == "code" and cell.metadata.get("jupyter", {}).get("source_hidden"):
            asks = "widgets.predict(" in cell.source
            cell.metadata["tags"] = [*tags, *(["remove-input"] if asks else [] if tags & FOLDED else ["hide-input"])]
        if tags & FOLDED:
            summary = folded_line(cell, *(tags & FOLDED))
            cells += [text(f'<details class="folded"><summary>{summary}</summary>'), cell, text("</details>")]
        else:
            cells.append(cell)
        if any(output.data.get("text/plain", "").startswith("<explorer: ") for output in pictures):
            about = next((about for about in films if about["cell"] == cell.id), None)
            if about:
                pictures[0].data = nbformat.from_dict({"text/html": explorers.markup(name, about, f"../{FILMS}")})
            cells.append(text(told_of(name, about)))
    book.cells = cells
    return book


def told_of(name: str, about: dict[str, Any] | None) -> str:
    """Return the line under an explorer: what it can do here, and what in the notebook."""
    if not about:
        return STILL.format(name=name)
    few = about["states"] < about["all_states"]
    drawn = f"{about['states']} of its {about['all_states']:,} pictures were" if few else "Its pictures were"
    return ANSWERS.format(name=name, drawn=drawn)


def folded_line(cell: NotebookNode, kind: str) -> str:
    """Return the line under which a cell is folded, and let evidence be told in plain lines below it."""
    if kind == "evidence":
        evidence = [output for output in cell.outputs if "claims" in output.get("metadata", {})]
        if not evidence:
            raise UnfitError(f"Cell {cell.id} is evidence and holds no claim; execute the notebook first: make run")
        lines = []
        for output in evidence:
            line, _, rest = output.data["text/plain"].partition("\n")
            output.data = nbformat.from_dict({"text/plain": textwrap.dedent(rest)})
            lines.append(line)
        told = "; ".join(lines)
        return html.escape(told[0].upper() + told[1:])
    if kind == "answer":
        return "Open the answer"
    of = re.search(rf"^def {kind}_(\w+)", cell.source, re.MULTILINE)
    return f"{kind.capitalize()}: {of[1].replace('_', ' ')}" if of else kind.capitalize()


def document(text: str, root: Path, staged: Path, pages: set[str]) -> str:
    """Return a Markdown document of the project with links that hold in the site.

    Links to pages and pictures stay (pictures are copied); links to other files of the project become plain text.

    Errors: UnfitError for a link to a file that is not there.
    """

    def link(match: re.Match[str]) -> str:
        if match[3] is None:  # code
            return match[0]
        shown, target = match[2], match[3].split("#")[0]
        if not target or "://" in target or target.startswith("mailto:") or target in pages:
            return match[0]
        if target == "README.md":
            return match[0].replace("README.md", "index.md")
        if not (root / target).exists():
            raise UnfitError(f"A link of a document leads nowhere: {match[0]}")
        copy_picture(target)
        return match[0] if match[1] else shown

    def copy_picture(target: str) -> None:
        source = root / target
        if source.is_file() and source.suffix.lower() in PICTURES:
            (staged / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, staged / target)

    for source in re.findall(r"<img[^>]*\ssrc=\"([^\"]+)\"", text):
        copy_picture(source)
    return LINK.sub(link, text)


def contents(books: dict[str, NotebookNode], guides: list[str]) -> str:
    """Return the trees behind the side bar: the lessons by parts of the course, and the guides."""
    trees = []
    for digit, part in enumerate(PARTS):
        names = [name for name in books if name[0] == str(digit)]
        if names:
            trees.append(tree(f"{digit} {part}", [f"{n[:2]} {title(books[n], n)} <notebooks/{n}>" for n in names]))
    if guides:
        trees.append(tree("Guides", [f"{GUIDES[name]} <{name.removesuffix('.md')}>" for name in guides]))
    return "\n\n".join(trees)


def title(book: NotebookNode, name: str) -> str:
    """Return a lesson's title up to its colon, from the first line of its first cell."""
    line = book.cells[0].source.split("\n")[0]
    if not line.startswith("# "):
        raise UnfitError(f"{name} must begin with a cell of text whose first line is its title, as in: # Attention")
    return line.removeprefix("# ").split(":")[0].strip()


def tree(caption: str, entries: list[str]) -> str:
    """Write a toctree that fills the side bar and the previous and next links."""
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```"])


def stage(root: Path, folder: Path, films: dict[str, list[dict[str, Any]]]) -> int:
    """Write what Sphinx is to read into a folder, laid out as the project is; return the number of pages."""
    paths = lessons.within(root / "notebooks")
    if not paths:
        raise UnfitError(f"No notebook was found in {root / 'notebooks'}; their names begin with two digits and _.")
    books = {path.stem: nbformat.read(path, as_version=4) for path in paths}
    for path in paths:
        if why := lessons.unfit(path, books[path.stem]):
            raise UnfitError(why)
    guides = [name for name in GUIDES if (root / name).is_file()]
    pages = {f"notebooks/{name}.ipynb" for name in books} | set(guides)
    (folder / "notebooks").mkdir(parents=True)
    for name, book in books.items():
        nbformat.write(lesson(book, name, films.get(name, ())), folder / "notebooks" / f"{name}.ipynb")
    for name in guides:
        text = (root / name).read_text(encoding="utf-8")
        (folder / name).write_text(document(text, root, folder, pages), encoding="utf-8")
    readme = document((root / "README.md").read_text(encoding="utf-8"), root, folder, pages)
    (folder / "index.md").write_text(f"{readme}\n\n{contents(books, guides)}\n", encoding="utf-8")
    return len(pages) + 1


def build(
    root: Path = lessons.ROOT,
    out: Path = lessons.ROOT / "build" / "site",
    films: dict[str, list[dict[str, Any]]] | None = None,
    pictures: Path = explorers.FOLDER,
) -> int:
    """Build the site of the course that stands at `root`; return the number of pages.

    `films` says what the explorers of lessons are whose pictures lie in a folder, as `explorers.film_all` returns it;
    those of other lessons are stills. `out` is replaced only when all went well. Every warning of Sphinx is an error.

    Errors: UnfitError for notebooks that cannot be shown, and with Sphinx's words for a link that leads nowhere.
    """
    with tempfile.TemporaryDirectory() as temporary:
        staged, built = Path(temporary, "source"), Path(temporary, "built", "site")
        pages = stage(root, staged, films or {})
        warnings = io.StringIO()
        with patch_docutils(), docutils_namespace():
            Sphinx(
                srcdir=staged,
                confdir=None,
                outdir=built,
                doctreedir=Path(temporary, "doctrees"),
                buildername="html",
                confoverrides=SETTINGS,
                status=None,
                warning=warnings,
            ).build()
        complaints = re.sub(r"\x1b\[[0-9;]*m", "", warnings.getvalue()).replace(f"{staged}/", "").strip()
        if complaints:
            raise UnfitError(f"Sphinx complained, so nothing was built.\n{complaints}")
        mathjax = resources.files("sphinx-mathjax-offline") / "static" / "mathjax" / "tex-svg.js"
        (built / "_static" / "mathjax").mkdir()
        (built / "_static" / "mathjax" / "tex-svg.js").write_bytes(mathjax.read_bytes())
        explorers.lay(films or {}, built / FILMS, pictures)
        (built / ".nojekyll").touch()  # else GitHub Pages leaves out the folders that begin with _
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(built, out, ignore=shutil.ignore_patterns(*UNUSED))
    return pages


def main() -> int:
    """Build the site and say where it is."""
    argparse.ArgumentParser(prog="python -m utils.teach.site", description=__doc__).parse_args()
    try:
        paths = lessons.find()
        if faults := [why for path in paths if (why := lessons.unfit(path, lessons.read(path)))]:
            raise UnfitError(faults[0])
        films = explorers.film_all(paths)
        pages = build(films=films)
    except (UnfitError, ValueError) as fault:
        print(fault, file=sys.stderr)
        return 1
    print(f"{pages} pages. Open build/site/index.html in a browser, or copy build/site to any web server.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
