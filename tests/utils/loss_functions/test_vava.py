import math

import pytest
import torch

from tests.utils.loss_functions import oracles_alignment as oracle
from tests.utils.loss_functions.oracles_cycle import gradients_of, random_walks, relative_error
from utils.loss_functions import pairwise
from utils.loss_functions.similarity import SIMILARITIES
from utils.loss_functions.vava import VAVA_loss


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("global_step", [0, 5])
def test_value_and_gradient_are_those_of_the_formula(similarity, global_step):
    sequences = random_walks([4, 3, 5], 2, 0.5, seed=1)
    named = {
        "zeta": 0.3,
        "regularization": 0.2,
        "prior_width": 0.2,
        "intra_weight": 0.7,
        "inter_weight": 0.6,
        "margin": 1.5,
        "window": 0.3,
        "inter_margin": 0.4,
        "similarity": similarity,
    }
    plans = []

    def naive(videos):
        return oracle.vava(videos, consistency=0.9**global_step, plans=plans, **named)

    videos = [each.tolist() for each in sequences]
    loss = VAVA_loss(sequences, consistency_decay=0.9, iterations=200, global_step=global_step, **named)
    assert loss.item() == pytest.approx(naive(videos), rel=1e-9)
    # From here on the oracle keeps its plans as the targets of the inter-video term.
    for gradient, expected in zip(gradients_of(loss, sequences), oracle.slopes(naive, videos), strict=True):
        torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-5)


def test_unit_frames_are_normalised_before_anything_else():
    sequences = random_walks([4, 3, 5], 2, 0.5, seed=8)
    named = {
        "zeta": 0.3, "regularization": 0.2, "prior_width": 0.2, "intra_weight": 0.7, "inter_weight": 0.6,
        "margin": 1.5, "window": 0.3, "inter_margin": 0.4, "similarity": "squared_per_dimension",
    }  # fmt: skip
    expected = oracle.vava(oracle.unit_frames([each.tolist() for each in sequences]), consistency=1.0, **named)
    loss = VAVA_loss(sequences, iterations=200, normalization="unit", **named)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    larger = VAVA_loss([7 * each + 3 for each in sequences], iterations=200, normalization="unit", **named)
    assert larger.item() == pytest.approx(loss.item(), rel=1e-3)
    assert all(gradient.isfinite().all() for gradient in gradients_of(loss, sequences))


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("settings", [{}, {"global_step": 4}, {"zeta": 4.0}])
def test_gradient_by_finite_differences(similarity, settings):
    # Without the inter-video term, whose target gets no gradient.
    sequences = random_walks([4, 3], 3, 0.5, seed=2)

    def loss(*each):
        return VAVA_loss(each, similarity=similarity, inter_weight=0.0, iterations=300, **settings)

    assert torch.autograd.gradcheck(loss, sequences)


def test_both_domains_of_the_iterations_agree():
    sequences = random_walks([20, 30], 4, 0.5, seed=3)
    # 30 regularizations is where the loss changes from plain to logarithmic iterations.
    below, above = (VAVA_loss(sequences, zeta=zeta, iterations=300) for zeta in (3.0 - 1e-7, 3.0 + 1e-7))
    assert below.item() == pytest.approx(above.item(), rel=1e-6)
    assert relative_error(gradients_of(below, sequences), gradients_of(above, sequences)) < 1e-5


def test_pairs_taken_together_are_the_same_as_one_by_one(monkeypatch):
    sequences = random_walks([12, 7, 9], 4, 0.5, seed=4)
    for settings in ({"global_step": 3}, {"global_step": 3, "zeta": 4.0}):
        one_by_one = VAVA_loss(sequences, **settings)
        expected = gradients_of(one_by_one, sequences)
        with monkeypatch.context() as patch:
            patch.setattr(pairwise, "chunks_of_pairs", lambda sequences: [[(0, 1), (0, 2)], [(1, 2)]])
            together = VAVA_loss(sequences, **settings)
        assert together.item() == pytest.approx(one_by_one.item(), rel=1e-10)
        assert relative_error(gradients_of(together, sequences), expected) < 1e-8


def test_the_default_iterations_converge():
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(80, 16, generator=generator, dtype=torch.float64).cumsum(0)
    noise = torch.randn(2, 80, 16, generator=generator, dtype=torch.float64)
    for sequences in ([base, base + noise[0]], list(noise), random_walks([70, 80], 16, 1.0, seed=5)):
        for global_step in (0, 20):
            sequences = [each.detach().requires_grad_() for each in sequences]
            loss, converged = (VAVA_loss(sequences, iterations=n, global_step=global_step) for n in (20, 500))
            assert loss.item() == pytest.approx(converged.item(), rel=1e-4)
            assert relative_error(gradients_of(loss, sequences), gradients_of(converged, sequences)) < 1e-2


def test_float32_agrees_with_float64_and_half_precision_is_widened():
    double = random_walks([150, 120], 32, 0.1, seed=6)
    single = [each.detach().float().requires_grad_() for each in double]
    loss, expected = VAVA_loss(single), VAVA_loss(double)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert relative_error(gradients_of(loss, single), gradients_of(expected, double)) < 1e-3
    half = [each.detach().bfloat16().requires_grad_() for each in double]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = VAVA_loss(half)
    assert loss.item() == pytest.approx(VAVA_loss([each.detach().float() for each in half]).item(), rel=1e-6)


