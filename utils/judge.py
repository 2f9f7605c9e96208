"""The frozen judge of generated digits: reads them, measures their Fréchet distance and coverage, finds copies."""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from utils import data, train

COVERED = 0.5  # a class counts as covered with this part of its fair share; misreadings alone stay below it
RESAMPLES = 100
PORTION = 1000  # pictures at a time, so that 60,000 of a larger set fit into memory


class Verdict(NamedTuple):
    """What the judge says of samples. A figure of unseen real digits stands beside each."""

    accuracy: float  # share read as the class that was asked for, if one was; unseen digits: Judge.accuracy
    confidence: float  # mean probability of the class that was read
    coverage: int  # number of classes that get at least half of their fair share of the samples
    floors: float  # Fréchet distance to B over the floor, the distance of as many digits of A; unseen digits: 1
    nearest: float  # median distance to the nearest digit of A over that of B; unseen digits: 1, copies: 0


def frechet_distance(p: Tensor, q: Tensor) -> float:
    """Return the Fréchet distance of two sets of features, |m_p - m_q|^2 + tr(C_p + C_q - 2 (C_p C_q)^(1/2)).

    m are the means and C the covariances: it compares the normal distributions that fit the two sets.

    Shapes: p (N, D), q (M, D), N and M at least 2.
    Errors: ValueError for other shapes.
    Source: Heusel et al., 2017.
    """
    if p.ndim != 2 or q.ndim != 2 or p.shape[1] != q.shape[1] or min(len(p), len(q)) < 2:
        raise ValueError(
            f"The features have shapes {tuple(p.shape)} and {tuple(q.shape)}; accepted are (N, D) and (M, D), N, M > 1."
        )
    p, q = p.double(), q.double()
    means = (p.mean(0) - q.mean(0)).square().sum()
    cov_p, cov_q = (torch.atleast_2d(torch.cov(features.T)) for features in (p, q))  # (D, D)
    # C_p C_q has real eigenvalues, none negative; rounding may leave a trace of the contrary
    root = torch.linalg.eigvals(cov_p @ cov_q).real.clamp(min=0).sqrt().sum()
    return float(means + cov_p.trace() + cov_q.trace() - 2 * root)


