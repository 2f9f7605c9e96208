"""The tape and the dual numbers of 03_autodiff, taken out of the notebook, against torch on random expressions."""

import ast
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.workshop import lessons

LESSON = lessons.NOTEBOOKS / "03_autodiff.ipynb"
CELLS = ("set-up", "tensor", "operations", "more-operations", "backward", "tape-network", "dual")
SHAPES = [(3, 4), (1, 4), (3, 1), (4,), (1,), ()]


def defined():
    """Run the imports, classes and functions of the tape and of the dual numbers, and nothing else."""
    module = types.ModuleType("lesson")
    kept = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign
    for cell in lessons.code_cells(lessons.read(LESSON)):
        if cell.id in CELLS:
            nodes = [node for node in ast.parse(cell.source).body if isinstance(node, kept)]
            if cell.id == "tape-network":
                nodes = [node for node in nodes if isinstance(node, ast.FunctionDef)]
            exec(compile(ast.Module(nodes, []), cell.id, "exec"), module.__dict__)
    return module


lesson = defined()


@st.composite
def programs(draw):
    """Draw leaves of several shapes and a list of steps; each uses results made before, so that some are used twice."""
    seed = draw(st.integers(0, 2**32 - 1))
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4))
    kinds = st.sampled_from(["add", "multiply", "relu", "exp", "log", "sum", "sum rows", "sum columns"])
    places = st.integers(0, 50)
    steps = draw(st.lists(st.tuples(kinds, places, places), min_size=1, max_size=12))
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, size=shape) for shape in shapes], steps


def step(kind, a, b, ours):
    """Do one step with our tensors or with torch's; results stay within bounds, so that nothing overflows."""
    if kind == "add":
        return (a + b) * 0.5
    if kind == "multiply":
        return a * b
    if kind == "relu":
        return a.relu()
    if kind == "exp":
        return (a * 0.5).exp()
    if kind == "log":
        return (a * a + 1.0).log()
    axis = {"sum": None, "sum rows": 0, "sum columns": -1}[kind]
    if axis is not None and not (a.value if ours else a).ndim:
        axis = None
    if ours:
        return a.sum(axis) * 0.25
    return (a.sum(axis, keepdim=True) if axis is not None else a.sum().reshape([1] * a.ndim)) * 0.25


def run(leaves, steps, ours):
    results = list(leaves)
    for kind, i, j in steps:
        results.append(step(kind, results[i % len(results)], results[j % len(results)], ours))
    total = results[-1]
    for result in results[:-1]:  # nothing is left out, and much is used twice
        total = total + result
    return total


@settings(max_examples=300, deadline=None, derandomize=True)
@given(programs())
def test_the_tape_is_torchs_on_random_expressions(program):
    values, steps = program
    lesson.tape.clear()
    ours = [lesson.Tensor(value) for value in values]
    result = run(ours, steps, ours=True)
    lesson.backward(result)
    theirs = [torch.tensor(value, requires_grad=True) for value in values]
    wanted = run(theirs, steps, ours=False)
    wanted.sum().backward()
    np.testing.assert_allclose(result.value, wanted.detach().numpy(), rtol=1e-10, atol=1e-10)
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad.shape == a.value.shape
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-9, atol=1e-9)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_network_and_its_loss_are_torchs(batch, inputs, width, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(batch, inputs)), rng.integers(3, size=batch)
    sizes = (inputs, width), (width,), (width, 3), (3,)
    lesson.tape.clear()
    ours = [lesson.Tensor(5 * rng.normal(size=size)) for size in sizes]
    theirs = [torch.tensor(w.value, requires_grad=True) for w in ours]
    loss = lesson.cross_entropy(lesson.network(lesson.Tensor(x), *ours), y)
    lesson.backward(loss)
    W1, b1, W2, b2 = theirs
    z = torch.relu(torch.tensor(x) @ W1 + b1) @ W2 + b2
    wanted = torch.nn.functional.cross_entropy(z, torch.tensor(y))
    wanted.backward()
    assert loss.value.item() == pytest.approx(wanted.item(), rel=1e-10, abs=1e-10)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-8, atol=1e-10)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_dual_numbers_and_the_tape_fill_the_same_jacobian(inputs, width, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1, inputs))
    sizes = (inputs, width), (width,), (width, 3), (3,)
    weights = [rng.normal(size=size) for size in sizes]
    columns = [lesson.network(lesson.Dual(x, unit[None]), *weights).slope[0] for unit in np.eye(inputs)]
    rows = []
    for unit in np.eye(3):
        lesson.tape.clear()
        given_x = lesson.Tensor(x)
        lesson.backward(lesson.network(given_x, *map(lesson.Tensor, weights)), unit[None])
        rows.append(given_x.grad[0])
    np.testing.assert_allclose(np.array(columns).T, np.array(rows), atol=1e-12)


def test_the_comparison_has_teeth(monkeypatch):
    """With the planted bug of exercise 2 the random expressions must notice."""

    def planted(result, blame=1.0):
        result.grad = result.grad + blame
        for t in reversed(lesson.tape):
            for parent, g in zip(t.parents, t.pull(t.grad), strict=True):
                parent.grad = lesson.shrink(g, parent.value.shape)

    monkeypatch.setattr(lesson, "backward", planted)
    with pytest.raises(AssertionError):
        test_the_tape_is_torchs_on_random_expressions()
