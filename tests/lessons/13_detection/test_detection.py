"""The scores and boxes of 13_detection, taken out of the notebook, against pycocotools, scikit-learn and loops."""

import contextlib
import io

import numpy as np
import pytest
import torch
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import average_precision_score
from torch.nn import functional as F

from utils import scenes
from utils.workshop import lessons

CELLS = ("set-up", "start", "iou", "match", "average-precision", "score", "network", "single-class", "assign")
CELLS += ("losses", "reports", "align", "pool", "two-stage", "candidates", "focal", "anchors")


lesson = lessons.definitions("13_detection", CELLS, ("SIDE", "STRIDE", "middle", "CENTRES"), SEED=0)


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def drawn(n=60, overlap=0.3):
    return scenes.draw(n, 7, "validation", 40, (1, 5), (12, 18), overlap)


def invented(truth, seed=3, share=0.8):
    """Return reports that find some digits, miss some, find some twice, and name some wrongly."""
    g, reports = seeded(seed), []
    for boxes, digits in zip(truth.boxes, truth.digits, strict=True):
        found = [(b, d) for b, d in zip(boxes, digits, strict=True) if d >= 0 and torch.rand((), generator=g) < share]
        found += found[:1]
        if len(reports) % 9 == 8:
            found = []
        b = torch.stack([box for box, _ in found]) if found else torch.zeros(0, 4)
        b = b + torch.randn(len(b), 4, generator=g)
        d = torch.tensor([int(digit) for _, digit in found], dtype=torch.long)
        wrong = torch.rand(len(d), generator=g) < 0.15
        d = torch.where(wrong, torch.randint(10, (len(d),), generator=g), d)
        reports.append((b, torch.rand(len(d), generator=g), d))
    return reports


def by_coco(truth, reports):
    """AP at each bar, the mean over the digits, by pycocotools. Its loadRes stops where there are no reports at all."""
    there = [(n, k) for n, k in (truth.digits >= 0).nonzero().tolist()]
    notes = []
    for number, (n, k) in enumerate(there, 1):
        x0, y0, x1, y1 = truth.boxes[n, k].tolist()
        box, area = [x0, y0, x1 - x0, y1 - y0], (x1 - x0) * (y1 - y0)
        note = {"id": number, "image_id": n, "category_id": int(truth.digits[n, k]), "bbox": box, "area": area}
        notes.append({**note, "iscrowd": 0})
    rows = []
    for n, (boxes, scores, digits) in enumerate(reports):
        for (x0, y0, x1, y1), s, d in zip(boxes.tolist(), scores.tolist(), digits.tolist(), strict=True):
            rows.append({"image_id": n, "category_id": d, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": s})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": [{"id": n} for n in range(len(truth.digits))], "annotations": notes}
        coco.dataset["categories"] = [{"id": d} for d in range(10)]
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(rows), "bbox")
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][..., 0, -1]  # bars, recalls, digits; all areas, at most 100 reports
    return [bar[:, bar[0] > -1].mean() for bar in precision]


@pytest.mark.parametrize("overlap", [0.0, 0.3])
@pytest.mark.parametrize("seed", [3, 4])
def test_average_precision_is_that_of_pycocotools(overlap, seed):
    truth = drawn(overlap=overlap)
    reports = invented(truth, seed)
    ours = [lesson.ap(reports, truth, bar) for bar in np.arange(0.5, 1, 0.05)]
    assert np.allclose(ours, by_coco(truth, reports), atol=1e-9)
    assert 0.2 < ours[0] < 0.95 and ours[-1] < ours[0]  # the comparison is of something


def test_without_reports_the_score_is_nought():
    truth = drawn(12)
    nothing = [(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))] * 12
    assert lesson.ap(nothing, truth) == 0


def test_iou_is_that_of_pycocotools():
    g = seeded()
    pair = []
    for n in (7, 9):
        corner = 10 * torch.rand(n, 2, generator=g)
        pair.append(torch.cat([corner, corner + 1 + 9 * torch.rand(n, 2, generator=g)], 1))
    a, b = [torch.cat([box[:, :2], box[:, 2:] - box[:, :2]], 1).double().numpy() for box in pair]
    theirs = mask.iou(a, b, [0] * len(b))
    assert np.allclose(lesson.iou(*pair), theirs, atol=1e-5)


def test_average_precision_near_that_of_scikit_learn():
    """With every truth among the reports, scikit-learn's sum is the area under the same points, not interpolated."""
    g = np.random.default_rng(1)
    hits = g.random(3000) < 0.4
    scores = hits + g.normal(size=3000)
    ours = lesson.average_precision(scores, hits, hits.sum())
    assert abs(ours - average_precision_score(hits, scores)) < 0.01


def test_a_truth_is_found_once_unless_asked_otherwise():
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(3, 1)
    truth = torch.tensor([[0.0, 0, 10, 10], [0, 1, 10, 11]])
    assert lesson.match(boxes, truth, 0.5) == [True, True, False]
    assert lesson.match(boxes, truth, 0.5, twice=True) == [True, True, True]
    assert lesson.match(boxes, truth[:0], 0.5) == [False] * 3


