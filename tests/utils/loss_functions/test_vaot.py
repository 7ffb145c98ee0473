import math

import pytest
import torch

from tests.utils.loss_functions import oracles_alignment as oracle
from tests.utils.loss_functions.oracles_cycle import gradients_of, naive_unit_frames, random_walks, relative_error
from utils.loss_functions import fused_transport, pairwise, vaot
from utils.loss_functions.similarity import SIMILARITIES
from utils.loss_functions.vaot import VAOT_loss


@pytest.fixture
def converged_transport(monkeypatch):
    """Every transport is solved to the end, as in the oracle."""
    def solve(costs, lengths, masses, problem):
        return fused_transport.fused_plan(costs, lengths, masses, problem, 2000)

    monkeypatch.setattr(vaot, "fused_plan", solve)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("zeta", [0.2, 0.8])
def test_value_and_gradient_are_those_of_the_formula(similarity, zeta, converged_transport):
    sequences = random_walks([5, 4, 6], 2, 0.5, seed=1)
    named = {
        "softmax_temp": 0.3,
        "structure_weight": 0.4,
        "radius": 0.3,
        "order_weight": 0.2,
        "zeta": zeta,
        "regularization": 0.2,
        "iterations": 3,
        "intra_weight": 0.7,
        "margin": 1.5,
        "window": 0.3,
        "similarity": similarity,
    }
    plans = []

    def naive(videos):
        return oracle.vaot(videos, plans=plans, **named)

    videos = [each.tolist() for each in sequences]
    loss = VAOT_loss(sequences, normalization="none", **named)
    assert loss.item() == pytest.approx(naive(videos), rel=1e-6)
    # From here on the oracle keeps its plans as the targets.
    for gradient, expected in zip(gradients_of(loss, sequences), oracle.slopes(naive, videos), strict=True):
        torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-5)


