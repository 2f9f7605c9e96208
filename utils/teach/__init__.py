"""What instructors make of the notebooks: slides, a class with grading, a site."""

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def lessons(names: Iterable[str] = ()) -> list[Path]:
    """Find lessons by name, with or without `.ipynb`; without names all of them.

    Errors: SystemExit with a sentence that lists the lessons there are.
    """
    there = {path.stem: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    names = [Path(name).stem for name in names]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise SystemExit(f"There is no lesson {', '.join(unknown)}; there are {', '.join(there)}.")
    return [there[name] for name in names] or list(there.values())
