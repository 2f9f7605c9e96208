"""The integers and the C of 60_tinyml, taken out of the notebook, against torch's quantised kernels and random nets."""

import ast
import importlib.util
import io
import types

import numpy as np
import pytest
import torch

from utils.workshop import lessons

CONSTANTS = set("SEED WIDTH PLAN POINTWISE SPATIAL TYPES FLASH LINKER OPTIONS PAINT".split())  # for functions
LESSON = lessons.NOTEBOOKS / "60_tinyml.ipynb"
SHAPES = [("spatial", 1, 16), ("spatial", 16, 16), ("pointwise", 16, 32), ("spatial", 32, 32), ("pointwise", 32, 44)]


@pytest.fixture(scope="module")
def defined():
    """The notebook's imports, functions, classes and constants, and nothing else."""
    return lessons.definitions("60_tinyml", constants=CONSTANTS)


def random_net(defined, seed, loud=False):
    """Draw layers of whole numbers in the student's shape; a loud one drives many bytes to their ends."""
    rng = np.random.default_rng(seed)
    net, z_x = [], 0
    for kind, C, M in [*SHAPES, ("dense", 176, 10)]:
        inputs = 9 if kind == "spatial" else C
        w = rng.integers(-127, 128, (M, inputs)).astype(np.int8)
        z_y = int(rng.integers(-128, 128))
        m, n = defined.fixed_point(rng.uniform(0.2, 1, M) * (0.2 if loud else 0.01) / inputs**0.5)
        b = rng.integers(-20_000, 20_000, M).astype(np.int32) - z_x * w.sum(1, dtype=np.int32)
        net.append({"w": w, "b": b, "m": m, "n": n, "zx": z_x, "zy": z_y})
        z_x = z_y
    return net


@pytest.fixture
def qnnpack():
    """Choose the engine that multiplies bytes exactly on every processor."""
    if "qnnpack" not in torch.backends.quantized.supported_engines:
        pytest.skip("this torch has no qnnpack")
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = "qnnpack"
    yield
    torch.backends.quantized.engine = before


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_a_layer_is_that_of_torch(defined, qnnpack, number):
    """Torch rounds halves to even and keeps its multiplier in a float, so a byte in a thousand may differ by one."""
    kind, C, M = SHAPES[number]
    rng = np.random.default_rng(number)
    s_x, z_x, s_y, z_y = 0.03, int(rng.integers(-128, 100)), 0.05, -128
    s_w = rng.uniform(0.0005, 0.01, M)
    w = rng.integers(-127, 128, (M, 9 if kind == "spatial" else C)).astype(np.int8)
    b = rng.integers(-2_000, 2_000, M)
    x = rng.integers(-128, 128, (20, 8, 8, C)).astype(np.int8)
    m, n = defined.fixed_point(s_x * s_w / s_y)
    layer = {"w": w, "b": b - z_x * w.sum(1, dtype=int), "m": m, "n": n, "zx": z_x, "zy": z_y}
    ours = defined.requantise(getattr(defined, kind)(x, layer), m, n, z_y)

    size = (3, 3) if kind == "spatial" else (1, 1)
    filters = torch.tensor(w * s_w[:, None]).float().reshape(M, -1, *size)
    filters = torch.quantize_per_channel(filters, torch.tensor(s_w), torch.zeros(M, dtype=torch.int64), 0, torch.qint8)
    assert (filters.int_repr().numpy().reshape(M, -1) == w).all()
    real = torch.tensor(s_x * (x.astype(float) - z_x)).float().permute(0, 3, 1, 2)
    quantised = torch.quantize_per_tensor(real, s_x, z_x + 128, torch.quint8)
    assert (quantised.int_repr().numpy().astype(int) - 128 == x.transpose(0, 3, 1, 2)).all()
    groups = C if kind == "spatial" else 1
    pad = size[0] // 2
    packed = torch.ops.quantized.conv2d_prepack(
        filters, torch.tensor(s_x * s_w * b).float(), [1, 1], [pad, pad], [1, 1], groups
    )
    theirs = torch.ops.quantized.conv2d(quantised, packed, s_y, z_y + 128).int_repr().numpy().astype(int) - 128
    apart = np.abs(ours.astype(int) - theirs.transpose(0, 2, 3, 1))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.002
    assert len(np.unique(ours)) > 50, "a layer that is always at its ends would prove nothing"


def needs_chip(defined):
    for name in ("ziglang", "unicorn", "elftools"):
        pytest.importorskip(name)
    import unicorn
    from elftools.elf.elffile import ELFFile
    from unicorn import arm_const

    defined.ELFFile, defined.unicorn, defined.arm_const = ELFFile, unicorn, arm_const


@pytest.mark.parametrize("loud", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_machine_code_equals_numpy_on_random_networks(defined, seed, loud):
    needs_chip(defined)
    net = random_net(defined, seed, loud)
    pictures = np.random.default_rng(seed).integers(-128, 128, (12, 8, 8, 1)).astype(np.int8)
    board = defined.power_up(defined.ELFFile(io.BytesIO(defined.compile_c(defined.to_c(net)))))
    on_chip = np.stack([defined.classify(picture, *board) for picture in pictures])
    assert (on_chip == defined.run_integers(net, pictures)).all()
    assert len(np.unique(on_chip, axis=0)) > 6
    assert 0 < defined.stack_used(*board) < 512


def test_a_refusal_shows_the_message_of_the_compiler(defined):
    needs_chip(defined)
    with pytest.raises(RuntimeError, match="The compiler refuses:[\\s\\S]*unknown_name"):
        defined.compile_c("int f(void) { return unknown_name; }")


def test_without_compiler_and_emulator_the_cells_say_so(monkeypatch, capsys):
    """Runs the set-up and the part on the chip with both packages hidden; what comes between is only defined."""
    hidden = {"ziglang", "unicorn", "elftools"}
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in hidden else find(name, *rest))
    module = types.ModuleType("lesson")
    cells = [c for c in lessons.code_cells(lessons.read(LESSON)) if not lessons.tags(c) & lessons.EXERCISE_TAGS]
    names = [cell.id for cell in cells]
    whole = {*names[: names.index("start") + 1], "compile", "classify", "emulate", "chip-findings", "bill"}
    for cell in cells[: names.index("bill") + 1]:
        nodes = ast.parse(cell.source).body
        nodes = nodes if cell.id in whole else [node for node in nodes if lessons.defines(node, CONSTANTS)]
        exec(compile(ast.Module(nodes, []), cell.id, "exec"), module.__dict__)
    printed = capsys.readouterr().out
    assert "Not installed here: ziglang, unicorn, elftools." in printed
    assert "Without the emulator nothing can be counted." in printed and "unicorn" not in vars(module)
