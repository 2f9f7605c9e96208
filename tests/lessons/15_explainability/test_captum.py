"""The maps of 15_explainability, taken out of the notebook, against captum; and the fault that it tells of."""

import captum.attr
import pytest
import torch
from torch import nn

from utils import pretrained
from utils.workshop import lessons

CELLS = ("set-up", "knobs", "slope", "integrated", "cam", "grad-cam", "occlusion")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # captum sets hooks, and says so


lesson = lessons.definitions("15_explainability", CELLS, ("SEED", "PATH", "RULES"))


def network(kind):
    """Return a small network that ends as the lesson's do, in double precision."""
    torch.manual_seed(4)
    layers = nn.Conv2d(3, 8, 3, padding=1), kind(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3, padding=1), kind()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)).double().eval()


@pytest.fixture
def example():
    x = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(5), dtype=torch.double)
    return x, torch.tensor([0, 3, 1])


@pytest.mark.parametrize("kind", [nn.ReLU, nn.ReLU6])
def test_gradient_and_integrated_gradients(kind, example):
    (x, k), net = example, network(kind)
    theirs = captum.attr.Saliency(net).attribute(x.clone().requires_grad_(), target=k, abs=False)
    assert torch.allclose(lesson.slope(net, x, k), theirs, atol=1e-12)
    theirs = captum.attr.IntegratedGradients(net).attribute(x, target=k, n_steps=32, method="riemann_middle")
    assert torch.allclose(lesson.integrated(net, x, k, 32), theirs, atol=1e-12)


@pytest.mark.parametrize(
    ("rule", "theirs"), [("guided", captum.attr.GuidedBackprop), ("deconvolution", captum.attr.Deconvolution)]
)
def test_rules_for_a_relu(rule, theirs, example):
    (x, k), net = example, network(nn.ReLU)
    wanted = theirs(net).attribute(x.clone().requires_grad_(), target=k)
    assert torch.allclose(lesson.slope(net, x, k, rule), wanted, atol=1e-12)
    assert not torch.allclose(lesson.slope(net, x, k), wanted, atol=1e-3)


def test_grad_cam(example):
    (x, k), net = example, network(nn.ReLU)
    theirs = captum.attr.LayerGradCam(net, net[4]).attribute(x, target=k)[:, 0]
    assert torch.allclose(lesson.grad_cam(net, x, k), theirs, atol=1e-12)
    assert torch.allclose(lesson.cam(net, x, k) / theirs[0].numel(), theirs, atol=1e-12)


def test_occlusion():
    net = pretrained.network()
    x = pretrained.normalised(torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(6)))
    size = {"sliding_window_shapes": (3, 32, 32), "strides": (3, 32, 32)}
    with torch.no_grad():
        theirs = captum.attr.Occlusion(net).attribute(x, target=7, perturbations_per_eval=7, **size)[0, 0, ::32, ::32]
        for row, column in [(0, 0), (3, 5), (6, 6)]:
            hidden = lesson.covered(x[0], row, column, 32)[None]
            fall = net(x)[0, 7] - net(hidden)[0, 7]
            assert abs(fall - theirs[row, column]) < 1e-4


def test_the_library_misses_relu6():
    """If this fails, captum has learnt of ReLU6: then the section "A silent fault" has to be told in the past tense."""
    net = pretrained.network()
    x = pretrained.normalised(torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(6)), None)
    theirs = captum.attr.GuidedBackprop(net).attribute(x.clone().requires_grad_(), target=285)
    plain, guided = lesson.slope(net, x, [285]), lesson.slope(net, x, [285], "guided")
    assert torch.allclose(theirs, plain, atol=1e-6)
    assert not torch.allclose(theirs, guided, atol=1e-2 * guided.abs().max().item())
