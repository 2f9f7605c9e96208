"""What is said in one place of the project and must hold in another: versions, names, licences, set-up commands."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

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
    ("script", "sentence"),
    [
        (
            'case "$*" in *version_info*) exit 1;; esac; echo Python 3.9.1',
            "Python 3.11, 3.12 or 3.13 is needed; '{}' is Python 3.9.1.",
        ),
        ('case "$*" in *ensurepip*) exit 1;; esac', "'{}' lacks the module venv."),
    ],
    ids=["old-python", "no-venv"],
)
def test_a_python_that_cannot_be_used_gets_one_sentence(tmp_path, script, sentence):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    shutil.copy(lessons.ROOT / "Makefile", tmp_path)
    shown = make_lab(tmp_path, python)
    assert shown.returncode != 0
    assert shown.stdout.startswith(sentence.format(python))
    assert len(shown.stdout.splitlines()) == 1


@needs_make
def test_a_missing_python_gets_one_sentence(tmp_path):
    shutil.copy(lessons.ROOT / "Makefile", tmp_path)
    shown = make_lab(tmp_path, "no-such-python")
    assert shown.returncode != 0
    assert shown.stdout.startswith("Python 3.11, 3.12 or 3.13 is needed; 'no-such-python' is")


PIP = """#!/bin/sh
case "$*" in
    "-c import pip"*) exit {pip};;
    *find_spec*) exit {torch};;
    *ensurepip*) exit {ensurepip};;
    *whl/cpu*) echo "asked for small builds" >> log; exit {index};;
    *pip*) echo "$*" >> log;;
esac
"""


@pytest.fixture
def set_up(tmp_path):
    """Run `make .venv/lab` with a Python that only notes what it is asked for; return what was noted and said."""
    for file in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(lessons.ROOT / file, tmp_path)
    (tmp_path / "other").mkdir()
    for name in ("jupyter", "nvidia-smi", "uname"):
        place = tmp_path / {"nvidia-smi": "other", "uname": "tools"}.get(name, ".venv/bin") / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("#!/bin/sh\necho Linux\n")
        place.chmod(0o755)

    def set_up(made_in=tmp_path, card=False, torch=1, pip=0, ensurepip=0, index=0, options=()):
        (tmp_path / ".venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\ncommand = python3 -m venv {made_in}/.venv\n")
        python = tmp_path / ".venv" / "bin" / "python"
        python.write_text(PIP.format(torch=torch, pip=pip, ensurepip=ensurepip, index=index))
        python.chmod(0o755)
        shell = {name: text for name, text in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        # where this machine has a card, its nvidia-smi is out of sight
        tools = [tmp_path / "tools", *([tmp_path / "other"] if card else [])]
        shell["PATH"] = os.pathsep.join(
            [*map(str, tools), *(d for d in shell["PATH"].split(os.pathsep) if not Path(d, "nvidia-smi").exists())]
        )
        shown = subprocess.run(["make", ".venv/lab", *options], cwd=tmp_path, env=shell, capture_output=True, text=True)
        log = tmp_path / "log"
        return shown, log.read_text().splitlines() if log.exists() else []

    return set_up


@needs_make
@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, True),
        ({"index": 1}, True),  # it does not answer: the rest goes on
        ({"card": True}, False),
        ({"torch": 0}, False),  # it is there already
        ({"options": ["TORCH=cuda"]}, False),
        ({"options": ["TORCH=cpu"], "card": True}, True),
    ],
    ids=["no-card", "index-away", "card", "torch-there", "cuda", "cpu"],
)
def test_a_machine_without_a_card_asks_for_the_small_torch_first(set_up, settings, asked):
    shown, log = set_up(**settings)
    assert shown.returncode == 0, shown.stderr
    assert log[0].startswith("asked") == asked and len(log) == 1 + asked
    assert log[-1].endswith("--editable .")


@needs_make
def test_what_torch_may_be_is_said(set_up):
    shown, log = set_up(options=["TORCH=gpu"])
    assert shown.returncode and not log
    assert shown.stdout.splitlines()[0] == "TORCH was 'gpu'; accepted are auto, cpu and cuda."


@needs_make
def test_an_environment_of_another_folder_or_without_pip_gets_one_sentence(set_up):
    shown, log = set_up(made_in="/home/somebody/else where")
    assert shown.returncode and not log
    sentence = "`make clean` removes it; then this command sets up anew."
    assert shown.stdout.splitlines() == [f"The .venv here was made for another folder. {sentence}"]
    assert set_up(pip=1)[0].returncode == 0, "pip is put back"
    shown, _ = set_up(pip=1, ensurepip=1)
    assert shown.returncode and shown.stdout.splitlines()[0] == f"The .venv here has no Python with pip. {sentence}"


@needs_make
@pytest.mark.parametrize("name", ["a [b]", "Anna's", "x$y", 'q"r', "p%q #h", "ünï", "-x"])
def test_the_folder_of_the_course_may_have_any_name(tmp_path, name):
    """Its environment is taken for its own, and JupyterLab begins in it."""
    folder = tmp_path / name
    (folder / ".venv" / "bin").mkdir(parents=True)
    for file in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(lessons.ROOT / file, folder)
    (folder / ".venv" / "pyvenv.cfg").write_text(f"command = python3 -m venv {folder}/.venv\n", encoding="utf-8")
    for program, does in (("python", "exit 0"), ("jupyter", 'printf "%s\\n" "$@"')):
        (folder / ".venv" / "bin" / program).write_text(f"#!/bin/sh\n{does}\n")
        (folder / ".venv" / "bin" / program).chmod(0o755)
    shown = make_lab(folder, "python3")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert f"--ServerApp.root_dir={folder}" in shown.stdout.splitlines()


@needs_make
def test_no_setting_of_the_reader_leads_pip_and_python_astray():
    """What installs elsewhere, and what imports another `utils`, stays outside; an index of the reader's own counts."""
    names = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME", "PIP_INDEX_URL")
    environment = {**os.environ, **dict.fromkeys(names, "1"), "MAKEFLAGS": "--no-print-directory"}
    rule = "include Makefile\ntold:\n\t@env\n"
    told = subprocess.run(
        ["make", "-f", "-", "told"], input=rule, cwd=lessons.ROOT, env=environment, capture_output=True, text=True
    )
    kept = dict(line.partition("=")[::2] for line in told.stdout.splitlines())
    assert {name: kept[name] for name in names if name in kept} == {"PIP_USER": "0", "PIP_INDEX_URL": "1"}


