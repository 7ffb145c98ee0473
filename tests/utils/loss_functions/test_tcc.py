import itertools
import math

import pytest
import torch

from tests.utils.loss_functions.oracles_cycle import (
    gradients_of,
    naive_tcc,
    naive_unit_frames,
    random_walks,
    relative_error,
)
from utils.loss_functions import tcc
from utils.loss_functions.cycle_back import VARIANCE_FLOOR
from utils.loss_functions.similarity import DEFAULT_SIMILARITY, SIMILARITIES
from utils.loss_functions.tcc import TCC_loss
from utils.registry import NORMALIZATIONS


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("alignment_variance", [0, 0.001, 0.5])
@pytest.mark.parametrize("elements", [1, 25, 2**20])
def test_value_and_gradient_are_those_of_the_formula(similarity, alignment_variance, elements, monkeypatch):
    """In several blocks, the last one incomplete; in one block; and with one pair of videos in one block."""
    monkeypatch.setitem(tcc._BLOCK_ELEMENTS, "cpu", elements)
    monkeypatch.setattr(tcc, "_SMALLEST_BLOCK", 3)
    sequences = random_walks([7, 5, 4], 6, 0.3, seed=1)
    loss = TCC_loss(sequences, alignment_variance, 0.2, similarity)
    expected = naive_tcc(sequences, alignment_variance, 0.2, similarity)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
    assert relative_error(gradients_of(loss, sequences), gradients_of(expected, sequences)) < 1e-8


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_gradient_by_finite_differences(similarity, normalization):
    sequences = random_walks([5, 4], 3, 0.3, seed=2)
    assert torch.autograd.gradcheck(lambda *each: TCC_loss(each, 0.01, 0.3, similarity, normalization), sequences)


def test_normalised_embeddings_are_centred_and_of_one_length():
    sequences = random_walks([7, 5], 4, 0.3, seed=5)
    loss = TCC_loss(sequences, 0.001, 0.1, "squared", "unit")
    expected = naive_tcc(naive_unit_frames(sequences), 0.001, 0.1, "squared")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    assert relative_error(gradients_of(loss, sequences), gradients_of(expected, sequences)) < 1e-8
    larger = TCC_loss([10 * each + 3 for each in sequences], 0.001, 0.1, "squared", "unit")
    assert larger.item() == pytest.approx(loss.item(), rel=1e-4)


def test_float32_agrees_with_float64():
    double = random_walks([60, 45], 32, 0.1, seed=3)
    single = [each.detach().float().requires_grad_() for each in double]
    loss, expected = TCC_loss(single), TCC_loss(double)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert relative_error(gradients_of(loss, single), gradients_of(expected, double)) < 1e-3


def test_offset_and_order_of_the_videos_do_not_matter():
    sequences = random_walks([30, 20, 25], 16, 0.1, seed=4)
    expected = TCC_loss(sequences).item()
    assert TCC_loss(sequences[::-1]).item() == pytest.approx(expected, rel=1e-9)
    assert TCC_loss([each + 100.0 for each in sequences]).item() == pytest.approx(expected, rel=1e-6)


def test_a_perfect_cycle_costs_nothing_and_chance_costs_one():
    far_apart = 50.0 * torch.eye(20, dtype=torch.float64)
    assert TCC_loss([far_apart, far_apart.clone()], 0, similarity="squared").item() == pytest.approx(
        0, abs=1e-12
    )
    constant = torch.zeros(2000, 4, dtype=torch.float64)
    # Uniform weights: squared error and variance both are 1/12 on average.
    assert TCC_loss([constant, constant.clone()], 0).item() == pytest.approx(1 / 12, rel=1e-2)
    assert TCC_loss([constant, constant.clone()], 1e-12).item() == pytest.approx(1.0, rel=2e-2)


