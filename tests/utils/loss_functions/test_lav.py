import math

import pytest
import torch

from tests.utils.loss_functions import oracles_alignment as oracle
from tests.utils.loss_functions.oracles_cycle import gradients_of, random_walks, relative_error
from utils.loss_functions import pairwise
from utils.loss_functions.lav import LAV_loss
from utils.loss_functions.similarity import SIMILARITIES


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_value_and_gradient_are_those_of_the_formula(similarity):
    sequences = random_walks([5, 4, 6], 3, 0.5, seed=1)
    settings = (0.2, 0.7, 1.5, 0.25, similarity)

    def naive(videos):
        return oracle.lav(videos, *settings)

    videos = [each.tolist() for each in sequences]
    loss = LAV_loss(sequences, *settings)
    assert loss.item() == pytest.approx(naive(videos), rel=1e-9)
    for gradient, expected in zip(gradients_of(loss, sequences), oracle.slopes(naive, videos), strict=True):
        torch.testing.assert_close(gradient, expected, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_trusted_path_is_that_of_the_formula(similarity):
    sequences = random_walks([5, 4, 6], 3, 0.5, seed=1)
    settings = (0.2, 0.7, 1.5, 0.25, similarity, 0.3)
    targets = []

    def naive(videos):
        return oracle.lav(videos, *settings, targets=targets)

    videos = [each.tolist() for each in sequences]
    loss = LAV_loss(sequences, *settings)
    assert loss.item() == pytest.approx(naive(videos), rel=1e-6)
    # From here on the oracle keeps the cells as the targets.
    for gradient, expected in zip(gradients_of(loss, sequences), oracle.slopes(naive, videos), strict=True):
        torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-5)


def test_unit_frames_are_normalised_before_anything_else():
    sequences = random_walks([5, 4, 6], 3, 0.5, seed=8)
    settings = (0.2, 0.7, 1.5, 0.25, "squared_per_dimension")

    def naive(videos):
        return oracle.lav(oracle.unit_frames(videos), *settings)

    videos = [each.tolist() for each in sequences]
    loss = LAV_loss(sequences, *settings, normalization="unit")
    assert loss.item() == pytest.approx(naive(videos), rel=1e-9)
    for gradient, expected in zip(gradients_of(loss, sequences), oracle.slopes(naive, videos), strict=True):
        torch.testing.assert_close(gradient, expected, atol=1e-7, rtol=1e-5)
    with torch.no_grad():
        larger = LAV_loss([7 * each + 3 for each in sequences], *settings, normalization="unit")
    assert larger.item() == pytest.approx(loss.item(), rel=1e-4)


def test_steps_in_another_order_are_pulled_together_only_by_the_whole_path():
    # Three steps of ten frames, far apart; the second video does the first two the other way round.
    steps = 3 * torch.eye(3, dtype=torch.float64)
    first = steps[[0] * 10 + [1] * 10 + [2] * 10].requires_grad_()
    second = steps[[1] * 10 + [0] * 10 + [2] * 10].requires_grad_()
    whole = gradients_of(LAV_loss([first, second], alpha=0.0), [first, second])
    trusted = gradients_of(LAV_loss([first, second], alpha=0.0, trust=0.2), [first, second])
    assert max(each.norm(dim=1).max() for each in whole) > 1e-2
    assert max(each.norm(dim=1).max() for each in trusted) < 1e-6


def test_where_the_order_is_the_same_the_trusted_path_is_the_path():
    generator = torch.Generator().manual_seed(3)
    first = (torch.arange(12.0).unsqueeze(1) * torch.ones(1, 4)).double()
    second = first + 0.01 * torch.randn(12, 4, generator=generator).double()
    first, second = first.requires_grad_(), second.requires_grad_()
    whole = gradients_of(LAV_loss([first, second], alpha=0.0), [first, second])
    trusted = gradients_of(LAV_loss([first, second], alpha=0.0, trust=0.2), [first, second])
    assert relative_error(trusted, whole) < 0.02


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_gradient_by_finite_differences(similarity):
    sequences = random_walks([5, 4, 2], 3, 0.5, seed=2)
    assert torch.autograd.gradcheck(lambda *each: LAV_loss(each, similarity=similarity, band=1), sequences)


@pytest.mark.parametrize("trust", [0.0, 0.3])
def test_pairs_taken_together_are_the_same_as_one_by_one(monkeypatch, trust):
    sequences = random_walks([12, 7, 9], 4, 0.5, seed=3)
    one_by_one = LAV_loss(sequences, band=2, trust=trust)
    expected = gradients_of(one_by_one, sequences)
    monkeypatch.setattr(pairwise, "chunks_of_pairs", lambda sequences: [[(0, 1), (0, 2)], [(1, 2)]])
    together = LAV_loss(sequences, band=2, trust=trust)
    assert together.item() == pytest.approx(one_by_one.item(), rel=1e-10)
    assert relative_error(gradients_of(together, sequences), expected) < 1e-10