class Judge:
    """A small classifier fitted on half B and frozen, which judges what a generator that saw half A alone has made.

    The same halves give the same judge, whatever was drawn before; fitting takes a second or two for the small digits.

    Shapes: a_x (N, 1, H, W), a_y (N,), b_x (M, 1, H, W), b_y (M,); pictures in [0, 1], H and W at least 2.
    Errors: ValueError for other shapes.
    """

    def __init__(self, a_x: Tensor, a_y: Tensor, b_x: Tensor, b_y: Tensor, epochs: int = 20) -> None:
        self._fits(a_x, b_x.shape[1:])
        self.a_x, self.a_y, self.b_x, self.b_y = a_x, a_y, b_x, b_y
        self.classes = int(b_y.max()) + 1
        _, channels, height, width = b_x.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = nn.Sequential(
                *(nn.Conv2d(channels, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten()),
                *(nn.Linear(64 * (height // 2) * (width // 2), 32), nn.ReLU(), nn.Linear(32, self.classes)),
            )
            train.fit(self.net, b_x, b_y, epochs, augment=_shift, generator=torch.Generator().manual_seed(0))
        self.net.requires_grad_(False)
        self.accuracy = train.accuracy(self.net, a_x, a_y)

    def _fits(self, x: Tensor, shape: torch.Size) -> None:
        if x.ndim != 4 or x.shape[1:] != shape or len(x) < 2:
            raise ValueError(f"The pictures have shape {tuple(x.shape)}; accepted is {('N', *shape)}, N at least 2.")

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Return the 32 numbers (N, 32) that the judge's last layer reads."""
        self._fits(x, self.b_x.shape[1:])
        return torch.cat([self.net[:-1](part) for part in x.split(PORTION)])

    @torch.no_grad()
    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class that each picture is read as (N,), and the probability that it is given (N,)."""
        self._fits(x, self.b_x.shape[1:])
        confidence, labels = torch.cat([self.net(part) for part in x.split(PORTION)]).softmax(1).max(1)
        return labels, confidence

    def distance(self, x: Tensor) -> float:
        """Return the Fréchet distance of pictures (N, 1, H, W) to half B in the judge's features."""
        return frechet_distance(self.features(x), self._b)

    @cached_property
    def _b(self) -> Tensor:
        return self.features(self.b_x)

    def floor(self, n: int | None = None) -> float:
        """Return the distance to B of `n` digits of A, all by default, in the proportions of their classes.

        The fewer the samples the larger the distance, so only sets of one size compare. Ten draws are averaged.
        Errors: ValueError if `n` is not a whole number from 2 classes' worth to the size of A.
        """
        most = len(self.a_x)
        n = most if n is None else n
        if not 2 * self.classes <= n <= most:
            raise ValueError(f"The number of samples was {n}; accepted is {2 * self.classes} to {most}, as half A has.")
        a = self.features(self.a_x)
        if n > most - self.classes:  # too few are left out for one of each class
            return frechet_distance(a, self._b)
        drawn = [data.hold_out(a, self.a_y, n / most, seed).test_x for seed in range(10)]
        return sum(frechet_distance(part, self._b) for part in drawn) / len(drawn)

    def floor_interval(self) -> tuple[float, float]:
        """Return a 95 % bootstrap interval of the floor of full size; digits are drawn again within their classes.

        Drawing with replacement makes every distance larger; the interval is moved back by the mean of that.
        """
        generator = torch.Generator().manual_seed(0)

        def again(features: Tensor, y: Tensor) -> Tensor:
            places = [(y == k).nonzero()[:, 0] for k in range(self.classes)]
            drawn = [own[torch.randint(len(own), (len(own),), generator=generator)] for own in places if len(own)]
            return features[torch.cat(drawn)]

        a, b = self.features(self.a_x), self._b
        floors = [frechet_distance(again(a, self.a_y), again(b, self.b_y)) for _ in range(RESAMPLES)]
        floors = torch.tensor(floors)
        low, high = (floors - floors.mean() + self.floor()).quantile(torch.tensor([0.025, 0.975])).tolist()
        return low, high

    def nearest(self, x: Tensor) -> Tensor:
        """Return the Euclidean distance (N,) of each picture to the nearest digit of A."""
        self._fits(x, self.b_x.shape[1:])
        return torch.cat([torch.cdist(part, self.a_x.flatten(1)).amin(1) for part in x.flatten(1).split(PORTION)])

    @cached_property
    def _unseen(self) -> Tensor:  # every so many of a large B will do
        return self.nearest(self.b_x[:: -(-len(self.b_x) // (2 * PORTION))]).median()

    def verdict(self, x: Tensor, y: Tensor | None = None) -> Verdict:
        """Judge samples (N, 1, H, W); `y` (N,) are the classes that were asked for, if any were.

        Errors: ValueError for another shape, or more samples than half A has.
        """
        floor = self.floor(len(x))
        labels, confidence = self.read(x)
        return Verdict(
            accuracy=float("nan") if y is None else float((labels == y).float().mean()),
            confidence=float(confidence.mean()),
            coverage=int((labels.bincount(minlength=self.classes) >= COVERED * len(x) / self.classes).sum()),
            floors=self.distance(x) / floor,
            nearest=float(self.nearest(x).median() / self._unseen),
        )


def _shift(x: Tensor, generator: torch.Generator) -> Tensor:
    """Roll a batch by up to a pixel each way."""
    return torch.roll(x, torch.randint(-1, 2, (2,), generator=generator).tolist(), (-2, -1))


class Kept(NamedTuple):
    """What a lesson's generator left for comparison."""

    samples: Tensor  # (100, 1, H, W), in steps of 1/255
    verdict: Verdict
    seed: int
    training_seconds: float
    sampling_seconds: float  # for 100 samples


def keep(
    family: str, samples: Tensor, verdict: Verdict, *, seed: int, training_seconds: float, sampling_seconds: float
) -> None:
    """Keep the first 100 samples of a family of generators, its verdict and its seconds (sampling: for 100).

    They are written where `make run` says, as `FAMILY.npy` and `FAMILY.json`; in any other run nothing is written.

    Shapes: samples (N, 1, H, W) in [0, 1].
    """
    folder = os.environ.get("COURSE_KEEP")
    if not folder:
        return
    path = Path(folder) / family
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path.with_suffix(".npy"), (255 * samples[:100]).round().to(torch.uint8).cpu().numpy())
    record = {name: None if value != value else round(value, 4) for name, value in verdict._asdict().items()}
    record |= {"seed": seed, "training_seconds": round(training_seconds, 1)}
    record["sampling_seconds"] = round(sampling_seconds, 3)
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def kept(family: str, folder: Path = data.GENERATED) -> Kept:
    """Return what `keep` wrote for a family in the committed run.

    Errors: FileNotFoundError that lists the families there are.
    """
    path = Path(folder) / family
    if not path.with_suffix(".json").exists():
        known = ", ".join(sorted(file.stem for file in Path(folder).glob("*.json"))) or "none"
        raise FileNotFoundError(f"Nothing is kept of {family!r}; there is {known}. `make run` writes it.")
    samples = torch.from_numpy(np.load(path.with_suffix(".npy"), allow_pickle=False)).float() / 255
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    verdict = Verdict(*(float("nan") if record[name] is None else record[name] for name in Verdict._fields))
    return Kept(samples, verdict, *(record[name] for name in Kept._fields[2:]))