def test_offset_scale_and_order_of_the_videos():
    sequences = random_walks([30, 20, 25], 16, 0.3, seed=7)
    expected = VAVA_loss(sequences, global_step=5).item()
    assert VAVA_loss(sequences[::-1], global_step=5).item() == pytest.approx(expected, rel=1e-6)
    moved = VAVA_loss([each + 100.0 for each in sequences], global_step=5)
    assert moved.item() == pytest.approx(expected, rel=1e-6)
    between = [VAVA_loss([scale * each for each in sequences], intra_weight=0.0) for scale in (1e-3, 1, 100)]
    assert [each.item() for each in between] == pytest.approx([between[1].item()] * 3, rel=1e-9)


def test_matched_videos_cost_less_than_unrelated_ones():
    base = random_walks([60], 16, 1.0, seed=8)[0]
    alike = VAVA_loss([base, base + 0.01], intra_weight=0.0)
    unlike = VAVA_loss([base, random_walks([60], 16, 1.0, seed=9)[0]], intra_weight=0.0)
    assert 0 <= alike.item() < 0.7 * unlike.item()


def test_size_grows_neither_with_the_length_nor_with_the_number_of_pairs():
    def videos(length, number):
        time = torch.linspace(0, 6, length, dtype=torch.float64)
        return [torch.stack([(k * time + shift).sin() for k in (1, 2)], 1) for shift in range(number)]

    values = [VAVA_loss(videos(length, 2), global_step=5).item() for length in (50, 200, 800)]
    assert values[0] == pytest.approx(values[2], rel=0.1)
    assert values[1] == pytest.approx(values[2], rel=0.05)
    same = [videos(50, 1)[0]] * 5
    assert VAVA_loss(same).item() == pytest.approx(VAVA_loss(same[:2]).item(), rel=1e-9)


def test_the_prior_turns_from_consistency_to_optimality():
    # Two videos with their halves swapped: frame i of one is frame i + 20 of the other.
    base = random_walks([40], 8, 1.0, seed=10)[0].detach()
    swapped = torch.cat((base[20:], base[:20]))
    values = [VAVA_loss([base, swapped], intra_weight=0.0, global_step=step).item() for step in (0, 10, 100)]
    assert values[0] > values[1] > values[2]
    same = [VAVA_loss([base, base.clone()], intra_weight=0.0, global_step=step).item() for step in (0, 100)]
    assert values[2] < values[0]
    assert same[0] < values[0]


def test_a_second_call_is_the_same_and_settings_are_not_touched():
    sequences = random_walks([20, 30, 25, 15], 8, 0.5, seed=11)
    assert VAVA_loss(sequences).item() == VAVA_loss(sequences).item()


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("lengths", [[2, 2], [2, 40], [33, 33, 12]])
def test_values_and_gradients_are_finite(scale, lengths):
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        walks = [(scale * torch.randn(length, 16, generator=generator)).cumsum(0) for length in lengths]
        for sequences in (walks, [walks[0], walks[0].clone()], [each * 0 + scale for each in walks]):
            for similarity in SIMILARITIES:
                sequences = [each.detach().requires_grad_() for each in sequences]
                settings = {"zeta": 4.0} if seed == 3 else {}
                loss = VAVA_loss(sequences, similarity=similarity, global_step=10 * seed, **settings)
                gradients = gradients_of(loss, sequences)
                assert loss.isfinite()
                assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("scale", [0.1, 1.0])
@pytest.mark.parametrize("intra_weight", [0.0, 1.0])
def test_every_frame_has_a_gradient_on_ordinary_embeddings(scale, intra_weight):
    sequences = [each.detach().requires_grad_() for each in random_walks([60, 50], 128, scale, seed=12)]
    loss = VAVA_loss(sequences, intra_weight=intra_weight)
    for gradient, sequence in zip(gradients_of(loss, sequences), sequences, strict=True):
        assert (gradient.norm(dim=1) * sequence.norm(dim=1).mean() > 1e-6).all()


def test_nothing_to_compare_is_a_zero_with_a_gradient():
    video = torch.ones(4, 3, requires_grad=True)
    loss = VAVA_loss([video])
    loss.backward()
    assert loss.item() == 0
    assert video.grad.abs().max() == 0
    assert VAVA_loss([]).requires_grad
    single = [torch.ones(1, 3, requires_grad=True), torch.zeros(1, 3, requires_grad=True)]
    assert math.isfinite(VAVA_loss(single, global_step=3).item())


def test_nothing_is_read_back_to_the_host():
    # A tensor on the meta device has no numbers: reading one raises.
    for settings in ({}, {"global_step": 3}, {"zeta": 4.0}):
        sequences = [torch.zeros(length, 4, device="meta", requires_grad=True) for length in (6, 5, 4)]
        VAVA_loss(sequences, **settings).backward()
        assert all(each.grad.shape == each.shape for each in sequences)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("zeta", -0.1, "unmatched"),
        ("iterations", 0, "iteration"),
        *(
            (name, value, name)
            for name, value in (
                ("regularization", 0.0),
                ("prior_width", 0.0),
                ("consistency_decay", 1.5),
                ("intra_weight", -1.0),
                ("inter_weight", float("nan")),
                ("margin", 0.0),
                ("window", 2.0),
                ("inter_margin", 0.0),
                ("similarity", "cosine"),
                ("global_step", -1),
            )
        ),
    ],
)
def test_bad_settings_are_refused(name, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        VAVA_loss([torch.zeros(4, 3), torch.zeros(5, 3)], **{name: value})
