"""Another device: with a pretend device in the place of the CPU, what a lesson makes follows the device.

Nothing in it needs a graphics card; what fails on one for mixing it with the CPU fails here. Each lesson runs
on this device with its small knobs, in `test_lessons.py`; the parts At full size run there too, on stand-ins for MNIST
and for Shakespeare.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.notebooks import elsewhere
from tests.notebooks.test_full_size import STAND_IN, WAKES
from utils.workshop import kernel, lessons

BEGIN = f"""
import sys

sys.path.append({str(lessons.ROOT)!r})  # a kernel knows only what is installed
from tests.notebooks import elsewhere

elsewhere.begin()
"""


def agrees(path):
    """Return the code that holds the numbers of a lesson's part At full size against others."""
    return lessons.trials(path).get("full_size", {}).get("agrees")


@pytest.fixture
def there():
    """Pretend, and return the device."""
    with elsewhere.pretend():
        yield elsewhere.DEVICE


def losses(device, fused=False):
    """Train a small network with Adam and return its losses."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(4 * 6 * 6, 3)
    net = nn.Sequential(*layers).to(device, memory_format=torch.channels_last)
    x, y = torch.rand(32, 1, 8, 8, device=device), torch.randint(3, (32,), device=device)
    optimizer, found = torch.optim.Adam(net.parameters(), fused=fused), []
    for _ in range(20):
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("fused", [False, True])
def test_trains_as_on_the_cpu(there, fused):
    before = elsewhere.counted
    assert losses(there, fused) == losses("cpu", fused)
    assert elsewhere.counted - before > 500


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_reads_sequences_as_on_the_cpu(there, kind):
    net, x = kind(3, 5, batch_first=True), torch.rand(4, 7, 3)
    wanted = net(x)[0].detach()
    out = net.to(there)(x.to(there))[0]
    out.sum().backward()
    assert torch.allclose(out.detach().cpu(), wanted, atol=1e-6)
    assert all(parameter.grad.device == there for parameter in net.parameters())


@pytest.mark.parametrize(
    "make",
    [
        lambda at: torch.tensor([1.0, 2, 3], device=at),
        lambda at: torch.as_tensor([1.0, 2, 3], device=at),
        lambda at: torch.zeros(1, device=at).new_tensor([1.0, 2, 3]),
        lambda at: torch.linspace(1, 3, 3, device=at),
        lambda at: torch.tensor([1.0, 2, 3]).to(at),
        lambda at: torch.zeros(3, device=at).copy_(torch.tensor([1.0, 2, 3])),
        lambda at: torch.tensor([3.0, 1, 2], device=at)[[1, 2, 0]],
        lambda at: torch.tensor([3.0, 1, 2], device=at)[torch.tensor([1, 2, 0])],
        lambda at: torch.arange(4.0, device=at)[1:],
        lambda at: torch.arange(3, device=at) + torch.tensor(1.0),
    ],
)
def test_makes_the_numbers_there(there, make):
    tensor = make(there)
    assert tensor.device == there
    assert tensor.tolist() == tensor.cpu().numpy().tolist() == [1, 2, 3]
    assert [float(tensor[0]), f"{tensor[1]:.1f}", torch.tensor(list(tensor)).tolist()] == [1, "2.0", [1, 2, 3]]


def test_views_share_their_numbers(there):
    x = torch.zeros(2, 3, device=there)
    x[0] += 1
    x.T[2] = torch.tensor(5.0)
    assert x.tolist() == [[1, 1, 5], [0, 0, 5]]


def test_moving_a_module_keeps_its_parameters(there):
    net = nn.Linear(2, 2)
    known = list(net.parameters())
    net.to(there)
    assert all(parameter is old for parameter, old in zip(net.parameters(), known, strict=True))
    assert {parameter.device for parameter in known} == {there}
    assert net.cpu().weight.device.type == "cpu"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: x + torch.ones(3), "same device"),
        (lambda x: torch.ones(3).mul_(x), "same device"),
        (lambda x: torch.tensor(0.0).add_(x[0]), "same device"),
        (lambda x: torch.stack([x[0], torch.tensor(1.0)]), "same device"),
        (lambda x: nn.Linear(3, 3)(x), "same device"),
        (lambda x: torch.ones(3)[x.long()], "same device"),
        (lambda x: x.index_select(0, torch.tensor([0])), "same device"),
        (lambda x: F.cross_entropy(x[None], torch.tensor([0])), "same device"),
        (lambda x: torch.equal(x, torch.ones(3)), "same device"),
        (lambda x: torch.rand(3, device=x.device, generator=torch.Generator()), "for generator"),
        (lambda x: x.bernoulli(generator=torch.Generator()), "for generator"),
        (lambda x: x.index_put_((torch.arange(3, device=x.device),), torch.ones(3)), "same device"),
        (lambda x: x.numpy(), "to numpy"),
        (lambda x: x.numpy().__array__(), "to numpy"),
        (lambda x: x.double(), "to float64"),
    ],
)
def test_fails_where_a_graphics_card_does(there, wrong, words):
    with pytest.raises((RuntimeError, TypeError), match=words):
        wrong(torch.ones(3, device=there))


def test_what_it_changes_in_torch_is_put_back():
    def switches():
        return torch._C._only_lift_cpu_tensors(), torch.__future__.get_swap_module_params_on_conversion()

    before = switches()
    with elsewhere.pretend():
        assert switches() == (True, True) != before
    assert switches() == before


def executed(path, old="", new="", probes=None):
    """Execute a lesson with small knobs, on the pretend device if it has one; `old` becomes `new` in its one cell."""
    book, known = lessons.read(path), set(kernel.knobs(path))
    cells = lessons.code_cells(book)
    if old:
        (cell,) = [cell for cell in cells if old in cell.source]
        cell.source = cell.source.replace(old, new)
    wakes = {knob: value for knob, value in WAKES.items() if knob in known}
    if "DEVICE" in known or wakes:
        cells[0].source += BEGIN + (STAND_IN if wakes else "")
        probes = {**(probes or {}), "counted": "print(elsewhere.counted)", "numbers": agrees(path) or "pass"}
    return kernel.execute(
        path, lessons.trials(path)["knobs"]["small"] | wakes, strict=False, source=book, probes=probes
    )


def follows_the_device(path, run):
    """Assert that what a lesson made was on the pretend device, and that its part At full size made its claims."""
    known = kernel.knobs(path)
    if "DEVICE" in known:
        assert int(lessons.text_of(run.cell("counted"))) > 1000
    at_full_size = [claim["name"] for claim in run.claims if claim["name"].startswith(tuple(WAKES.values()))]
    assert bool(at_full_size) == bool(set(WAKES) & set(known)), "the part At full size makes no claim"
    assert bool(agrees(path)) == bool(at_full_size)
    if at_full_size:
        assert len(at_full_size) == run.cell("full-size-run").source.count("check.claim(")


def test_a_forgotten_move_is_noticed():
    path = lessons.NOTEBOOKS / "20_rnn_lstm.ipynb"
    run = executed(path, "net = Adder(kind).to(device)", "net = Adder(kind)")
    assert run.error is not None
    assert "same device" in run.error.evalue
    assert run.error.cell == "gradient-by-lag"