def test_utils_is_imported_from_any_folder(tmp_path):
    """Installed, not found by luck: no notebook needs sys.path."""
    code = "import utils, pathlib; print(pathlib.Path(utils.__file__).parent)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str(lessons.ROOT / "utils")


def test_the_map_has_an_arrow_where_a_lesson_says_what_to_read_before():
    """What a title asks for leads to it on the map of 00; and each arrow is in its lesson's own words."""
    book = lessons.read(lessons.NOTEBOOKS / "00_start_here.ipynb")
    (cell,) = [cell for cell in book.cells if cell.id == "lessons"]
    (drawn,) = re.findall(r"^lessons = (\{.*?^\})", cell.source, re.M | re.S)
    arrows = {name: set(before) for name, (before, *_) in ast.literal_eval(re.sub("#.*", "", drawn)).items()}

    def leads_to(name):
        return arrows[name].union(*map(leads_to, arrows[name]))

    names = sorted(path.stem for path in lessons.find())
    assert list(arrows) == names
    (links,) = [cell.source for cell in book.cells if cell.id == "map-links"]
    assert re.findall(r"^- \[(\w+)\]\(\1\.ipynb\): ", links, re.M) == names[1:]
    for path in lessons.find():
        title = lessons.read(path).cells[0].source
        (before,) = re.findall(r"Read before: (.*)", title)
        linked = [set(re.findall(r"\]\((\w+)\.ipynb\)", part)) for part in (re.split(r"[;.] ", before)[0], before)]
        assert linked[0] <= leads_to(path.stem), f"{path.stem}: no arrow comes from {linked[0] - leads_to(path.stem)}"
        assert arrows[path.stem] <= linked[1], f"{path.stem} says nothing of {arrows[path.stem] - linked[1]}"