def test_the_cell_that_answers_holds_the_middle():
    truth = drawn(40)
    who = lesson.assign(truth.boxes, truth.digits)
    for n in range(40):
        for k in range(truth.digits.shape[1]):
            if truth.digits[n, k] >= 0:
                x, y = ((truth.boxes[n, k, :2] + truth.boxes[n, k, 2:]) / 2).tolist()
                assert who[n, int(y // 4) * 10 + int(x // 4)] >= 0
        assert (who[n] >= 0).sum() <= (truth.digits[n] >= 0).sum()
    nine = lesson.assign(truth.boxes, truth.digits, reach=1)
    assert ((who >= 0) <= (nine >= 0)).all() and (who[who >= 0] == nine[who >= 0]).all()


def test_suppression_is_that_of_a_loop():
    g = seeded(5)
    for bar in (0.2, 0.5, 0.8):
        corner = 12 * torch.rand(40, 2, generator=g)
        boxes = torch.cat([corner, corner + 6 + 4 * torch.rand(40, 2, generator=g)], 1)
        scores, digits = torch.rand(40, generator=g), torch.randint(3, (40,), generator=g)
        left, kept = sorted(range(40), key=lambda n: -scores[n]), []
        while left:
            best = left.pop(0)
            kept.append(best)
            close = lesson.iou(boxes[best, None], boxes)[0] > bar
            left = [n for n in left if not (close[n] and digits[n] == digits[best])]
        found = lesson.suppress((boxes, scores, digits), bar)
        assert torch.equal(found[0], boxes[kept]) and torch.equal(found[1], scores[kept])
        assert torch.equal(found[2], digits[kept])


def test_align_reads_a_ramp_exactly_and_pooling_takes_the_largest():
    x, y = torch.arange(20.0) * 2 + 1, torch.arange(20.0) * 2 + 1  # middles of cells of two pixels
    maps = torch.stack([x.expand(20, 20), y[:, None].expand(20, 20)])[None]  # (1, 2, 20, 20)
    box = torch.tensor([[[5.3, 8.1, 17.3, 29.6]]])
    read = lesson.align(maps, box)[0, 0]  # (2, 5, 5)
    part = (torch.arange(5) + 0.5) / 5
    assert torch.allclose(read[0], (5.3 + part * 12.0).expand(5, 5), atol=1e-4)
    assert torch.allclose(read[1], (8.1 + part * 21.5)[:, None].expand(5, 5), atol=1e-4)
    pooled = lesson.pool_one(maps[0], torch.tensor([4.2, 8.3, 23.7, 28.1]))
    assert torch.equal(pooled[0, 0], torch.tensor([7.0, 11, 15, 19, 23]))


def test_losses_have_gradients_where_they_should():
    truth = drawn(8)
    torch.manual_seed(0)
    net = lesson.SingleShot()
    o, c, guess = net(truth.pictures)
    assert o.shape == (8, 100) and c.shape == (8, 100, 10) and guess.shape == (8, 100, 4)
    loss = lesson.single_loss(net, truth.pictures, truth.boxes, truth.digits)
    who = lesson.assign(truth.boxes, truth.digits)
    n, cell = (who >= 0).nonzero(as_tuple=True)
    k = who[n, cell]
    by_hand = F.binary_cross_entropy_with_logits(o, (who >= 0).float(), reduction="sum") / len(n)
    by_hand = by_hand + F.cross_entropy(c[n, cell], truth.digits[n, k])
    error = (guess[n, cell] - truth.boxes[n, k]).abs() / 4
    by_hand = by_hand + torch.where(error < 1, error**2 / 2, error - 0.5).sum() / len(n)
    assert torch.allclose(loss, by_hand, rtol=1e-4)


def test_candidates_take_the_label_they_fit_best():
    truth = drawn(8)
    o, guess = torch.randn(8, 100, generator=seeded()), 40 * torch.rand(8, 100, 4, generator=seeded(9))
    crops, labels, wanted = lesson.candidates(o, guess, truth.boxes, truth.digits)
    there = truth.digits >= 0
    assert torch.equal(labels[:, 8:], torch.where(there, truth.digits + 1, -1))
    assert torch.equal(wanted[:, 8:][there], truth.boxes[there])
    assert (labels[:, :8] >= 0).all() and crops.shape == (8, 13, 4)


def test_focal_loss_is_cross_entropy_times_the_doubt():
    z, y = torch.randn(50, generator=seeded()), (torch.rand(50, generator=seeded(8)) < 0.3).float()
    right = torch.where(y > 0, torch.sigmoid(z), 1 - torch.sigmoid(z))
    assert torch.allclose(lesson.focal(z, y), -((1 - right) ** 2) * right.log(), atol=1e-6)