def test_frames_of_one_length_cost_one_minus_their_cosine(converged_transport):
    sequences = random_walks([6, 5], 3, 0.5, seed=2)
    unit = naive_unit_frames(sequences)
    loss = VAOT_loss(sequences, normalization="unit")
    assert loss.item() == pytest.approx(VAOT_loss(unit, normalization="none").item(), rel=1e-6)
    u, v = (torch.nn.functional.normalize(torch.as_tensor(each), dim=1) for each in unit)
    torch.testing.assert_close(
        torch.tensor(oracle.distances(unit[0].tolist(), unit[1].tolist(), "squared_per_dimension")) / 2,
        (1 - u @ v.T).detach().to(torch.get_default_dtype()),
        atol=1e-5, rtol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("normalization", ["none", "unit"])
def test_gradient_by_finite_differences(similarity, normalization, monkeypatch):
    # The plan is the target: it stays what it is at the given embeddings.
    sequences = random_walks([5, 4], 3, 0.5, seed=3)
    kept = []

    def solve_once(*arguments):
        if not kept:
            kept.append(fused_transport.fused_plan(*arguments))
        return kept[0].clone()

    monkeypatch.setattr(vaot, "fused_plan", solve_once)

    def loss(*each):
        return VAOT_loss(each, similarity=similarity, normalization=normalization, intra_weight=0.5)

    assert torch.autograd.gradcheck(loss, sequences)


@pytest.mark.parametrize("zeta", [0.25, 5.0])
def test_pairs_taken_together_are_the_same_as_one_by_one(zeta, monkeypatch):
    sequences = random_walks([12, 7, 9], 4, 0.5, seed=4)
    one_by_one = VAOT_loss(sequences, zeta=zeta)
    expected = gradients_of(one_by_one, sequences)
    monkeypatch.setattr(pairwise, "chunks_of_pairs", lambda sequences: [[(0, 1), (0, 2)], [(1, 2)]])
    together = VAOT_loss(sequences, zeta=zeta)
    assert together.item() == pytest.approx(one_by_one.item(), rel=1e-10)
    assert relative_error(gradients_of(together, sequences), expected) < 1e-8


def test_the_default_iterations_are_near_convergence():
    base = random_walks([80], 16, 0.3, seed=5)[0]
    noise = torch.randn(80, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sequences = [base.detach().requires_grad_(), (base + 0.1 * noise).detach().requires_grad_()]
    loss, converged = (VAOT_loss(sequences, iterations=number) for number in (10, 300))
    assert loss.item() == pytest.approx(converged.item(), rel=3e-2)
    assert relative_error(gradients_of(loss, sequences), gradients_of(converged, sequences)) < 0.155


def test_float32_agrees_with_float64_and_half_precision_is_widened():
    double = random_walks([150, 120], 32, 0.1, seed=6)
    for zeta in (0.25, 5.0):
        single = [each.detach().float().requires_grad_() for each in double]
        loss, expected = VAOT_loss(single, zeta=zeta), VAOT_loss(double, zeta=zeta)
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
        assert relative_error(gradients_of(loss, single), gradients_of(expected, double)) < 1e-3
    half = [each.detach().bfloat16().requires_grad_() for each in double]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = VAOT_loss(half)
    assert loss.item() == pytest.approx(VAOT_loss([each.detach().float() for each in half]).item(), rel=1e-6)


def test_offset_scale_and_order_of_the_videos():
    sequences = random_walks([30, 20, 25], 16, 0.3, seed=7)
    expected = VAOT_loss(sequences).item()
    assert VAOT_loss(sequences[::-1]).item() == pytest.approx(expected, rel=1e-5)
    assert VAOT_loss([each + 100.0 for each in sequences]).item() == pytest.approx(expected, rel=1e-6)
    assert VAOT_loss([100.0 * each for each in sequences]).item() == pytest.approx(expected, rel=1e-4)


def test_training_undoes_a_distortion_of_one_video():
    time = torch.linspace(0, 3, 40, dtype=torch.float64)
    video = torch.stack([time.sin(), time.cos(), time / 3], 1)
    noise = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    other = video @ (torch.eye(3, dtype=torch.float64) + 0.4 * noise)
    layer = torch.eye(3, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([layer], lr=0.05)

    def error():
        return (torch.cdist(other @ layer, video).argmin(1) - torch.arange(40)).abs().double().mean()

    before = error()
    for _ in range(60):
        optimizer.zero_grad()
        VAOT_loss([video, other @ layer]).backward()
        optimizer.step()
    assert error() < 0.3 * before


def test_size_grows_neither_with_the_number_of_pairs_nor_without_bound_with_the_length():
    def videos(length, number):
        time = torch.linspace(0, 6, length, dtype=torch.float64)
        return [torch.stack([(k * time + shift).sin() for k in (1, 2)], 1) for shift in range(number)]

    same = [videos(50, 1)[0]] * 5
    assert VAOT_loss(same).item() == pytest.approx(VAOT_loss(same[:2]).item(), rel=1e-9)
    # The entropy of an alignment grows with the logarithm of the length.
    values = [VAOT_loss(videos(length, 2)).item() for length in (100, 400)]
    assert 0 <= values[1] - values[0] <= 1.5 * math.log(4)


def test_a_second_call_is_the_same():
    sequences = random_walks([20, 30, 25, 15], 8, 0.5, seed=11)
    assert VAOT_loss(sequences).item() == VAOT_loss(sequences).item()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("lengths", [[1, 1], [2, 40], [33, 33, 12]])
def test_values_and_gradients_are_finite(scale, lengths):
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        walks = [(scale * torch.randn(length, 16, generator=generator)).cumsum(0) for length in lengths]
        for sequences in (walks, [walks[0], walks[0].clone()], [each * 0 + scale for each in walks]):
            for settings in ({}, {"zeta": 4.0}, {"zeta": 0.0, "regularization": 1e-3}, {"normalization": "none"}):
                sequences = [each.detach().requires_grad_() for each in sequences]
                for similarity in SIMILARITIES:
                    loss = VAOT_loss(sequences, similarity=similarity, intra_weight=1.0, **settings)
                    assert loss.isfinite()
                    assert all(gradient.isfinite().all() for gradient in gradients_of(loss, sequences))


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_every_frame_has_a_gradient_on_ordinary_embeddings(scale):
    sequences = [each.detach().requires_grad_() for each in random_walks([60, 50], 128, scale, seed=12)]
    for gradient, sequence in zip(gradients_of(VAOT_loss(sequences), sequences), sequences, strict=True):
        assert (gradient.norm(dim=1) * sequence.norm(dim=1).mean() > 1e-6).all()


def test_nothing_to_compare_is_a_zero_with_a_gradient():
    video = torch.ones(4, 3, requires_grad=True)
    loss = VAOT_loss([video])
    loss.backward()
    assert loss.item() == 0
    assert video.grad.abs().max() == 0
    assert VAOT_loss([]).requires_grad


def test_nothing_is_read_back_to_the_host():
    # A tensor on the meta device has no numbers: reading one raises.
    for settings in ({}, {"zeta": 4.0}, {"intra_weight": 1.0}):
        sequences = [torch.zeros(length, 4, device="meta", requires_grad=True) for length in (6, 5, 4)]
        VAOT_loss(sequences, **settings).backward()
        assert all(each.grad.shape == each.shape for each in sequences)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("zeta", -0.1, "unmatched"),
        ("iterations", 0, "iteration"),
        *(
            (name, value, name)
            for name, value in (
                ("softmax_temp", 0.0),
                ("structure_weight", 1.5),
                ("radius", 0.0),
                ("order_weight", -1.0),
                ("regularization", 0.0),
                ("intra_weight", float("nan")),
                ("margin", 0.0),
                ("window", 2.0),
                ("similarity", "cosine"),
                ("normalization", "batch"),
            )
        ),
    ],
)
def test_bad_settings_are_refused(name, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        VAOT_loss([torch.zeros(4, 3), torch.zeros(5, 3)], **{name: value})
