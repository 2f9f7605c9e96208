"""Slides: a reveal.js deck of each lesson from its stored outputs, and the same deck with a running kernel.

`python -m utils.teach.slides build [NB ...]` writes build/slides/NB.html and, beside it, all that a deck loads.
`python -m utils.teach.slides present NB` runs the lesson and opens its deck, in which the explorers answer.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from nbconvert import SlidesExporter
from traitlets.config import Config

from utils.workshop import lessons

SLIDES = lessons.ROOT / "build" / "slides"
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
    ):
        (assets / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(source), assets / target)


def build(notebooks: Iterable[Path], folder: Path = SLIDES) -> list[Path]:
    """Write the deck of each notebook, from its stored outputs, and the assets beside them; return the decks."""
    lay_assets(folder)
    exporter = SlidesExporter(template_name="deck", anchor_link_text="", extra_template_basedirs=[str(DECK.parent)])
    decks = []
    for path in notebooks:
        page, _ = exporter.from_filename(str(path))
        decks.append(folder / f"{path.stem}.html")
        decks[-1].write_text(page, encoding="utf-8")
    return decks


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
    build([notebook])
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
    commands.add_parser("build", help="write decks into build/slides").add_argument("names", nargs="*", metavar="NB")
    live = commands.add_parser("present", help="open one deck with a running kernel")
    live.add_argument("name", metavar="NB")
    live.add_argument("voila", nargs=argparse.REMAINDER, help="options for Voilà, such as --no-browser --port=8900")
    given = parser.parse_args(arguments)
    found = lessons.find(given.names if given.command == "build" else [given.name])
    if given.command == "present":
        present(found[0], *given.voila)
    else:
        faults = [why for path in found if (why := lessons.unfit(path, lessons.read(path)))]
        if faults:
            raise SystemExit("\n".join(faults))
        for deck in build(found):
            print(deck.relative_to(lessons.ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
