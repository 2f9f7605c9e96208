"""Counts against counts made by hand; nothing here is timed."""

import time

import pytest
import torch
from torch import nn

from utils import measure

CONV = nn.Conv2d(2, 5, 3, padding=1, stride=2)


@pytest.mark.parametrize(
    "module, weights, buffers",
    [
        (nn.Linear(4, 3), 4 * 3 + 3, 0),
        (nn.Conv2d(2, 5, 3), 5 * 2 * 9 + 5, 0),
        (nn.Conv2d(4, 4, 3, groups=4, bias=False), 4 * 9, 0),
        (nn.ReLU(), 0, 0),
        (nn.BatchNorm2d(6), 12, (6 + 6) * 4 + 8),  # running mean and variance, and one int64 counter
    ],
)
def test_parameters_and_bytes_equal_the_hand_count(module, weights, buffers):
    assert measure.parameters(module) == weights
    assert measure.size_in_bytes(module) == 4 * weights + buffers
    assert measure.size_in_bytes(module.double()) >= 8 * weights


def test_frozen_parameters_take_bytes_but_are_not_counted():
    module = nn.Linear(4, 3)
    module.weight.requires_grad_(False)
    assert measure.parameters(module) == 3 and measure.size_in_bytes(module) == 4 * 15


def test_shared_parameters_count_once():
    layer = nn.Linear(4, 4)
    assert measure.parameters(nn.Sequential(layer, nn.ReLU(), layer)) == 20


class SelfAttention(nn.Module):
    def __init__(self, need_weights):
        super().__init__()
        self.heads, self.need_weights = nn.MultiheadAttention(8, 2, batch_first=True), need_weights

    def forward(self, x):
        return self.heads(x, x, x, need_weights=self.need_weights)[0]


ATTENTION = 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8  # four projections of 5 positions, then scores and mixture


@pytest.mark.parametrize(
    "module, shape, by_hand",
    [
        (nn.Linear(4, 3), (1, 4), 12),
        (nn.Linear(4, 3), (7, 4), 7 * 12),
        (CONV, (1, 2, 8, 8), (4 * 4) * 5 * (2 * 9)),
        (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 8, 8), (6 * 6) * 4 * 9),
        (nn.Conv2d(4, 8, 1), (2, 4, 8, 8), 2 * 64 * 8 * 4),
        (nn.Conv1d(2, 3, 5), (1, 2, 9), 5 * 3 * 2 * 5),
        (nn.ConvTranspose2d(2, 3, 2, stride=2), (1, 2, 4, 4), (4 * 4) * 2 * 3 * 4),
        (nn.Sequential(CONV, nn.ReLU(), nn.Flatten(), nn.Linear(80, 10)), (1, 2, 8, 8), 16 * 5 * 18 + 800),
        (nn.RNN(3, 4, batch_first=True), (1, 5, 3), 5 * 4 * (3 + 4)),
        (nn.LSTM(3, 4, batch_first=True), (1, 5, 3), 5 * 4 * 4 * (3 + 4)),
        (nn.GRU(3, 4, batch_first=True), (1, 5, 3), 5 * 3 * 4 * (3 + 4)),
        (SelfAttention(True), (1, 5, 8), ATTENTION),
        (SelfAttention(False), (1, 5, 8), ATTENTION),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (1, 5, 8), ATTENTION + 2 * 5 * 8 * 16),
        (nn.MaxPool2d(2), (1, 1, 8, 8), 0),
    ],
)
def test_multiply_accumulates_equal_the_hand_count(module, shape, by_hand):
    assert measure.macs(module, shape) == by_hand


def test_counting_leaves_the_module_and_torch_as_they_were():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).double()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state, fused = torch.random.get_rng_state(), torch.backends.mha.get_fastpath_enabled()
    measure.macs(module, (2, 1, 5, 5))
    assert module.training and torch.is_grad_enabled()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.backends.mha.get_fastpath_enabled() == fused
    measure.macs(module.eval(), (2, 1, 5, 5))
    assert not module.training


def test_a_wrong_input_shape_raises_and_still_restores_everything():
    module, mkldnn = nn.Linear(4, 3), torch.backends.mkldnn.enabled
    with pytest.raises(RuntimeError, match="1x5 and 4x3"):
        measure.macs(module, (1, 5))
    assert module.training and torch.backends.mkldnn.enabled == mkldnn


def test_the_stopwatch_reads_the_clock_at_both_ends_even_when_the_block_fails(monkeypatch):
    ticks = iter([10.0, 12.5, 20.0, 21.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    with measure.stopwatch() as watch:
        assert watch.seconds != watch.seconds  # NaN while it runs
    assert watch.seconds == 2.5
    with pytest.raises(KeyError), measure.stopwatch() as watch:
        raise KeyError
    assert watch.seconds == 1.0
