"""Where things run: seeds repeat, bad values are answered in words, and no import leaves a trace."""

import importlib
import inspect
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from utils import runtime

ROOT = Path(__file__).resolve().parents[2]
ROOMS = sorted(path.stem for path in (ROOT / "utils").glob("*.py") if path.stem != "__init__")


def draw_from_everything() -> list[float]:
    return [random.random(), np.random.rand(), torch.rand(()).item()]


def test_the_same_seed_gives_the_same_numbers():
    mine = runtime.seed(7)
    first = [*draw_from_everything(), torch.rand((), generator=mine).item()]
    mine = runtime.seed(np.int64(7))
    assert first == [*draw_from_everything(), torch.rand((), generator=mine).item()]
    runtime.seed(8)
    assert not set(first) & set(draw_from_everything())


def test_the_generator_is_independent_of_the_global_one():
    generator = runtime.seed(0)
    torch.rand(10)
    assert torch.equal(torch.rand(3, generator=generator), torch.rand(3, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("bad", [-1, 2**32, 1.0, "1", None, True])
def test_a_bad_seed_is_named_and_changes_nothing(bad):
    before = torch.random.get_rng_state()
    with pytest.raises(ValueError, match=r"SEED was .*accepted is a whole number from 0 to 2\*\*32 - 1") as error:
        runtime.seed(bad)
    assert repr(bad) in str(error.value)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "cuda, mps, auto", [(False, False, "cpu"), (True, False, "cuda"), (False, True, "mps"), (True, True, "cuda")]
)
def test_auto_takes_the_accelerator_that_is_there(monkeypatch, cuda, mps, auto):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert runtime.device("auto") == torch.device(auto)
    assert runtime.device("cpu") == runtime.device() == torch.device("cpu")
    for name, present in (("cuda", cuda), ("mps", mps)):
        if present:
            assert runtime.device(name) == torch.device(name)
        else:
            with pytest.raises(ValueError, match=f"'{name}', which this machine does not have; here are 'cpu'"):
                runtime.device(name)


@pytest.mark.parametrize("bad", ["gpu", "CPU", "", None, 0, ["cpu"]])
def test_an_unknown_device_lists_those_accepted(bad):
    with pytest.raises(ValueError) as error:
        runtime.device(bad)
    assert str(error.value) == f"DEVICE was {bad!r}; accepted are 'cpu', 'auto', 'cuda', 'mps'."


def test_on_a_card_convolutions_keep_all_bits(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    runtime.device("cpu")
    assert torch.backends.cudnn.allow_tf32
    assert runtime.device("auto").type == "cuda"
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    "knob",
    [(1, 1, None), (10**9, 1, None), (5, 1, 5), (0.0, 0.0, 1.0), (1, 0.0, 1.0), ("b", ["a", "b"]), (2, [1, 2])],
)
def test_a_knob_within_what_it_accepts_passes(knob):
    assert runtime.accept(KNOB=knob) is None


@pytest.mark.parametrize(
    "knob, words",
    [
        ((0, 1, None), "KNOB was 0; accepted are whole numbers from 1."),
        ((6, 1, 5), "KNOB was 6; accepted are whole numbers from 1 to 5."),
        ((2.0, 1, 5), "KNOB was 2.0; accepted are whole numbers from 1 to 5."),
        ((True, 1, 5), "KNOB was True; accepted are whole numbers from 1 to 5."),
        (("2", 1, 5), "KNOB was '2'; accepted are whole numbers from 1 to 5."),
        ((float("nan"), 0.0, 1.0), "KNOB was nan; accepted are numbers from 0.0 to 1.0."),
        ((1.01, 0.0, 1.0), "KNOB was 1.01; accepted are numbers from 0.0 to 1.0."),
        ((None, 0.0, None), "KNOB was None; accepted are numbers from 0.0."),
        (("c", ["a", "b"]), "KNOB was 'c'; accepted are 'a', 'b'."),
        ((True, [1, 2]), "KNOB was True; accepted are 1, 2."),
    ],
)
def test_a_knob_beyond_it_is_named_with_what_is_accepted(knob, words):
    with pytest.raises(ValueError) as raised:
        runtime.accept(FIRST=(1, 1, 2), KNOB=knob)
    assert str(raised.value) == words


def test_threads_are_set():
    before = torch.get_num_threads()
    try:
        runtime.threads(2)
        assert torch.get_num_threads() == 2
    finally:
        runtime.threads(before)


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", None, True])
def test_a_bad_number_of_threads_is_named(bad):
    with pytest.raises(ValueError, match="accepted is a whole number of at least 1") as error:
        runtime.threads(bad)
    assert repr(bad) in str(error.value)


def test_progress_yields_everything_and_clears_its_line(capsys, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "0")  # the lanes run with 1
    assert list(runtime.progress(iter("abc"), "reading")) == ["a", "b", "c"]
    captured = capsys.readouterr()
    assert captured.out == "" and "reading" in captured.err and "\n" not in captured.err
    assert captured.err.endswith("\r") and captured.err.split("\r")[-2].strip() == ""


PROBE = """
import json, os, random, sys, warnings
import matplotlib, numpy, torch

def state():
    return {
        "rcParams": repr(sorted(dict.items(matplotlib.rcParams))),  # asking for the backend by name would load pyplot
        "random": hash(random.getstate()),
        "numpy": numpy.random.get_state()[1].tolist(),
        "torch": torch.random.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "dtype": str(torch.get_default_dtype()),
        "grad": torch.is_grad_enabled(),
        "mkldnn": torch.backends.mkldnn.enabled,
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "filters": [repr(entry) for entry in warnings.filters],
        "path": sys.path[:],
        "pyplot": "matplotlib.pyplot" in sys.modules,
    }

third_party = "IPython.display ipywidgets matplotlib.figure numpy.typing PIL.Image torch.nn tqdm.auto traitlets"
for name in [*third_party.split(), "torch.utils.flop_counter", "torch.nn.attention"]:
    __import__(name)
before = state()
for room in sys.argv[1:]:
    __import__("utils." + room)
after = state()
from utils import plot, runtime
plot.use_style()
assert list(runtime.progress(range(3), "counting")) == [0, 1, 2]
print(json.dumps([key for key in before if before[key] != after[key]]))
"""


def test_importing_every_room_changes_nothing_and_a_disabled_bar_prints_nothing(tmp_path):
    assert len(ROOMS) >= 7
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "MPLCONFIGDIR": str(tmp_path / "mpl"), "TQDM_DISABLE": "1"}
    environment["PYTHONPATH"] = str(ROOT)
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROBE, *ROOMS], cwd=work, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [], "an import changed these"
    assert done.stderr == ""
    assert list(work.iterdir()) == [], "an import wrote a file"
    assert list(home.iterdir()) == [], "an import wrote into the home folder"


def public_functions():
    for room in ROOMS:
        module = importlib.import_module(f"utils.{room}")
        for name, member in vars(module).items():
            if getattr(member, "__module__", None) != module.__name__ or name.startswith("_"):
                continue
            if inspect.isfunction(member):
                yield pytest.param(member, id=f"{room}.{name}")
            elif inspect.isclass(member):
                assert member.__doc__, f"{room}.{name} has no docstring"
                for part, method in vars(member).items():
                    if inspect.isfunction(method) and method.__module__ == module.__name__:
                        yield pytest.param(method, id=f"{room}.{name}.{part}")


@pytest.mark.parametrize("function", list(public_functions()))
def test_every_public_function_says_what_it_does_and_is_typed(function):
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for name, parameter in signature.parameters.items():
        assert name == "self" or parameter.annotation is not inspect.Parameter.empty, name
    if not function.__name__.startswith("_"):
        first = (inspect.getdoc(function) or "").split("\n\n")[0]
        assert first.endswith((".", ";")) and first[0].isupper(), f"no first sentence: {first!r}"
