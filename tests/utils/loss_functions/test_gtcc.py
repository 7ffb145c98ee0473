import itertools
import math

import pytest
import torch

from configs.generic_config import get_generic_config
from tests.utils.loss_functions.oracles_cycle import (
    gradients_of,
    naive_cycle_back,
    naive_gtcc,
    naive_softmax_row,
    random_walks,
    relative_error,
)
from utils.loss_functions import gtcc
from utils.loss_functions.gtcc import RECIPROCAL_FLOOR, GTCC_loss
from utils.loss_functions.mixture_fit import fit_mixtures
from utils.loss_functions.normalization import SMALLEST_SIZE, normalized
from utils.loss_functions.similarity import SIMILARITIES


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drop_vectors(number, width, seed=0, dtype=torch.float64):
    return [
        torch.randn(width + 1, generator=seeded(seed + k), dtype=dtype).requires_grad_()
        for k in range(number)
    ]


FORMULAS = [
    *itertools.product(SIMILARITIES, [(1, 0), (0.8, 0), (0.8, 0.01)], gtcc.SOFT_NEIGHBOURS, [("frame", "none")]),
    *itertools.product(
        ["squared"], [(0.8, 0), (0.8, 0.01)], ["responsibilities"], [("chance", "none"), ("frame", "unit")]
    ),
]


@pytest.mark.parametrize(("similarity", "dropping", "soft_neighbours", "choices"), FORMULAS)
def test_value_and_gradient_are_those_of_the_formula(similarity, dropping, soft_neighbours, choices):
    (gamma, alignment_variance), (reciprocal, normalization) = dropping, choices
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
        normalization,
        reciprocal,
    )
    generator = seeded(7)
    seen = normalized(sequences, normalization)
    drawn = [gtcc._draw(len(each), 4, 0.5, generator, "cpu") for each in sequences]
    fits = {}
    for i, j in itertools.permutations(range(3), 2):
        rows = [
            naive_softmax_row(seen[i][a], seen[j], temperature, similarity) for a in drawn[i][0]
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
        reciprocal,
        normalization,
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


def test_one_component_needs_no_fit(monkeypatch):
    sequences, dropouts = random_walks([30, 25], 6, 0.3, seed=8), drop_vectors(2, 6)
    settings = {"gamma": 0.9, "dropouts": dropouts, "soft_neighbours": "responsibilities"}

    def loss():
        return GTCC_loss(sequences, 1, generator=seeded(), **settings)

    found = loss()
    found_gradients = gradients_of(found, sequences)
    # A fit, and components that are responsible for nothing and for all.
    ones = [torch.ones(20, 1, dtype=torch.float64), torch.zeros(20, 1, dtype=torch.float64)]
    whole = [torch.ones(20, 2, length, dtype=torch.float64) for length in (25, 30)]
    monkeypatch.setattr(gtcc, "_fit_all", lambda *_: [(torch.cat(ones, 1), each) for each in whole])
    expected = GTCC_loss(sequences, 2, generator=seeded(), **settings)
    torch.testing.assert_close(found, expected)
    assert relative_error(found_gradients, gradients_of(expected, sequences)) < 1e-9


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


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_window_of_the_whole_video_is_that_of_the_formula(similarity):
    own, other = random_walks([9, 7], 4, 0.3, seed=6)
    anchors, windows = gtcc._draw(9, 4, 1.0, seeded(), "cpu")
    components = torch.rand(4, 2, 7, generator=seeded(), dtype=torch.float64)
    neighbours = components / components.sum(-1, keepdim=True) @ other
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64).expand(4, 2)
    found = gtcc._multi_cycle(own, anchors, windows, weights, neighbours, 0.2, 0.01, similarity)
    for a, i in enumerate(anchors.tolist()):
        cycles = [
            naive_cycle_back(naive_softmax_row(each, own, 0.2, similarity), range(9), i, 9, 0.01)
            for each in neighbours[a]
        ]
        torch.testing.assert_close(found[a], 0.3 * cycles[0] + 0.7 * cycles[1])


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


