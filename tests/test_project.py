"""What is said in one place of the project and must hold in another: versions, names, licences, set-up commands."""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from utils.workshop import lessons

PROJECT = tomllib.loads((lessons.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK_LINES = (lessons.ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
LOCK = dict(line.split("==") for line in LOCK_LINES if line and not line.startswith("#"))
EXTRAS = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
WANTED = [Requirement(text) for text in [*PROJECT["dependencies"], *EXTRAS]]
needs_make = pytest.mark.skipif(os.name == "nt" or not shutil.which("make"), reason="needs make and a POSIX shell")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_the_lock_holds_each_dependency_within_its_range(wanted):
    locked = {normal(name): version for name, version in LOCK.items()}
    assert Version(locked[normal(wanted.name)]) in wanted.specifier


def test_the_lock_is_portable():
    for line in LOCK_LINES:
        if line.startswith("#"):
            continue
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), (
            f"{line!r} holds a host, a path or a local version"
        )


def test_torchvision_stays_out():
    assert "torchvision" not in LOCK


def test_the_conda_environment_is_the_same():
    environment = yaml.safe_load((lessons.ROOT / "environment.yml").read_text(encoding="utf-8"))
    python = next(entry for entry in environment["dependencies"] if str(entry).startswith("python"))
    assert Version(python.partition("=")[2] + ".0") in Requirement(f"python{PROJECT['requires-python']}").specifier
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["--constraint requirements.lock", "--editable .[teach,workshop,test]"]
    assert environment["name"] == PROJECT["name"]


def test_the_workflow_is_valid():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    shown = subprocess.run([*command, ".github/workflows/ci.yml"], cwd=lessons.ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stdout + shown.stderr


@pytest.mark.parametrize("document", ["README.md", "TEACHING.md", "CONTRIBUTING.md"])
def test_every_command_of_the_documents_exists(document):
    text = (lessons.ROOT / document).read_text(encoding="utf-8")
    makefile = (lessons.ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.M))
    assert named
    for name in named:
        assert re.search(rf"^{name}:", makefile, re.M), f"{document} names `make {name}`"


def test_what_contributing_shows_stands_in_the_template():
    text = (lessons.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    template = (lessons.ROOT / "utils" / "workshop" / "template" / "trials.toml").read_text(encoding="utf-8")
    shown = re.findall(r"```toml\n(.*?)```", text, re.S)
    assert len(shown) == 2 and all(block in template for block in shown)
    for path in re.findall(r"`((?:tests|utils)/[\w./]+)`", text):
        assert (lessons.ROOT / path).exists(), f"CONTRIBUTING.md names {path}"


def test_the_readme_names_every_folder():
    readme = (lessons.ROOT / "README.md").read_text(encoding="utf-8")
    for folder in ("notebooks", "utils", "data", "tests"):
        assert f"`{folder}/`" in readme


def test_the_readme_leads_to_every_lesson():
    readme = (lessons.ROOT / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"^\| \[(\w+)\]\(notebooks/(\w+)\.ipynb\) \| .+\? \|$", readme, re.M)
    assert linked == [(path.stem, path.stem) for path in lessons.find()]


def make_lab(folder, python):
    """Run `make lab` as from a shell of its own: the lanes are themselves started by make."""
    shell = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", "lab", f"PYTHON={python}"], cwd=folder, env=shell, capture_output=True, text=True)


@needs_make
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            'case "$*" in *version_info*) exit 1;; esac; echo Python 3.9.1',
            "Python 3.11, 3.12 or 3.13 is needed; '{}' is Python 3.9.1.",
        ),
        ('case "$*" in *ensurepip*) exit 1;; esac', "'{}' lacks the module venv."),
    ],
    ids=["old-python", "no-venv"],
)
def test_a_python_that_cannot_be_used_gets_one_sentence(tmp_path, script, said):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    shutil.copy(lessons.ROOT / "Makefile", tmp_path)
    shown = make_lab(tmp_path, python)
    assert shown.returncode != 0
    assert shown.stdout.startswith(said.format(python))
    assert len(shown.stdout.splitlines()) == 1


@needs_make
def test_a_missing_python_gets_one_sentence(tmp_path):
    shutil.copy(lessons.ROOT / "Makefile", tmp_path)
    shown = make_lab(tmp_path, "no-such-python")
    assert shown.returncode != 0
    assert shown.stdout.startswith("Python 3.11, 3.12 or 3.13 is needed; 'no-such-python' is")


def test_utils_is_imported_from_any_folder(tmp_path):
    """Installed, not found by luck: no notebook needs sys.path."""
    code = "import utils, pathlib; print(pathlib.Path(utils.__file__).parent)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str(lessons.ROOT / "utils")
