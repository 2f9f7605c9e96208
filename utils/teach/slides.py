"""Slides: a reveal.js deck of each lesson from its stored outputs, and the same deck with a running kernel.

`python -m utils.teach.slides build [NB ...]` writes build/slides/NB.html and, beside it, all that a deck loads; with
`--layer core` the selection for 45 minutes, into build/slides/core. Of lessons that changed, the explorers are drawn.
`python -m utils.teach.slides present NB` runs the lesson and opens its deck, in which the explorers answer.
"""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from nbconvert import SlidesExporter
from nbformat import NotebookNode
from traitlets.config import Config

from utils.teach import explorers
from utils.workshop import lessons

SLIDES = lessons.ROOT / "build" / "slides"
LAYERS = ("all", "core")
FILMS = "explorers"  # where the pictures of explorers lie beside the decks
LINK = re.compile(r"\[([^]]+)\]\((\d\d_\w+)\.ipynb\)")
TEMPLATES = Path(__file__).with_name("templates")
DECK = TEMPLATES / "nbconvert" / "templates" / "deck"


def lay_assets(folder: Path) -> None:
    """Copy what every deck loads into folder/assets: reveal.js, MathJax, and the deck's own style and layout."""
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    reveal = files("sphinx_revealjs") / "_static" / "revealjs"
    mathjax = files("sphinx-mathjax-offline") / "static" / "mathjax"
    for source, target in (
        (reveal / "dist" / "reveal.js", "reveal/dist/reveal.js"),
        (reveal / "dist" / "reveal.css", "reveal/dist/reveal.css"),
        (reveal / "plugin" / "notes" / "notes.js", "reveal/plugin/notes/notes.js"),
        (mathjax / "tex-svg-full.js", "mathjax/tex-svg-full.js"),  # formulas as SVG: no font to load
        (DECK / "static" / "deck.css", "deck.css"),
        (DECK / "static" / "deck.js", "deck.js"),
        (Path(__file__).with_name("static") / "explorers.js", "explorers.js"),
    ):
        (assets / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(source), assets / target)


def core(book: NotebookNode) -> NotebookNode:
    """Keep of a lesson what 45 minutes hold: its core without the exercises, and without Further and the references."""
    kept, section = [], ""
    for cell in book.cells:
        if cell.cell_type == "markdown" and (heading := re.match(r"## (\w+)", cell.source)):
            section = heading[1]
        if section in ("Further", "References"):
            break
        if section != "Exercises":
            kept.append(cell)
    book.cells = kept
    return book


def build(
    notebooks: Iterable[Path],
    folder: Path = SLIDES,
    layer: str = "all",
    films: dict[str, list[dict[str, Any]]] | None = None,
    pictures: Path = explorers.FOLDER,
) -> list[Path]:
    """Write the deck of each notebook, or of its core, from stored outputs, and the assets beside; return the decks.

    `films` says what the explorers of lessons are whose pictures lie in a folder, as `explorers.film_all` returns it;
    those of other lessons are stills. A link to another lesson leads to its deck, and is plain text where the folder
    has none.
    """
    lay_assets(folder)
    explorers.lay(films or {}, folder / FILMS, pictures)
    exporter = SlidesExporter(template_name="deck", anchor_link_text="", extra_template_basedirs=[str(DECK.parent)])
    decks = {path: folder / f"{path.stem}.html" for path in notebooks}
    there = {deck.stem for deck in (*decks.values(), *folder.glob("*.html"))}
    for path, deck in decks.items():
        book = core(lessons.read(path)) if layer == "core" else lessons.read(path)
        for cell in book.cells:
            if cell.cell_type == "markdown":
                cell.source = LINK.sub(lambda link: link[0] if link[2] in there else link[1], cell.source)
        for about in (films or {}).get(path.stem, ()):
            for cell in book.cells:
                for output in cell.get("outputs", ()) if cell.id == about["cell"] else ():
                    if "image/png" in output.get("data", ()):
                        output.metadata["explorer"] = explorers.markup(path.stem, about, FILMS)
        page, _ = exporter.from_notebook_node(book, {"metadata": {"name": path.stem, "path": str(path.parent)}})
        deck.write_text(page, encoding="utf-8")
    return list(decks.values())


def present(notebook: Path, *arguments: str) -> None:
    """Serve the deck of a notebook with a kernel behind it, on this machine only, until interrupted.

    `arguments` go to Voilà, for example "--no-browser" or "--port=8900".
    """
    from voila.app import Voila  # takes a second to import

    class Presenter(Voila):
        """Voilà with the deck's assets, and the deck itself for the speaker view."""

        def setup_template_dirs(self) -> None:
            super().setup_template_dirs()
            self.static_paths.append(str(SLIDES))
            self.log.addFilter(lambda record: record.levelname == "ERROR" or "running at" in record.getMessage())

    print(f"Presenting {notebook.stem}: a browser opens and shows how far the lesson has run. Ctrl + C ends it.")
    drawn = explorers.filmed(notebook)
    build([notebook], films={notebook.stem: drawn} if drawn else {})
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(TEMPLATES), os.environ.get("JUPYTER_PATH")]))
    os.environ["TQDM_DISABLE"] = "1"  # a progress bar would stay on its slide
    config = Config()
    config.Voila.ip = "127.0.0.1"
    config.VoilaConfiguration.template = "deck"
    config.VoilaConfiguration.strip_sources = False
    config.VoilaConfiguration.show_tracebacks = True
    config.MappingKernelManager.update(cull_idle_timeout=60, cull_interval=10)  # of pages that were closed or reloaded
    config.VoilaConfiguration.extension_allowlist = [
        "@jupyter-widgets/jupyterlab-manager",
        "@voila-dashboards/widgets-manager8",
    ]
    Presenter.launch_instance([str(notebook), *arguments], config=config)


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two commands; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m utils.teach.slides", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="write decks into build/slides")
    make.add_argument("names", nargs="*", metavar="NB")
    make.add_argument(
        "--layer", choices=LAYERS, default="all", help="core: the selection for 45 minutes, in slides/core"
    )
    live = commands.add_parser("present", help="open one deck with a running kernel")
    live.add_argument("name", metavar="NB")
    live.add_argument("voila", nargs=argparse.REMAINDER, help="options for Voilà, such as --no-browser --port=8900")
    options = parser.parse_args(arguments)
    found = lessons.find(options.names if options.command == "build" else [options.name])
    if options.command == "present":
        present(found[0], *options.voila)
    else:
        faults = [why for path in found if (why := lessons.unfit(path, lessons.read(path)))]
        if faults:
            raise SystemExit("\n".join(faults))
        folder = SLIDES / "core" if options.layer == "core" else SLIDES
        try:
            films = explorers.film_all(found)
        except ValueError as fault:
            raise SystemExit(str(fault)) from None
        for deck in build(found, folder, options.layer, films):
            print(deck.relative_to(lessons.ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
