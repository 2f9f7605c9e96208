"""The measures and losses of 12_segmentation, taken out of the notebook, against torchmetrics' and a count by hand."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_jaccard_index
from torchmetrics.functional.detection import panoptic_quality
from torchmetrics.functional.segmentation import dice_score

from utils.workshop import lessons

CELLS = ("set-up", "table", "judge", "losses", "patches", "panoptic", "panoptic-run")


lesson = lessons.definitions("12_segmentation", CELLS)


@pytest.fixture(params=[1, 2, 3])
def labels(request):
    """Blocks of some classes, and a guess that is partly shifted and partly renamed."""
    g = torch.Generator().manual_seed(request.param)
    truth = torch.randint(0, 11, (6, 4, 4), generator=g) * (torch.rand(6, 4, 4, generator=g) < 0.6)
    truth = truth.repeat_interleave(6, 1).repeat_interleave(6, 2)
    predicted = torch.where(torch.rand(truth.shape, generator=g) < 0.1, 0, truth.roll(1, 2))
    return predicted, truth


def test_iou_of_each_class(labels):
    wanted = multiclass_jaccard_index(*labels, num_classes=11, average="none")
    assert torch.allclose(lesson.iou(lesson.table(*labels)), wanted, atol=1e-6)


def test_dice_of_each_class_follows_from_iou(labels):
    ours = lesson.iou(lesson.table(*labels))
    flat = [part.reshape(1, -1, 1) for part in labels]
    wanted = dice_score(*flat, num_classes=11, average="none", input_format="index")[0]
    assert torch.allclose(2 * ours / (1 + ours), wanted.float(), atol=1e-6)


def test_judge_of_a_perfect_answer(labels):
    _, truth = labels
    z = torch.nn.functional.one_hot(truth, 11).permute(0, 3, 1, 2).float()
    assert all(value == pytest.approx(100) for value in lesson.judge(z, truth).values())


def test_the_boundary_is_one_pixel_to_each_side():
    truth = torch.zeros(1, 7, 7, dtype=torch.long)
    truth[0, 2:5, 2:5] = 4
    wanted = torch.zeros(7, 7, dtype=torch.bool)
    wanted[1:6, 1:6] = True
    wanted[3, 3] = False  # the middle has no ground within one pixel
    assert (lesson.edges(truth)[0] == wanted).all()


def test_panoptic_quality_of_each_class(labels):
    predicted, truth = [[lesson.numbered(one, 1) for one in part.numpy()] for part in labels]
    both = [torch.tensor(np.array([np.stack(one, -1) for one in part])) for part in (predicted, truth)]
    theirs = panoptic_quality(
        *both, things=set(range(1, 11)), stuffs={0}, return_per_class=True, return_sq_and_rq=True
    )  # (1, 11, 3): PQ, SQ, RQ of things, then of stuff
    theirs = theirs.reshape(11, 3)[:10].numpy()
    for k in range(1, 11):
        if not any((one == k).any() for part in labels for one in part):
            continue
        overlap, found = lesson.panoptic(predicted, truth, k)
        assert (overlap * found, overlap, found) == pytest.approx(tuple(theirs[k - 1]), abs=1e-6)


def test_specks_become_ground():
    classes = np.zeros((5, 5), int)
    classes[0, :3], classes[3, 3] = 2, 7
    kept, ids = lesson.numbered(classes, 2)
    assert kept.tolist() == np.where(classes == 7, 0, classes).tolist()
    assert ids[0, 0] > 0 and ids[3, 3] == 0


def test_losses_are_least_at_the_truth():
    t = (torch.rand(500, generator=torch.Generator().manual_seed(5)) < 0.02).float()
    for loss in (lesson.cross_entropy, lesson.dice_loss, lesson.focal_loss):
        z = (12 * (2 * t - 1)).requires_grad_()
        assert loss(z, t).item() < 1e-2 < loss(-z, t).item()