def test_the_reciprocal_is_bounded_falls_and_meets_the_loss_at_its_balance():
    balance, smallest = 0.3, -0.2
    losses = torch.linspace(smallest, 5, 100)
    values = gtcc._reciprocal(losses, balance, smallest)
    assert (values > smallest).all()
    assert (values.diff() < 0).all()
    assert values[0] == pytest.approx(smallest + 0.5 * (1 + 1 / RECIPROCAL_FLOOR))
    assert gtcc._reciprocal(torch.tensor(balance), balance, smallest) == pytest.approx(balance)


def test_the_balance_is_a_miss_of_one_frame_or_chance():
    assert gtcc._balance(101, None, 0.0) == pytest.approx(1e-4)
    assert gtcc._balance(101, 20, 0.0) == pytest.approx((20**2 - 1) / 12 / 1e4)
    # In frames squared, as the paper counts, a frame that misses by one costs the same kept or dropped.
    one_frame = torch.tensor(1e-4, dtype=torch.float64)
    assert gtcc._reciprocal(one_frame, gtcc._balance(101, None, 0.0), 0.0) == pytest.approx(1e-4)


DEFAULTS = get_generic_config().GTCC_PARAMS.to_dict()
PAPER = {"delta": 0.2, "gamma": 0.95, "reciprocal": "frame", "normalization": "none"}
LATE = (0, 5, 19, 49)


def aligned_collapsed_and_unrelated(frames=80, width=16, seed=0):
    """A video with itself, two videos of one point, and two videos that have nothing in common."""
    walk, stranger = random_walks([frames, frames], width, 0.5, seed, torch.float32)
    walk, stranger = walk.detach(), stranger.detach()
    point = torch.ones(frames, width)
    return {"aligned": [walk, walk], "collapsed": [point, point], "unrelated": [walk, stranger]}


def mean_gtcc(videos, **settings):
    """The loss over several draws of anchors, windows and drop vectors."""
    return sum(
        GTCC_loss(
            videos, dropouts=[each.detach() for each in drop_vectors(2, videos[0].shape[1], 10 * seed, torch.float32)],
            generator=seeded(seed), **settings,
        ).item()
        for seed in range(4)
    ) / 4  # fmt: skip


@pytest.mark.parametrize("epoch", LATE)
@pytest.mark.parametrize(
    ("settings", "share"),
    [
        # At the temperature of the defaults a neighbour is the mean of more frames, so that no return is exact.
        (DEFAULTS, 0.3), ({**DEFAULTS, "gamma": 0.95, "alignment_variance": 0.0}, 0.25),
        (PAPER, 0.25), ({**PAPER, "soft_neighbours": "responsibilities"}, 0.25),
    ],
    ids=["defaults", "defaults, frames dropped", "paper", "paper, responsibilities"],
)  # fmt: skip
def test_aligned_videos_cost_less_than_collapsed_and_than_unrelated_ones(settings, share, epoch):
    cost = {name: mean_gtcc(videos, epoch=epoch, **settings)
            for name, videos in aligned_collapsed_and_unrelated().items()}  # fmt: skip
    assert cost["aligned"] < share * cost["collapsed"]
    assert cost["aligned"] < 0.25 * cost["unrelated"]


def test_with_its_balance_at_chance_the_drop_term_favours_a_collapse_at_late_epochs():
    """What `reciprocal='chance'` does, and why it isn't the default."""
    cost = {name: mean_gtcc(videos, epoch=49, **{**DEFAULTS, "gamma": 0.95, "reciprocal": "chance"})
            for name, videos in aligned_collapsed_and_unrelated().items()}  # fmt: skip
    assert cost["aligned"] > cost["collapsed"]


