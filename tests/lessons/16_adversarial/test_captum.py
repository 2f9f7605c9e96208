"""The attacks of 16_adversarial, taken out of the notebook, against captum's, and DeepFool against a closed form."""

import pytest
import torch
from captum.robust import FGSM, PGD
from torch import nn
from torch.nn import functional as F

from utils.workshop import lessons

CELLS = ("set-up", "attack", "curves", "mask-answer", "deepfool")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # captum asks for slopes, and says so


lesson = lessons.definitions("16_adversarial", CELLS)


@pytest.fixture
def batch():
    torch.manual_seed(4)
    layers = nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(512, 10)  # no kink, so no tie
    net = nn.Sequential(*layers).double().requires_grad_(False)
    x = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.double)
    return net, x, torch.arange(12) % 10


def losses(kind):
    """Return the loss as captum takes it, and as the lesson does."""
    if kind == "error":
        return nn.CrossEntropyLoss(reduction="none"), lesson.error
    return (lambda z, y: lesson.lead(lambda a: z, y)(None)), lesson.lead


@pytest.mark.parametrize("kind", ["error", "lead"])
@pytest.mark.parametrize("eps", [0.03, 0.15])
def test_fgsm(kind, eps, batch):
    net, x, y = batch
    theirs, ours = losses(kind)
    wanted = FGSM(net, loss_func=theirs, lower_bound=0, upper_bound=1).perturb(x.clone(), eps, y)
    assert torch.allclose(lesson.attack(ours(net, y), x, eps), wanted, atol=1e-12)


@pytest.mark.parametrize("kind", ["error", "lead"])
@pytest.mark.parametrize("steps", [2, 10])
def test_pgd(kind, steps, batch):
    net, x, y = batch
    theirs, ours = losses(kind)
    attack = PGD(net, loss_func=theirs, lower_bound=0, upper_bound=1)
    wanted = attack.perturb(x.clone(), radius=0.15, step_size=2.5 * 0.15 / steps, step_num=steps, target=y)
    found = lesson.attack(ours(net, y), x, 0.15, steps)
    assert torch.allclose(found, wanted, atol=1e-12)
    assert not torch.allclose(found, lesson.attack(ours(net, y), x, 0.15), atol=1e-3)


def test_targeted(batch):
    net, x, y = batch
    attack = PGD(net, loss_func=nn.CrossEntropyLoss(reduction="none"), lower_bound=0, upper_bound=1)
    wanted = attack.perturb(x.clone(), radius=0.1, step_size=0.05, step_num=5, target=y, targeted=True)
    found = lesson.attack(lambda a: -F.cross_entropy(net(a), y, reduction="none"), x, 0.1, 5)
    assert torch.allclose(found, wanted, atol=1e-12)


def test_a_random_start_stays_within(batch):
    net, x, y = batch
    a = lesson.attack(lesson.error(net, y), x, 0.1, 3, torch.Generator().manual_seed(1))
    assert (a - x).abs().max() <= 0.1 + 1e-12 and 0 <= a.min() and a.max() <= 1


def test_deepfool_of_a_linear_network(batch):
    _, x, _ = batch
    torch.manual_seed(6)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double().requires_grad_(False)
    z, W = net(x), net[1].weight
    k = z.argmax(1)
    nearest = [
        min(float((z[n, k[n]] - z[n, j]) / (W[j] - W[k[n]]).norm()) for j in range(10) if j != k[n])
        for n in range(len(x))
    ]
    change = lesson.deepfool(net, x, k)
    assert (net(x + change).argmax(1) != k).all()
    assert torch.allclose(change.flatten(1).norm(dim=1) / 1.02, torch.tensor(nearest).double(), atol=2e-4)
