"""The judge against torchmetrics and closed forms, on real digits, on copies and on broken samples."""

import math

import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from utils import judge


def normal(n, mean, scales, seed=0):
    return mean + torch.randn(n, len(scales), generator=torch.Generator().manual_seed(seed)) * torch.tensor(scales)


class Features(nn.Module):
    """The judge's features under the name that torchmetrics asks for."""

    num_features = 32

    def __init__(self, frozen):
        super().__init__()
        self.frozen = frozen

    def forward(self, x):
        return self.frozen.features(x)


def test_frechet_distance_equals_that_of_torchmetrics(digits, frozen):
    noisy = (digits.train_x + 0.1 * torch.randn(digits.train_x.shape)).clamp(0, 1)
    for samples in (digits.train_x, noisy, digits.train_x[:200]):
        theirs = FrechetInceptionDistance(Features(frozen), normalize=True, input_img_size=(1, 8, 8))
        theirs.update(digits.test_x, real=True)
        theirs.update(samples, real=False)
        assert frozen.distance(samples) == pytest.approx(theirs.compute().item(), rel=1e-3)


def test_frechet_distance_of_normals_with_diagonal_covariances_has_a_closed_form():
    p, q = normal(200_000, 0.0, [1.0, 2.0, 0.5]), normal(200_000, 1.0, [3.0, 1.0, 0.5], seed=1)
    assert judge.frechet_distance(p, q) == pytest.approx(3 * 1.0 + 2.0**2 + 1.0**2, rel=0.01)


def test_frechet_distance_in_one_dimension_and_where_a_covariance_is_singular():
    p, q = normal(1000, 0.0, [1.0]), normal(1000, 0.0, [2.0], seed=1)
    means, spreads = p.mean() - q.mean(), p.std() - q.std()
    assert judge.frechet_distance(p, q) == pytest.approx((means**2 + spreads**2).item(), rel=1e-4)
    flat = torch.cat([p, torch.zeros(1000, 1)], 1)  # as dead features are
    assert judge.frechet_distance(flat, torch.cat([q, torch.zeros(1000, 1)], 1)) == pytest.approx(
        judge.frechet_distance(p, q), rel=1e-4
    )


def test_frechet_distance_is_symmetric_zero_at_itself_and_blind_to_order(frozen, digits):
    p, q = frozen.features(digits.train_x), frozen.features(digits.test_x)
    assert judge.frechet_distance(p, q) == pytest.approx(judge.frechet_distance(q, p), rel=1e-6)
    assert judge.frechet_distance(p, p.flip(0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shapes", [((5, 3), (5, 4)), ((5,), (5,)), ((1, 3), (5, 3))])
def test_frechet_distance_says_what_shapes_it_takes(shapes):
    with pytest.raises(ValueError, match=r"The features have shapes .* accepted are \(N, D\) and \(M, D\)"):
        judge.frechet_distance(*(torch.zeros(shape) for shape in shapes))


def test_the_judge_reads_unseen_digits_and_is_the_same_whatever_was_drawn_before(digits, frozen):
    assert frozen.accuracy > 0.95
    torch.manual_seed(7)
    before = torch.get_rng_state()
    again = judge.Judge(*digits)
    assert torch.equal(torch.get_rng_state(), before), "fitting draws nothing from the lesson's random numbers"
    torch.testing.assert_close(again.features(digits.train_x), frozen.features(digits.train_x))
    assert not any(p.requires_grad for p in frozen.net.parameters()) and not frozen.net.training


def test_real_digits_meet_their_floors(digits, frozen):
    of_a, of_b = frozen.verdict(digits.train_x, digits.train_y), frozen.verdict(digits.test_x[:898])
    assert of_a.floors == pytest.approx(1) and of_a.nearest == 0, "A copies A"
    assert of_a.accuracy == pytest.approx(frozen.accuracy) and of_a.coverage == 10
    assert of_b.nearest == pytest.approx(1, abs=0.02) and math.isnan(of_b.accuracy)
    low, high = frozen.floor_interval()
    assert low < frozen.floor() < high


def test_the_floor_is_higher_for_fewer_samples(frozen):
    assert frozen.floor(100) > frozen.floor(450) > frozen.floor(898) == frozen.floor()


def test_bad_samples_are_told_from_good_ones(digits, frozen):
    x, y = digits.train_x, digits.train_y
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(x.shape, generator=generator)
    assert frozen.verdict(noise).floors > 50
    blurred = (x + x.roll(1, -1) + x.roll(1, -2)) / 3
    assert frozen.verdict(blurred, y).floors > 4
    one = x[y == 3].repeat(10, 1, 1, 1)[:898]
    assert frozen.verdict(one).coverage == 1 and frozen.verdict(one).floors > 20
    assert frozen.verdict(x, (y + 1) % 10).accuracy < 0.05, "a class that was not asked for is an error"
    assert 0 < frozen.verdict(x + 0.03 * noise).nearest < 0.3, "almost a copy"


def test_nearest_is_the_smallest_distance(digits, frozen):
    loop = [min(((b - a) ** 2).sum().sqrt().item() for a in digits.train_x) for b in digits.test_x[:5]]
    assert frozen.nearest(digits.test_x[:5]).tolist() == pytest.approx(loop, rel=1e-4)


def test_in_portions_it_says_the_same(digits, frozen, monkeypatch):
    whole = frozen.features(digits.test_x), frozen.nearest(digits.test_x), frozen.read(digits.test_x)[0]
    monkeypatch.setattr(judge, "PORTION", 7)
    for ours, wanted in zip((frozen.features(digits.test_x), frozen.nearest(digits.test_x)), whole, strict=False):
        torch.testing.assert_close(ours, wanted)
    assert torch.equal(frozen.read(digits.test_x)[0], whole[2])


def test_wrong_input_is_told_in_a_sentence(digits, frozen):
    with pytest.raises(ValueError, match=r"shape \(898, 64\); accepted is \('N', 1, 8, 8\)"):
        frozen.read(digits.train_x.flatten(1))
    with pytest.raises(ValueError, match="number of samples was 899; accepted is 20 to 898"):
        frozen.verdict(digits.test_x)
    with pytest.raises(ValueError, match=r"shape \(898, 1, 7, 8\)"):
        judge.Judge(digits.train_x[:, :, :7], digits.train_y, digits.test_x, digits.test_y)


def test_what_is_kept_comes_back(digits, frozen, tmp_path, monkeypatch):
    verdict = frozen.verdict(digits.train_x)
    extra = {"seed": 3, "training_seconds": 12.3, "sampling_seconds": 0.456}
    monkeypatch.delenv("COURSE_KEEP", raising=False)
    judge.keep("vae", digits.train_x, verdict, **extra)
    monkeypatch.setenv("COURSE_KEEP", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists(), "a reader's run overwrites nothing"
    judge.keep("vae", digits.train_x, verdict, **extra)
    back = judge.kept("vae", tmp_path / "new")
    assert (back.samples - digits.train_x[:100]).abs().max() < 0.51 / 255
    assert back.verdict[1:] == pytest.approx(verdict[1:], abs=1e-4) and math.isnan(back.verdict.accuracy)
    assert (back.seed, back.training_seconds, back.sampling_seconds) == (3, 12.3, 0.456)
    with pytest.raises(FileNotFoundError, match="Nothing is kept of 'gan'; there is vae. `make run` writes it."):
        judge.kept("gan", tmp_path / "new")