@pytest.mark.parametrize("extent", [0.1, 1.0, 100.0])
def test_value_does_not_grow_with_length_or_number_of_videos(extent):
    def mean_loss(number_of_videos, length):  # the same walk, sampled more finely
        walks = [
            random_walks([length] * number_of_videos, 16, extent / length**0.5, seed) for seed in range(10)
        ]
        return sum(TCC_loss(each).item() for each in walks) / len(walks)

    short = mean_loss(2, 40)
    assert mean_loss(2, 640) == pytest.approx(short, rel=0.5)
    assert mean_loss(5, 40) == pytest.approx(short, rel=0.5)
    assert 0 < short < 1 / VARIANCE_FLOOR


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("scale", [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0])
def test_finite_for_any_scale_and_length(similarity, scale):
    for seed, lengths in enumerate([(2, 2), (2, 9), (3, 40, 17), (1, 4)]):
        sequences = random_walks(lengths, 24, scale, seed, torch.float32)
        for alignment_variance in (0, 0.001):
            loss = TCC_loss(sequences, alignment_variance, similarity=similarity)
            assert math.isfinite(loss.item())
            assert all(torch.isfinite(each).all() for each in gradients_of(loss, sequences))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_finite_for_constant_and_identical_videos(similarity):
    walk = random_walks([12], 8, 1.0, 0, torch.float32)[0].detach()
    for first, second in itertools.product(
        [torch.zeros(5, 8), torch.full((7, 8), 3.0), walk, walk.repeat(2, 1)], repeat=2
    ):
        sequences = [first.clone().requires_grad_(), second.clone().requires_grad_()]
        loss = TCC_loss(sequences, similarity=similarity)
        assert math.isfinite(loss.item())
        assert all(torch.isfinite(each).all() for each in gradients_of(loss, sequences))


def test_gradient_of_the_default_does_not_vanish_on_ordinary_embeddings():
    def share_of_frames_reached(scale, similarity):
        sequences = random_walks([100, 100], 128, scale, 0, torch.float32)
        gradients = gradients_of(TCC_loss(sequences, similarity=similarity), sequences)
        return torch.cat([scale * each.norm(dim=1) > 1e-9 for each in gradients]).double().mean().item()

    assert share_of_frames_reached(0.1, DEFAULT_SIMILARITY) > 0.95
    for similarity in SIMILARITIES:
        share = share_of_frames_reached(1.0, similarity)
        assert share > 0.5 if similarity == DEFAULT_SIMILARITY else share < 0.3


def test_nothing_of_the_size_of_the_distance_matrix_is_kept():
    sequences = random_walks([400, 300], 8, 0.1, 0, torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda each: kept.append(each.numel()) or each, lambda each: each
    ):
        TCC_loss(sequences)
    assert kept
    assert max(kept) <= 400 * 8


def test_fewer_than_two_videos_give_a_zero_with_a_gradient():
    video = torch.randn(4, 3, requires_grad=True)
    loss = TCC_loss([video])
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(video.grad, torch.zeros_like(video))
    assert TCC_loss([]).requires_grad


def test_only_videos_that_require_a_gradient_get_one():
    first, second = torch.randn(6, 3, requires_grad=True), torch.randn(5, 3)
    TCC_loss([first, second]).backward()
    assert first.grad is not None
    assert second.grad is None
    with torch.no_grad():
        assert not TCC_loss([first, second]).requires_grad


def test_half_precision_is_widened():
    sequences = [each.detach() for each in random_walks([12, 9], 8, 0.1, 5, torch.float32)]
    halves = [each.bfloat16().requires_grad_() for each in sequences]
    loss = TCC_loss(halves)
    loss.backward()
    assert loss.dtype == torch.float32
    assert halves[0].grad.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("sequences", "settings", "message"),
    [
        ([torch.zeros(3, 4), torch.zeros(3, 5)], {}, "video 1"),
        ([torch.zeros(3, 4), torch.zeros(0, 4)], {}, "video 1"),
        ([torch.zeros(3), torch.zeros(3)], {}, "video 0"),
        ([torch.zeros(3, 4)] * 2, {"similarity": "cosine"}, "squared_per_dimension"),
        ([torch.zeros(3, 4)] * 2, {"softmax_temp": 0.0}, "temperature"),
        ([torch.zeros(3, 4)] * 2, {"alignment_variance": -1.0}, "alignment_variance"),
    ],
)
def test_bad_input_is_named(sequences, settings, message):
    with pytest.raises(ValueError, match=message):
        TCC_loss(sequences, **settings)
