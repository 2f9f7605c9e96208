"""Starts the tests with the network cut: all of them, those of one lesson, or those that the ledger lacks."""

import os
import subprocess
import sys

from utils.workshop import kernel, lessons

PYTHON = sys.executable
NOTHING_TO_RUN = 5  # pytest's exit status where no test is left
OPTIONS = "--nbval-lax --nbval-current-env -p no:cacheprovider --dist loadscope --no-loadscope-reorder -q -rs".split()
OPTIONS += ["--max-worker-restart", "3"]  # else a test that ends its process is begun again and again
BROWSER = ["tests/notebooks/test_browser.py", "tests/teach/test_slides.py", "tests/teach/test_site.py"]


def pytest(chosen: list[str], workers: int, **environment: str) -> int:
    """Run pytest on files or folders of the course; return its exit status."""
    timeout = f"--nbval-cell-timeout={kernel.CELL_TIMEOUT}"
    command = [PYTHON, "tests/offline.py", PYTHON, "-m", "pytest", *OPTIONS, timeout, "-n", str(workers), *chosen]
    return subprocess.run(
        command, cwd=lessons.ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}
    ).returncode


def ruff(*arguments: str) -> int:
    """Run ruff on the course; return its exit status."""
    return subprocess.run([PYTHON, "-m", "ruff", *arguments], cwd=lessons.ROOT).returncode


def test(names: list[str], workers: int, part: str | None = None, everything: bool = False) -> int:
    """Prove the course, but for what the ledger holds; of lessons named, all their tests.

    `part`, as in 2/3, takes one of three parts. `everything` takes no row of the ledger for proof.
    """
    status = ruff("check", ".") or ruff("format", "--check", "utils", "tests")
    which = ["-k", " or ".join(path.stem for path in lessons.find(names))] if names else []
    environment = {"COURSE_PART": part} if part else {}
    environment |= {} if names or everything else {"COURSE_LEDGER": "test"}
    return status or pytest(["tests", "notebooks", *which], workers, **environment)


def prove(names: list[str], workers: int) -> int:
    """Prove in full the lessons that changed, or those named, and write down that they are proved."""
    listed = " ".join(path.stem for path in lessons.find(names)) if names else ""
    status = pytest(["tests"], workers, COURSE_LEDGER="prove", COURSE_LESSONS=listed)
    return 0 if status == NOTHING_TO_RUN else status


def quick(names: list[str], workers: int) -> int:
    """Run what a writer asks for again and again: form, defaults, second seed, widgets, exercises, other knobs."""
    books = [str(path.relative_to(lessons.ROOT)) for path in lessons.find(names)]
    which = " or ".join(path.stem for path in lessons.find(names))
    inner = ["tests/notebooks/test_form.py", "tests/notebooks/test_lessons.py", *books, "-k", which]
    return ruff("check", *books) or pytest(inner, workers, COURSE_QUICK="1")  # without the breakages


def browser(names: list[str], workers: int) -> int:
    """Open every notebook, page and slide in a real browser, or those of the lessons named."""
    which = ["-k", " or ".join(path.stem for path in lessons.find(names))] if names else []
    return pytest([*BROWSER, *which], workers, COURSE_BROWSER="all")