def test_float32_agrees_with_float64_and_half_precision_is_widened():
    double = random_walks([150, 120], 32, 0.1, seed=4)
    single = [each.detach().float().requires_grad_() for each in double]
    loss, expected = LAV_loss(single), LAV_loss(double)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert relative_error(gradients_of(loss, single), gradients_of(expected, double)) < 1e-3
    half = [each.detach().bfloat16().requires_grad_() for each in double]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LAV_loss(half)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(LAV_loss([each.detach().float() for each in half]).item(), rel=1e-6)
    assert all(gradient.dtype == torch.bfloat16 for gradient in gradients_of(loss, half))


def test_offset_and_order_of_the_videos_do_not_matter():
    sequences = random_walks([30, 20, 25], 16, 0.3, seed=5)
    expected = LAV_loss(sequences).item()
    assert LAV_loss(sequences[::-1]).item() == pytest.approx(expected, rel=1e-9)
    assert LAV_loss([each + 100.0 for each in sequences]).item() == pytest.approx(expected, rel=1e-6)


def test_size_grows_neither_with_the_length_nor_with_the_number_of_pairs():
    def videos(length, number):
        time = torch.linspace(0, 6, length, dtype=torch.float64)
        return [torch.stack([(k * time + shift).sin() for k in (1, 2)], 1) for shift in range(number)]

    # Without the smoothing's reward for many paths, which is a constant for each frame.
    values = [LAV_loss(videos(length, 2), min_temp=1e-3).item() for length in (50, 200, 800)]
    assert values[0] == pytest.approx(values[2], rel=0.1)
    assert values[1] == pytest.approx(values[2], rel=0.05)
    same = [videos(50, 1)[0]] * 5
    assert LAV_loss(same).item() == pytest.approx(LAV_loss(same[:2]).item(), rel=1e-9)


def test_not_a_number_is_not_hidden():
    sequences = [torch.ones(5, 3), torch.ones(4, 3)]
    sequences[1][2, 0] = float("nan")
    assert LAV_loss(sequences).isnan()
    assert LAV_loss(sequences, alpha=0.0).isnan()
    assert LAV_loss(sequences, alpha=0.0, trust=0.2).isnan()


def test_lower_bound():
    for scale in (0.0, 1e-3, 1.0):
        sequences = random_walks([40, 40], 8, scale, seed=6)
        assert LAV_loss(sequences, min_temp=0.1, alpha=0.0).item() >= -0.1 * math.log(3)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("lengths", [[2, 2], [2, 40], [33, 33, 12]])
def test_values_and_gradients_are_finite(scale, lengths):
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        walks = [(scale * torch.randn(length, 16, generator=generator)).cumsum(0) for length in lengths]
        for sequences in (walks, [walks[0], walks[0].clone()], [each * 0 + scale for each in walks]):
            for similarity in SIMILARITIES:
                sequences = [each.detach().requires_grad_() for each in sequences]
                trust = 0.2 if seed < 2 else 0.0
                loss = LAV_loss(sequences, similarity=similarity, trust=trust, band=None if seed % 2 else 3)
                gradients = gradients_of(loss, sequences)
                assert loss.isfinite()
                assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_every_frame_has_a_gradient_on_ordinary_embeddings(scale):
    sequences = [each.detach().requires_grad_() for each in random_walks([60, 50], 128, scale, seed=7)]
    for gradient, sequence in zip(gradients_of(LAV_loss(sequences), sequences), sequences, strict=True):
        # Relative to the frames: how much of a frame a unit step changes.
        assert (gradient.norm(dim=1) > 1e-6 * scale).all()
        assert gradient.shape == sequence.shape


def test_descending_aligns_two_videos():
    generator = torch.Generator().manual_seed(0)
    videos = [torch.randn(20, 4, generator=generator).requires_grad_() for _ in range(2)]
    optimizer = torch.optim.Adam(videos, lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        LAV_loss(videos).backward()
        optimizer.step()
    nearest = torch.cdist(videos[0], videos[1]).argmin(1)
    assert (nearest - torch.arange(20)).abs().float().mean() < 2


def test_nothing_to_compare_is_a_zero_with_a_gradient():
    video = torch.ones(4, 3, requires_grad=True)
    loss = LAV_loss([video])
    loss.backward()
    assert loss.item() == 0
    assert video.grad.abs().max() == 0
    assert LAV_loss([]).requires_grad
    single = [torch.ones(1, 3, requires_grad=True), torch.zeros(1, 3, requires_grad=True)]
    assert LAV_loss(single).isfinite()


def test_nothing_is_read_back_to_the_host():
    # A tensor on the meta device has no numbers: reading one raises.
    sequences = [torch.zeros(length, 4, device="meta", requires_grad=True) for length in (6, 5, 4)]
    LAV_loss(sequences, band=2, trust=0.2).backward()
    assert all(each.grad.shape == each.shape for each in sequences)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_temp", 0.0),
        ("alpha", -1.0),
        ("margin", 0.0),
        ("window", 1.5),
        ("band", -1),
        ("trust", -0.1),
        ("normalization", "sphere"),
        ("similarity", "cosine"),
    ],
)
def test_bad_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        LAV_loss([torch.zeros(4, 3), torch.zeros(5, 3)], **{name: value})


def test_embeddings_of_different_widths_are_refused():
    with pytest.raises(ValueError, match="video 1"):
        LAV_loss([torch.zeros(4, 3), torch.zeros(5, 2)])
