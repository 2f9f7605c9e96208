"""Scenes whose truth is known: real handwritten digits in front of real textures and photographs.

Of each scene the class, box, colour and mask of every digit are known, and how much of it is seen. Scenes of another
split hold other digits (of other writers, as far as the set tells) before other parts of the photographs.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from utils import data

SPLITS = {  # share of the published training digits, and of every photograph's width, from left to right
    "train": ((0, 0.75), (0, 0.4)),
    "validation": ((0.75, 1), (0.4, 0.7)),
    "test": ((0, 1), (0.7, 1)),  # of the published test digits
}
COLOURS = {
    "red": (0.9, 0.12, 0.1),
    "green": (0.1, 0.75, 0.2),
    "blue": (0.15, 0.3, 0.95),
    "yellow": (0.95, 0.85, 0.1),
    "white": (1.0, 1.0, 1.0),
}
SIZES = tuple(range(10, 33, 2))  # sides in pixels of the pasted squares; the digit in one is about 0.8 of it high
GROUNDS = ("brick", "grass", "gravel", "camera", "coffee", "chelsea", "astronaut", "rocket", "china", "flower")
HEIGHT = 240  # of a photograph, in pixels
SIDES = (16, round(HEIGHT * 0.29))  # of a scene, in pixels; the narrowest part of a photograph is 0.3 HEIGHT wide
DIMMED = 0.7  # of the ground's brightness is left, so that a digit stands out before a bright one too
INK = 0.5  # a pixel belongs to a digit where the digit covers at least this share of it
TRIES = 1000  # layouts drawn before too narrow a wish is given up


class Scenes(NamedTuple):
    """N scenes of S x S pixels with up to K digits each; a digit that is not there, or wholly hidden, is -1.

    `pictures` (N, 1 or 3, S, S) in [0, 1]; `digits` (N, K), 0 to 9; `boxes` (N, K, 4), x0, y0, x1, y1 in pixels around
    what is seen, x1 and y1 exclusive, zeros where there is no digit; `colours` (N, K), places in COLOURS; `instances`
    (N, S, S), 0 for the ground and 1 + k where digit k is seen; `visible` (N, K), the seen share of a digit's pixels.
    """

    pictures: Tensor
    digits: Tensor
    boxes: Tensor
    colours: Tensor
    instances: Tensor
    visible: Tensor

    @property
    def classes(self) -> Tensor:
        """The class of each pixel, (N, S, S): 0 for the ground, 1 + digit elsewhere."""
        table = F.pad(self.digits + 1, (1, 0))  # (N, 1 + K)
        return table.gather(1, self.instances.flatten(1)).reshape(self.instances.shape)


def draw(
    n: int,
    seed: int = 0,
    split: str = "train",
    side: int = 40,
    count: tuple[int, int] = (1, 4),
    sizes: tuple[int, int] = (12, 20),
    overlap: float = 0.3,
    colour: bool = False,
    digits: tuple[int, ...] = tuple(range(10)),
) -> Scenes:
    """Draw `n` scenes of `side` x `side` pixels, the same ones for the same arguments.

    `split` is "train", "validation" or "test"; `count` the fewest and the most digits of a scene, `sizes` the smallest
    and the largest square that a digit is pasted from, in pixels; `overlap` the largest share of a digit's box that the
    box of another one may cover, by the smaller box of the two; later digits lie in front. `digits` says which ones.

    Errors: ValueError for an unknown split, numbers out of range, or digits that find no place.
    """
    _check(n, split, side, count, sizes, overlap, digits)
    rng = np.random.default_rng([seed, list(SPLITS).index(split)])
    glyphs, extents, targets = _glyphs(split)
    most = count[1]
    present = np.arange(most) < rng.integers(count[0], most + 1, n)[:, None]  # (N, K)
    allowed = np.flatnonzero(np.isin(targets, digits))
    scales = [place for place, size in enumerate(SIZES) if sizes[0] <= size <= sizes[1]]
    which, scale, boxes = _layout(rng, extents, allowed, scales, present, side, overlap)
    hues = rng.integers(0, len(COLOURS), (n, most)) if colour else np.full((n, most), list(COLOURS).index("white"))
    channels = 3 if colour else 1
    inks = np.array(list(COLOURS.values()), np.float32)[hues, :channels]  # (N, K, channels)
    inks *= rng.uniform(0.8, 1, (n, most, 1)).astype(np.float32)

    grounds = _grounds(split, colour)
    pictures = np.zeros((n, channels, side, side), np.float32)
    instances = np.zeros((n, side, side), np.int64)
    seen = np.zeros((n, most, 4), int)
    visible = np.zeros((n, most), np.float32)
    for i in range(n):
        ground = grounds[rng.integers(len(grounds))]
        top, left = rng.integers(ground.shape[1] - side + 1), rng.integers(ground.shape[2] - side + 1)
        pictures[i] = DIMMED * ground[:, top : top + side, left : left + side]
        inked = {}
        for k in np.flatnonzero(present[i]):
            x0, y0, x1, y1 = boxes[i, k]
            left, top, right, bottom = extents[scale[i, k], which[i, k]]
            cover = glyphs[scale[i, k]][which[i, k], top:bottom, left:right]  # (y1 - y0, x1 - x0)
            patch = pictures[i, :, y0:y1, x0:x1]
            patch += cover * (inks[i, k][:, None, None] - patch)
            instances[i, y0:y1, x0:x1][cover >= INK] = k + 1
            inked[k] = (cover >= INK).sum()
        for k, all_of_it in inked.items():
            mask = instances[i] == k + 1
            visible[i, k] = mask.sum() / all_of_it
            if visible[i, k]:
                columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
                seen[i, k] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    there = visible > 0
    return Scenes(
        torch.from_numpy(pictures),
        torch.from_numpy(np.where(there, targets[which], -1)),
        torch.from_numpy(seen).float(),
        torch.from_numpy(np.where(there, hues, -1)),
        torch.from_numpy(instances),
        torch.from_numpy(visible),
    )


def _check(n, split, side, count, sizes, overlap, digits) -> None:
    if split not in SPLITS:
        raise ValueError(f"The split was {split!r}; accepted are {', '.join(map(repr, SPLITS))}.")
    pairs = {"count": (count, 0, 20), "sizes": (sizes, SIZES[0], SIZES[-1])}
    for name, value, low, high in (("n", n, 1, math.inf), ("side", side, *SIDES)):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            upper = "up" if high == math.inf else f"to {high}"
            raise ValueError(f"{name} was {value!r}; accepted is a whole number from {low} {upper}.")
    for name, (value, low, high) in pairs.items():
        if len(value) != 2 or not low <= value[0] <= value[1] <= high:
            raise ValueError(
                f"{name} was {value!r}; accepted are two whole numbers, the smaller first, {low} to {high}."
            )
    if not any(sizes[0] <= size <= sizes[1] for size in SIZES):
        raise ValueError(f"sizes was {sizes!r}; between the two must be one of {', '.join(map(str, SIZES))}.")
    if sizes[1] > side:
        raise ValueError(f"sizes was {sizes!r}; a digit of {sizes[1]} pixels has no place in a scene of {side}.")
    if not 0 <= overlap <= 1:
        raise ValueError(f"overlap was {overlap!r}; accepted is a share from 0 to 1.")
    if not len(digits) or not set(digits) <= set(range(10)):
        raise ValueError(f"digits was {digits!r}; accepted are some of 0 to 9.")


def _layout(rng, extents, allowed, scales, present, side, overlap):
    """Draw digits, sizes and places of all scenes, and again those of the scenes whose boxes overlap too much."""
    n, most = present.shape
    which, scale = np.zeros((n, most), int), np.zeros((n, most), int)
    boxes, again = np.zeros((n, most, 4), int), np.arange(n)
    for _ in range(TRIES):
        which[again] = rng.choice(allowed, (len(again), most))
        scale[again] = rng.choice(scales, (len(again), most))
        extent = extents[scale[again], which[again]]  # (M, K, 4)
        size = extent[..., 2:] - extent[..., :2]
        start = rng.integers(0, side + 1 - size)  # anywhere, wholly inside
        boxes[again] = np.concatenate([start, start + size], -1)
        one, other = boxes[again][:, :, None], boxes[again][:, None]  # (M, K, 1, 4), (M, 1, K, 4)
        sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
        shared = np.prod(np.maximum(sides, 0), -1) * (present[again][:, :, None] & present[again][:, None])
        area = np.prod(size, -1)
        shared = shared / np.minimum(area[:, :, None], area[:, None])  # (M, K, K)
        shared[:, np.arange(most), np.arange(most)] = 0
        again = again[shared.max((1, 2), initial=0) > overlap]
        if not len(again):
            return which, scale, boxes
    raise ValueError(
        f"{most} digits of up to {SIZES[scales[-1]]} pixels that overlap by {overlap} at most found no place in "
        f"{side} x {side} pixels; ask for fewer or smaller ones, a larger side, or more overlap."
    )


@lru_cache
def _glyphs(split):
    """Return the digits of a split as cover in [0, 1] at each of SIZES, the extent of their ink, and their classes."""
    digits, (low, high) = data.load("digits"), SPLITS[split][0]
    x, y = (digits.test_x, digits.test_y) if split == "test" else (digits.train_x, digits.train_y)
    part = slice(round(low * len(x)), round(high * len(x)))
    x = F.pad(x[part], (1, 1, 1, 1))  # a rim, so that no stroke is cut
    covers, extents = [], []
    for size in SIZES:
        cover = F.interpolate(x, size=(size, size), mode="bicubic", align_corners=False)[:, 0]
        cover = (1.25 * cover).clamp(0, 1).numpy()  # (N, size, size); strokes of the small pictures are pale
        columns, rows = (cover >= INK).any(1), (cover >= INK).any(2)
        first = [columns.argmax(1), rows.argmax(1)]
        last = [size - columns[:, ::-1].argmax(1), size - rows[:, ::-1].argmax(1)]
        covers.append(cover)
        extents.append(np.stack([*first, *last], 1))
    return covers, np.stack(extents), y[part].numpy()


@lru_cache
def _grounds(split, colour):
    """Return the split's part of each photograph, cut out before it is scaled, so that no pixel is in two parts."""
    low, high = SPLITS[split][1]
    parts = []
    for name in GROUNDS:
        picture = data.photograph(name)  # (3, H, W)
        width = picture.shape[2]
        part = picture[:, :, round(low * width) : round(high * width)]
        size = (HEIGHT, round(part.shape[2] * HEIGHT / part.shape[1]))
        part = F.interpolate(part[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]
        parts.append(part.numpy() if colour else part.mean(0, keepdim=True).numpy())
    return parts