def out_of_phase(frames=200, period=0.25, radius=3.0):
    """Two videos on one circle, with a period of a share of the video, and half a period apart."""
    angle = 2 * math.pi * torch.arange(frames) / (period * frames)
    first, second = (radius * torch.stack([(angle + by).cos(), (angle + by).sin()], -1) for by in (0, math.pi))
    return [first, second]


def test_a_circle_is_a_solution_with_a_narrow_window_and_none_with_the_default():
    """Round and round in a quarter of the video, half a round apart: no frame is aligned with its own time."""
    circle = out_of_phase()
    line = torch.linspace(0, 30, 200).unsqueeze(1) * torch.ones(1, 2)
    for delta, solved in ((0.2, True), (DEFAULTS["delta"], False)):
        settings = {**DEFAULTS, "delta": delta, "normalization": "none"}
        by_chance = gtcc.cycle_back_by_chance(round(delta * 200), 200, DEFAULTS["alignment_variance"])
        cost = mean_gtcc(circle, **settings) / by_chance
        assert (cost < 0.05) if solved else (cost > 0.5)
        assert mean_gtcc([line, line.clone()], **settings) < 0.2 * by_chance
    assert mean_gtcc(circle, **DEFAULTS) > 0.5 * gtcc.cycle_back_by_chance(200, 200, DEFAULTS["alignment_variance"])


def test_normalised_embeddings_cannot_lower_the_loss_by_their_scale_or_offset():
    walks = [each.detach() for each in random_walks([60, 50], 8, 0.3, 3)]
    for normalization, same in (("unit", True), ("none", False)):
        costs = [
            GTCC_loss(
                [scale * walk + 7 * scale for walk in walks], 5, 1.0, 1.0, generator=seeded(),
                normalization=normalization,
            )
            for scale in (1, 10)
        ]  # fmt: skip
        assert bool(torch.isclose(*costs, rtol=1e-3)) == same


def test_frames_at_the_centre_have_a_bounded_gradient():
    videos = [torch.zeros(4, 3, requires_grad=True), torch.zeros(5, 3, requires_grad=True)]
    weights = torch.arange(27.0).view(9, 3)
    (torch.cat(normalized(videos, "unit")) * weights).sum().backward()
    assert all(bool(video.grad.isfinite().all()) for video in videos)
    assert max(float(video.grad.abs().max()) for video in videos) <= float(weights.abs().max()) / SMALLEST_SIZE


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
        for alignment_variance, normalization in ((0, "none"), (0.001, "none"), (0, "unit")):
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
                normalization=normalization,
            )
            assert math.isfinite(loss.item())
            assert all(torch.isfinite(each).all() for each in gradients_of(loss, sequences + dropouts))


@pytest.mark.parametrize("soft_neighbours", gtcc.SOFT_NEIGHBOURS)
def test_finite_for_constant_and_identical_videos(soft_neighbours):
    walk = random_walks([12], 8, 1.0, 0, torch.float32)[0].detach()
    videos = [torch.zeros(5, 8), torch.full((7, 8), 3.0), walk, walk.repeat(2, 1)]
    for (first, second), normalization in itertools.product(itertools.product(videos, repeat=2), ("none", "unit")):
        sequences = [first.clone().requires_grad_(), second.clone().requires_grad_()]
        dropouts = [torch.zeros(9, requires_grad=True), torch.full((9,), 50.0, requires_grad=True)]
        loss = GTCC_loss(
            sequences,
            4,
            dropouts=dropouts,
            epoch=100,
            generator=seeded(),
            soft_neighbours=soft_neighbours,
            normalization=normalization,
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
        ({"normalization": "frames"}, "normalization"),
        ({"reciprocal": "paper"}, "reciprocal"),
        ({"softmax_temp": -1}, "temperature"),
        ({"dropouts": [torch.zeros(5)]}, "dropouts"),
        ({"dropouts": [torch.zeros(4), torch.zeros(4)]}, "dropouts"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        GTCC_loss([torch.zeros(3, 4)] * 2, **settings)
