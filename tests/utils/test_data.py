"""Data sets against the libraries they come from, and splits against counts made by hand."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from utils import data


@pytest.fixture(scope="module")
def published():
    return data.load()


def rows(x: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in x}


def test_the_published_split_is_that_of_scikit_learns_example(published):
    bunch = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(bunch.images, bunch.target, test_size=0.5, shuffle=False)
    for ours, theirs in zip(published, (train_x / 16, train_y, test_x / 16, test_y), strict=True):
        np.testing.assert_array_equal(ours.squeeze(1) if ours.ndim == 4 else ours, theirs)


def test_the_published_svm_scores_its_published_96_9_percent(published):
    svm = SVC(gamma=0.001).fit(16 * published.train_x.flatten(1), published.train_y)
    assert svm.score(16 * published.test_x.flatten(1), published.test_y) == pytest.approx(0.969, abs=5e-4)


@pytest.mark.parametrize("split, sizes", [("published", (898, 899)), ("random", (898, 899))])
def test_a_split_is_plain_tensors_in_order(split, sizes):
    train_x, train_y, test_x, test_y = data.load("digits", split=split)
    for x, y, size in ((train_x, train_y, sizes[0]), (test_x, test_y, sizes[1])):
        assert x.shape == (size, 1, 8, 8) and x.dtype == torch.float32
        assert y.shape == (size,) and y.dtype == torch.int64
        assert (x.min(), x.max()) == (0, 1)
        assert y.unique().tolist() == list(range(10))


def test_random_halves_are_stratified_disjoint_and_complete(published):
    halves = data.load(split="random", seed=3)
    counts = torch.stack([halves.train_y.bincount(), halves.test_y.bincount()])
    assert (counts[0] - counts[1]).abs().max() <= 1
    everything = rows(torch.cat([published.train_x, published.test_x]))
    assert rows(halves.train_x) | rows(halves.test_x) == everything
    assert not rows(halves.train_x) & rows(halves.test_x)


def test_the_seed_decides_the_random_halves_and_nothing_else_does():
    torch.manual_seed(1)
    first = data.load(split="random", seed=0)
    torch.manual_seed(2)
    np.random.seed(2)
    again, other = data.load(split="random", seed=0), data.load(split="random", seed=1)
    assert torch.equal(first.train_x, again.train_x) and torch.equal(first.test_y, again.test_y)
    assert not torch.equal(first.train_x, other.train_x)


def test_what_one_reader_writes_into_a_split_no_other_reader_sees(published):
    mine = data.load()
    mine.train_x.zero_()
    assert data.load().train_x.max() == published.train_x.max() == 1


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"name": "emnist"}, "DATASET was 'emnist'; accepted are 'digits', 'mnist', 'fashion_mnist'."),
        ({"name": None}, "DATASET was None; accepted are 'digits', 'mnist', 'fashion_mnist'."),
        ({"split": "half"}, "The split was 'half'; accepted are 'published', 'random'."),
    ],
)
def test_an_unknown_data_set_or_split_lists_those_accepted(arguments, sentence):
    with pytest.raises(ValueError) as error:
        data.load(**arguments)
    assert str(error.value) == sentence


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_hold_out_sets_the_same_share_of_every_class_aside(published, fraction):
    part = data.hold_out(published.train_x, published.train_y, fraction, seed=5)
    assert len(part.test_y) == round(fraction * 898) and len(part.train_y) + len(part.test_y) == 898
    wanted = fraction * published.train_y.bincount(minlength=10)
    assert (part.test_y.bincount(minlength=10) - wanted).abs().max() <= 1
    assert not rows(part.train_x) & rows(part.test_x)
    again = data.hold_out(published.train_x, published.train_y, fraction, seed=5)
    assert torch.equal(part.test_x, again.test_x)


def test_hold_out_keeps_pictures_and_labels_together():
    y = torch.arange(3).repeat(20)
    x = torch.stack([y, torch.arange(60)], 1)
    for xs, ys in zip(*[iter(data.hold_out(x, y))] * 2, strict=True):
        assert torch.equal(xs[:, 0], ys)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_hold_out_names_a_bad_fraction(published, fraction):
    with pytest.raises(ValueError, match="fraction was .*; accepted is a number between 0 and 1"):
        data.hold_out(published.train_x, published.train_y, fraction)


def test_hold_out_names_both_shapes(published):
    with pytest.raises(ValueError, match=r"\(898, 1, 8, 8\) and \(899,\)"):
        data.hold_out(published.train_x, published.test_y)


@pytest.mark.parametrize("name", data.PHOTOGRAPHS)
def test_a_photograph_is_the_one_that_its_library_ships(name):
    picture = data.photograph(name)
    theirs = load_sample_image(f"{name}.jpg") if name in ("china", "flower") else getattr(skimage.data, name)()
    theirs = theirs if theirs.ndim == 3 else np.stack([theirs] * 3, 2)  # (H, W, 3)
    assert picture.dtype == torch.float32
    np.testing.assert_array_equal((picture * 255).round().byte().permute(1, 2, 0), theirs)


@pytest.mark.parametrize("name, full", [("chelsea", 300), ("coins", 303)])
def test_a_height_is_at_most_the_pictures_own(name, full):
    assert data.photograph(name, full).shape == data.photograph(name).shape
    with pytest.raises(ValueError, match=f"height was {full + 1}; accepted is a whole number from 1 to {full}"):
        data.photograph(name, full + 1)


@pytest.mark.parametrize("height, width", [(1, 1), (64, 96), (427, 640)])
def test_a_scaled_photograph_keeps_its_proportions_and_brightness(height, width):
    full, small = data.photograph("flower"), data.photograph("flower", height)
    assert small.shape == (3, height, width)
    assert 0 <= small.min() and small.max() <= 1
    torch.testing.assert_close(small.mean((1, 2)), full.mean((1, 2)), atol=0.02 if height > 1 else 0.5, rtol=0)


def test_a_photograph_is_scaled_as_pillow_scales_it():
    theirs = Image.fromarray(load_sample_image("china.jpg")).resize((96, 64), Image.Resampling.BILINEAR)
    difference = data.photograph("china", 64).permute(1, 2, 0).numpy() - np.asarray(theirs) / 255
    assert np.abs(difference).max() < 0.01  # Pillow rounds twice to 1/255


@pytest.mark.parametrize("height", [0, -3, 428, 64.5, "64", True])
def test_a_bad_height_is_named(height):
    with pytest.raises(ValueError, match="height was .*; accepted is a whole number from 1 to 427"):
        data.photograph("china", height)


def test_an_unknown_photograph_lists_those_accepted():
    with pytest.raises(ValueError, match="The photograph was 'cat'; accepted are 'china', 'flower', 'astronaut', .*."):
        data.photograph("cat")


def test_faces_are_the_first_hundred_of_the_subset():
    from skimage.data import lfw_subset

    faces = data.faces()
    assert faces.shape == (100, 1, 25, 25) and faces.dtype == torch.float32
    assert 0 <= faces.min() and faces.max() <= 1
    np.testing.assert_array_equal(faces[:, 0], lfw_subset()[:100].astype(np.float32))


def test_english_reads_like_english():
    text = data.english()
    assert 300_000 < len(text) < 700_000
    words = text.lower().split()
    assert 0.03 < words.count("the") / len(words) < 0.10
    assert text == data.english()


def test_a_terminal_that_knows_no_umlaut_is_told_where_the_sets_are(tmp_path):
    poor = {**os.environ, "PYTHONIOENCODING": "ascii", "COURSE_DATA_DIR": str(tmp_path / "Übung")}
    done = subprocess.run([sys.executable, "-m", "utils.data", "list"], env=poor, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert r"\xdcbung" in done.stdout


def test_a_utils_py_of_ones_own_brings_the_message_that_the_readme_explains(tmp_path):
    (tmp_path / "utils.py").write_text("def accuracy(p, y):\n    return (p == y).mean()\n")
    run = [sys.executable, "-c", "from utils import check, data, plot"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    message = done.stderr.splitlines()[-1].partition(" (")[0]
    readme = (Path(data.__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert f"| `{message}` | A file `utils.py` of yours" in readme
