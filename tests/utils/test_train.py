"""The loop against the same loop written out plainly, and against closed forms."""

import copy

import pytest
import torch
from torch import nn

from utils import train

N, D, K = 50, 6, 3


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=generator)
    return x, (x @ torch.randn(D, K, generator=generator)).argmax(1)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(D, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, K))


def jitter(x, generator):
    return x + 0.1 * torch.randn(x.shape, generator=generator)


def plain_loop(model, x, y, epochs, rate, batch, decay, augment, generator):
    """The loop of 10_cnn with nothing taken from utils and the loss written out."""
    steps = (len(x) + batch - 1) // batch
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, epochs=epochs, steps_per_epoch=steps)
    means = []
    for _ in range(epochs):
        order, losses = torch.randperm(len(x), generator=generator), []
        for first in range(0, len(x), batch):
            chosen = order[first : first + batch]
            inputs = augment(x[chosen], generator) if augment else x[chosen]
            log_p = torch.log_softmax(model(inputs), 1)
            each = -log_p[torch.arange(len(chosen)), y[chosen]]
            model.zero_grad()
            each.mean().backward()
            optimizer.step()
            schedule.step()
            losses.extend(each.tolist())
        means.append(sum(losses) / len(losses))
    return means


@pytest.mark.parametrize("augment", [None, jitter])
@pytest.mark.parametrize("batch", [16, 50, 64])  # a ragged last batch, exactly one, more than there is
def test_fit_gives_the_weights_of_the_plain_loop(problem, augment, batch):
    ours, theirs = network(), network()
    torch.manual_seed(2)  # dropout draws from the global generator
    generator = torch.Generator().manual_seed(3)
    losses = train.fit(
        ours, *problem, 3, learning_rate=0.02, batch=batch, weight_decay=0.1, augment=augment, generator=generator
    )
    torch.manual_seed(2)
    generator = torch.Generator().manual_seed(3)
    wanted = plain_loop(theirs, *problem, 3, 0.02, batch, 0.1, augment, generator)
    assert losses == pytest.approx(wanted, rel=1e-5)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def test_without_a_generator_the_global_seed_decides(problem):
    weights = []
    for seed in (5, 5, 6):
        model = network().eval()
        torch.manual_seed(seed)
        train.fit(model, *problem, 1)
        weights.append(model[0].weight.detach().clone())
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_fit_learns_leaves_evaluation_mode_and_touches_no_data(problem):
    x, y = problem
    kept = x.clone(), y.clone()
    model = network()
    losses = train.fit(model, x, y, 100, learning_rate=0.03)
    assert len(losses) == 100 and losses[-1] < losses[0] / 3
    assert not model.training and train.accuracy(model, x, y) > 0.95
    assert torch.equal(x, kept[0]) and torch.equal(y, kept[1])


def test_one_epoch_of_one_batch_is_accepted(problem):
    assert len(train.fit(network(), *problem, 1, batch=1000)) == 1


@pytest.mark.parametrize(
    "epochs, batch", [(0, 64), (-1, 64), (1, 0), (1.5, 64), ("3", 64), (1, 2.0)], ids=lambda value: repr(value)
)
def test_a_bad_number_of_epochs_or_rows_is_named_before_anything_is_trained(problem, epochs, batch):
    model = network()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="epochs and batch were .*; accepted are whole numbers of at least 1") as error:
        train.fit(model, *problem, epochs, batch=batch)
    assert f"{epochs!r} and {batch!r}" in str(error.value)
    torch.testing.assert_close(model.state_dict(), before)


@pytest.mark.parametrize("y_shape", [(N - 1,), (1,), (N, 1), (0,)])
@pytest.mark.parametrize("call", [lambda *a: train.fit(*a, 1), train.accuracy], ids=["fit", "accuracy"])
def test_shapes_that_do_not_belong_together_are_both_named(problem, call, y_shape):
    with pytest.raises(ValueError) as error:
        call(network(), problem[0], torch.zeros(y_shape, dtype=torch.int64))
    assert f"({N}, {D}) and {y_shape}" in str(error.value)


@pytest.mark.parametrize("training", [True, False])
def test_accuracy_is_the_share_counted_by_hand_and_restores_the_mode(training):
    scores = torch.tensor([[2.0, 1, 0], [0, 3, 1], [0, 1, 2], [5, 0, 0]])
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Dropout(0.9))  # dropout off, or the answer would vary
    nn.init.eye_(model[0].weight)
    model.train(training)
    assert train.accuracy(model, scores, torch.tensor([0, 1, 0, 0])) == 0.75
    assert model.training is training


def test_accuracy_in_portions_is_the_same(problem, monkeypatch):
    x, y = problem
    model = network()
    wanted = train.accuracy(model, x, y)
    monkeypatch.setattr(train, "PORTION", 7)
    assert train.accuracy(model, x, y) == wanted


def test_accuracy_takes_a_model_without_parameters_and_keeps_no_gradients():
    x = torch.eye(3, requires_grad=True)
    assert train.accuracy(nn.Identity(), x, torch.arange(3)) == 1.0
    assert x.grad is None
