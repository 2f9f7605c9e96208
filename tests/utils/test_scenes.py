"""Scenes against what can be counted in them: boxes by scipy, overlap by hand, writers and places by marked data."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from utils import data, scenes


@pytest.fixture(scope="module", params=[0.0, 0.3, 0.9], ids="overlap {}".format)
def crowd(request):
    return request.param, scenes.draw(60, seed=5, count=(0, 4), overlap=request.param)


def boxes_by_scipy(instances, most):
    """The box of each instance, zeros where it is not in the picture."""
    found = ndimage.find_objects(instances.numpy(), max_label=most)
    return torch.tensor([[0, 0, 0, 0] if f is None else [f[1].start, f[0].start, f[1].stop, f[0].stop] for f in found])


def test_boxes_are_tight_around_what_is_seen(crowd):
    _, drawn = crowd
    for boxes, instances in zip(drawn.boxes, drawn.instances, strict=True):
        torch.testing.assert_close(boxes, boxes_by_scipy(instances, 4).float())


def test_the_class_of_a_pixel_is_that_of_its_digit(crowd):
    _, drawn = crowd
    for classes, instances, digits in zip(drawn.classes, drawn.instances, drawn.digits, strict=True):
        assert not classes[instances == 0].any()
        for k in range(4):
            there = classes[instances == k + 1]
            assert (len(there) > 0) == (digits[k] >= 0)
            assert (there == digits[k] + 1).all()


def test_no_box_covers_more_of_another_than_was_said(crowd):
    overlap, drawn = crowd
    whole = drawn.visible == 1
    for boxes, there in zip(drawn.boxes, whole, strict=True):
        grids = torch.zeros(4, 40, 40, dtype=torch.bool)
        for k in torch.nonzero(there).flatten().tolist():
            x0, y0, x1, y1 = boxes[k].int().tolist()
            grids[k, y0:y1, x0:x1] = True
        for a in range(4):
            for b in range(a):
                smaller = min(grids[a].sum(), grids[b].sum())
                assert (grids[a] & grids[b]).sum() <= overlap * smaller + 1e-6


def test_more_overlap_hides_more(crowd):
    overlap, drawn = crowd
    seen = drawn.visible[drawn.digits >= 0]
    assert (seen == 1).all() if overlap == 0 else seen.min() < 1
    assert ((drawn.visible > 0) == (drawn.digits >= 0)).all()


def test_a_hidden_digit_is_not_listed():
    drawn = scenes.draw(200, side=24, count=(6, 6), sizes=(10, 24), overlap=1.0, digits=(0, 1))
    hidden = drawn.digits < 0
    assert hidden.any()
    assert (drawn.boxes[hidden] == 0).all() and (drawn.colours[hidden] == -1).all()


def test_the_same_arguments_draw_the_same_scenes_and_others_do_not():
    first, again, other = (scenes.draw(20, seed=seed, colour=True) for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert not torch.equal(first.pictures, other.pictures)


def test_drawing_leaves_other_draws_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    scenes.draw(2)
    torch.testing.assert_close(torch.rand(3), expected)


def test_splits_share_no_digit():
    codes = [{glyph.tobytes() for glyph in scenes._glyphs(split)[0][-1]} for split in scenes.SPLITS]
    kept = sum(map(len, codes))
    assert len(set.union(*codes)) == kept == 1797
    assert len(scenes._glyphs("test")[2]) == 899 and len(scenes._glyphs("validation")[2]) == 898 - 674


@pytest.fixture
def marked(monkeypatch):
    """Photographs whose every pixel says in which column it stands; what was drawn before is forgotten after."""
    ramp = torch.linspace(0, 1, 600).expand(3, 300, 600)
    monkeypatch.setattr(data, "photograph", lambda name: ramp)
    scenes._grounds.cache_clear()
    yield
    scenes._grounds.cache_clear()


def test_splits_share_no_place(marked):
    low, high = zip(
        *(scenes.draw(50, split=split, count=(0, 0)).pictures.aminmax() for split in ("train", "validation", "test")),
        strict=True,
    )
    assert high[0] < low[1] and high[1] < low[2]
    shares = np.array([*low, high[-1]]) / scenes.DIMMED
    np.testing.assert_allclose(shares[[1, 2]], [0.4, 0.7], atol=0.02)


def test_a_digit_is_read_by_its_colour():
    drawn = scenes.draw(40, seed=2, colour=True, overlap=0.0)
    names = list(scenes.COLOURS)
    i, k = torch.nonzero(drawn.digits >= 0)[7].tolist()
    ink = drawn.pictures[i][:, drawn.instances[i] == k + 1].T  # (pixels, 3)
    strongest = ink[ink.max(1).values.argmax()]
    palette = torch.tensor(list(scenes.COLOURS.values()))
    alike = torch.cosine_similarity(strongest[None], palette)
    assert names[int(alike.argmax())] == names[int(drawn.colours[i, k])]
    assert (scenes.draw(5).colours[scenes.draw(5).digits >= 0] == names.index("white")).all()


def test_only_the_wished_digits_are_drawn():
    drawn = scenes.draw(50, digits=(3, 7), count=(2, 2))
    assert set(drawn.digits.flatten().tolist()) == {3, 7}
    assert drawn.pictures.shape == (50, 1, 40, 40) and drawn.pictures.aminmax().max <= 1


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (dict(split="training"), "accepted are 'train', 'validation', 'test'"),
        (dict(n=0), "n was 0; accepted is a whole number from 1 up"),
        (dict(n=2.0), "n was 2.0"),
        (dict(side=200), "accepted is a whole number from 16 to 70"),
        (dict(count=(3, 1)), "count was (3, 1)"),
        (dict(sizes=(4, 12)), "sizes was (4, 12)"),
        (dict(sizes=(13, 13)), "must be one of 10, 12"),
        (dict(side=16, sizes=(12, 20)), "has no place in a scene of 16"),
        (dict(overlap=1.5), "accepted is a share from 0 to 1"),
        (dict(digits=()), "accepted are some of 0 to 9"),
        (dict(digits=(10,)), "accepted are some of 0 to 9"),
        (dict(side=24, count=(9, 9), sizes=(20, 20), overlap=0.0), "found no place in 24 x 24 pixels"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wish_that_cannot_be_met_is_named(wish, sentence):
    with pytest.raises(ValueError, match=".") as error:
        scenes.draw(**{"n": 3, **wish})
    assert sentence in str(error.value)
