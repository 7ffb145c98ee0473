import itertools
import math

import pytest
import torch

from tests.utils.loss_functions.oracles_cycle import (
    gradients_of,
    naive_gtcc,
    naive_softmax_row,
    random_walks,
    relative_error,
)
from utils.loss_functions import gtcc
from utils.loss_functions.gtcc import RECIPROCAL_FLOOR, GTCC_loss
from utils.loss_functions.mixture_fit import fit_mixtures
from utils.loss_functions.similarity import SIMILARITIES


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drop_vectors(number, width, seed=0, dtype=torch.float64):
    return [
        torch.randn(width + 1, generator=seeded(seed + k), dtype=dtype).requires_grad_()
        for k in range(number)
    ]


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize(("gamma", "alignment_variance"), [(1, 0), (0.8, 0), (0.8, 0.01)])
@pytest.mark.parametrize("soft_neighbours", gtcc.SOFT_NEIGHBOURS)
def test_value_and_gradient_are_those_of_the_formula(similarity, gamma, alignment_variance, soft_neighbours):
    sequences, temperature, epoch = random_walks([9, 7, 5], 4, 0.3, seed=1), 0.2, 2
    dropouts = drop_vectors(3, 4)
    loss = GTCC_loss(
        sequences,
        3,
        gamma,
        0.5,
        dropouts,
        temperature,
        alignment_variance,
        4,
        epoch,
        4,
        similarity,
        seeded(7),
        soft_neighbours,
    )
    generator = seeded(7)
    drawn = [gtcc._draw(len(each), 4, 0.5, generator, "cpu") for each in sequences]
    fits = {}
    for i, j in itertools.permutations(range(3), 2):
        rows = [
            naive_softmax_row(sequences[i][a], sequences[j], temperature, similarity) for a in drawn[i][0]
        ]
        fit = fit_mixtures(torch.stack(rows).detach(), 3, 4)
        fits[i, j] = (fit.weights(), fit.components(len(sequences[j])))
    as_lists = [(anchors.tolist(), windows.tolist()) for anchors, windows in drawn]
    expected = naive_gtcc(
        sequences,
        fits,
        as_lists,
        gamma,
        dropouts,
        temperature,
        alignment_variance,
        epoch,
        similarity,
        soft_neighbours,
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    inputs = sequences + (dropouts if gamma < 1 else [])
    assert relative_error(gradients_of(loss, inputs), gradients_of(expected, inputs)) < 1e-5


@pytest.mark.parametrize("soft_neighbours", gtcc.SOFT_NEIGHBOURS)
def test_gradient_by_finite_differences(monkeypatch, soft_neighbours):
    # The fit is a constant of the loss: held, so that finite differences don't move it.
    sequences, dropouts = random_walks([7, 6], 3, 0.3, seed=2), drop_vectors(2, 3)
    kept = []
    fit_all = gtcc._fit_all

    def fit_once(*arguments):
        if not kept:
            kept.extend(fit_all(*arguments))
        return kept

    monkeypatch.setattr(gtcc, "_fit_all", fit_once)

    def loss(*inputs):
        return GTCC_loss(
            inputs[:2],
            3,
            0.5,
            0.6,
            inputs[2:],
            0.3,
            0.01,
            generator=seeded(1),
            soft_neighbours=soft_neighbours,
        )

    assert torch.autograd.gradcheck(loss, (*sequences, *dropouts))


def test_responsibilities_give_the_components_where_the_mixture_is_exact():
    generator = seeded(3)
    alpha = torch.rand(4, 30, generator=generator, dtype=torch.float64).softmax(-1)
    shares = alpha.unsqueeze(1) * torch.randn(4, 5, 30, generator=generator, dtype=torch.float64).softmax(1)
    weights = shares.sum(-1)
    components = shares / weights.unsqueeze(-1)
    other = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    found_weights, neighbours = gtcc._shared_out(alpha, weights, components, other)
    torch.testing.assert_close(found_weights, weights)
    torch.testing.assert_close(neighbours, components @ other)


def test_only_responsibilities_pass_a_gradient_on_through_the_similarities_of_the_anchor():
    # Of the anchor's own video only one frame is drawn, and the way back avoids it: it can only move by alpha.
    first, second = random_walks([40, 30], 4, 0.3, seed=4)
    for soft_neighbours, moves in (("components", False), ("responsibilities", True)):
        own = first.detach().clone().requires_grad_()
        weights = torch.full((1, 2), 0.5, dtype=torch.float64)
        components = torch.rand(1, 2, 30, generator=seeded(5), dtype=torch.float64).softmax(-1)
        if soft_neighbours == "components":
            neighbours = components @ second.detach()
        else:
            alpha = gtcc.similarity_logits(own[:1], second.detach()).softmax(-1)
            weights, neighbours = gtcc._shared_out(alpha, weights, components, second.detach())
        windows = torch.arange(10, 20).unsqueeze(0)
        gtcc._multi_cycle(
            own, torch.tensor([0]), windows, weights, neighbours, 0.1, 0.0, gtcc.DEFAULT_SIMILARITY
        ).sum().backward()
        assert bool(own.grad[0].any()) == moves


def test_windows_have_the_width_asked_for_and_contain_their_anchor():
    for frames, delta, width in [
        (100, 0.2, 20),
        (1000, 0.05, 50),
        (7, 0.2, 3),
        (2, 0.2, 2),
        (10, 5.0, 10),
        (1, 1, 1),
    ]:
        anchors, windows = gtcc._draw(frames, 20, delta, seeded(), "cpu")
        assert windows.shape == (min(20, frames), width)
        assert len(set(anchors.tolist())) == len(anchors)
        assert windows.min() >= 0
        assert windows.max() < frames
        assert (windows.diff(dim=1) == 1).all()
        assert (windows == anchors.unsqueeze(1)).any(1).all()


def test_frames_outside_the_window_do_not_matter_for_the_way_back():
    own, other = (each.detach() for each in random_walks([40, 30], 6, 0.1, seed=3))
    anchors, windows = gtcc._draw(40, 3, 0.2, seeded(), "cpu")
    components = torch.rand(3, 2, 30, generator=seeded(), dtype=torch.float64)
    neighbours = components / components.sum(-1, keepdim=True) @ other
    arguments = (anchors, windows, torch.full((3, 2), 0.5), neighbours)
    expected = gtcc._multi_cycle(own, *arguments, 0.1, 0.01, "squared")
    moved = own.clone()
    outside = sorted(set(range(40)) - set(windows.flatten().tolist()))
    moved[outside] = 50.0
    # (Only rounding differs: embeddings are centred on the frames of the window.)
    assert torch.allclose(gtcc._multi_cycle(moved, *arguments, 0.1, 0.01, "squared"), expected, rtol=1e-9)


def test_constant_embeddings_are_no_solution():
    constant = [torch.zeros(200, 8), torch.zeros(150, 8)]
    by_chance = sum(GTCC_loss(constant, 5, 1, 0.2, generator=seeded(seed)).item() for seed in range(30)) / 30
    walk = random_walks([200], 8, 1.0, 0)[0].detach()
    aligned = GTCC_loss([walk, walk.clone()], 5, 1, 0.2, generator=seeded()).item()
    assert by_chance == pytest.approx(0.2**2 / 12, rel=0.25)
    assert aligned < by_chance / 20


def test_the_same_generator_gives_the_same_value():
    sequences = random_walks([50, 60], 8, 0.1, seed=4)
    values = [GTCC_loss(sequences, 5, generator=seeded(seed)).item() for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_the_reciprocal_is_bounded_falls_and_meets_the_loss_at_chance():
    chance, smallest = 0.3, -0.2
    losses = torch.linspace(smallest, 5, 100)
    values = gtcc._reciprocal(losses, chance, smallest)
    assert (values > smallest).all()
    assert (values.diff() < 0).all()
    assert values[0] == pytest.approx(smallest + 0.5 * (1 + 1 / RECIPROCAL_FLOOR))
    assert gtcc._reciprocal(torch.tensor(chance), chance, smallest) == pytest.approx(chance)


def test_keep_probability_lies_between_its_floor_and_one():
    own = random_walks([50], 6, 1.0, 0)[0].detach()
    dropout = drop_vectors(1, 6)[0].detach()
    keep = gtcc._keep_probability(own, dropout, 0.9**3)
    assert keep.min() > 0.9**3
    assert keep.max() < 1
    # The larger u . c, the sooner a frame is dropped; c's bias shifts all frames equally.
    assert torch.equal((own @ dropout[:-1]).argsort(), keep.argsort(descending=True))
    dropout[-1] += 5
    assert torch.equal(gtcc._keep_probability(own, dropout, 0.9**3), keep)
    assert torch.allclose(gtcc._keep_probability(torch.zeros(5, 6), dropout, 0.5), torch.tensor(0.75))


def test_no_drop_model_means_no_frame_is_dropped():
    sequences, dropouts = random_walks([20, 25], 6, 0.1, 5), drop_vectors(2, 6)
    plain = GTCC_loss(sequences, 3, 1.0, generator=seeded()).item()
    for gamma, given in [(1.0, dropouts), (0.9, None), (0.9, [])]:
        assert GTCC_loss(sequences, 3, gamma, dropouts=given, generator=seeded()).item() == plain
    assert GTCC_loss(sequences, 3, 0.9, dropouts=dropouts, generator=seeded()).item() != plain


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("scale", [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("soft_neighbours", gtcc.SOFT_NEIGHBOURS)
def test_finite_for_any_scale_and_length(similarity, scale, soft_neighbours):
    for seed, lengths in enumerate([(2, 2), (2, 30), (3, 40, 150), (1, 4)]):
        sequences = random_walks(lengths, 12, scale, seed, torch.float32)
        dropouts = drop_vectors(len(lengths), 12, seed, torch.float32)
        for alignment_variance in (0, 0.001):
            loss = GTCC_loss(
                sequences,
                6,
                0.95,
                0.2,
                dropouts,
                0.1,
                alignment_variance,
                epoch=60,
                similarity=similarity,
                generator=seeded(seed),
                soft_neighbours=soft_neighbours,
            )
            assert math.isfinite(loss.item())
            assert all(torch.isfinite(each).all() for each in gradients_of(loss, sequences + dropouts))


@pytest.mark.parametrize("soft_neighbours", gtcc.SOFT_NEIGHBOURS)
def test_finite_for_constant_and_identical_videos(soft_neighbours):
    walk = random_walks([12], 8, 1.0, 0, torch.float32)[0].detach()
    videos = [torch.zeros(5, 8), torch.full((7, 8), 3.0), walk, walk.repeat(2, 1)]
    for first, second in itertools.product(videos, repeat=2):
        sequences = [first.clone().requires_grad_(), second.clone().requires_grad_()]
        dropouts = [torch.zeros(9, requires_grad=True), torch.full((9,), 50.0, requires_grad=True)]
        loss = GTCC_loss(
            sequences,
            4,
            dropouts=dropouts,
            epoch=100,
            generator=seeded(),
            soft_neighbours=soft_neighbours,
        )
        assert math.isfinite(loss.item())
        assert all(torch.isfinite(each).all() for each in gradients_of(loss, sequences + dropouts))


def test_not_a_number_goes_through_without_an_error():
    first, second = (each.detach() for each in random_walks([20, 200], 4, 0.1, 6, torch.float32))
    first[3] = float("nan")
    assert math.isnan(GTCC_loss([first, second], 3, anchors_per_video=20, generator=seeded()).item())


def test_value_does_not_grow_with_length_anchors_or_videos():
    def mean_loss(number_of_videos, length, anchors):
        return (
            sum(
                GTCC_loss(
                    random_walks([length] * number_of_videos, 8, 1 / length**0.5, seed, torch.float32),
                    5,
                    1,
                    anchors_per_video=anchors,
                    generator=seeded(seed),
                ).item()
                for seed in range(8)
            )
            / 8
        )

    base = mean_loss(2, 60, 20)
    assert mean_loss(2, 600, 20) == pytest.approx(base, rel=0.5)
    assert mean_loss(2, 60, 5) == pytest.approx(base, rel=0.5)
    assert mean_loss(4, 60, 20) == pytest.approx(base, rel=0.5)


def test_fewer_than_two_videos_give_a_zero_with_a_gradient():
    video = torch.randn(4, 3, requires_grad=True)
    loss = GTCC_loss([video])
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(video.grad, torch.zeros_like(video))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 0.0}, "gamma"),
        ({"gamma": 5}, "gamma"),
        ({"delta": -0.1}, "delta"),
        ({"n_components": 0}, "n_components"),
        ({"max_gmm_iters": -1}, "max_gmm_iters"),
        ({"anchors_per_video": 0}, "anchors_per_video"),
        ({"epoch": -1}, "epoch"),
        ({"similarity": "cosine"}, "similarity"),
        ({"soft_neighbours": "nearest"}, "soft_neighbours"),
        ({"softmax_temp": -1}, "temperature"),
        ({"dropouts": [torch.zeros(5)]}, "dropouts"),
        ({"dropouts": [torch.zeros(4), torch.zeros(4)]}, "dropouts"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        GTCC_loss([torch.zeros(3, 4)] * 2, **settings)
