"""The loss that a configuration asks for, and the plan's progress term."""

import copy
from types import SimpleNamespace

import pytest
import torch

from configs.generic_config import get_generic_config
from utils.loss_entry import (
    compute_progress_loss,
    get_loss_function,
    get_progress_lambda,
    get_validation_loss_function,
    gradient_sizes,
)
from utils.loss_functions import GTCC_loss, VAVA_loss
from utils.tensorops import get_cum_matrix, get_trueprogress, get_trueprogress_per_action

TIMES = {
    "step": ["action1", "SIL", "action2"],
    "start_frame": [0, 12, 18],
    "end_frame": [11, 17, 29],
    "name": "v",
}
LOSSES = ("GTCC", "tcc", "LAV", "VAVA", "VAOT")


def make_config(losses=("tcc",), **progress):
    config = get_generic_config()
    config.LOSS_TYPE = {name: name in losses for name in LOSSES}
    config.PROGRESS_LOSS = {"enabled": True, **progress}
    return config


def make_batch(seed=0, number_of_videos=2, number_of_frames=30, width=8):
    generator = torch.Generator().manual_seed(seed)
    outputs = [
        torch.randn(number_of_frames, width, generator=generator).mul(0.3).cumsum(0).requires_grad_()
        for _ in range(number_of_videos)
    ]
    dropouts = [torch.randn(width + 1, generator=generator).requires_grad_() for _ in range(number_of_videos)]
    return {"outputs": outputs, "attentions": [], "dropouts": dropouts}, [dict(TIMES) for _ in outputs]


def different_videos():
    """Three videos of other lengths, numbers of actions and shares of background."""
    generator = torch.Generator().manual_seed(3)
    times = [
        {"step": ["a", "SIL", "b"], "start_frame": [0, 12, 18], "end_frame": [11, 17, 29], "name": "first"},
        {"step": ["SIL", "c"], "start_frame": [0, 9], "end_frame": [8, 19], "name": "second"},
        {"step": ["a", "b", "c", "d"], "start_frame": [0, 4, 19, 22], "end_frame": [3, 18, 21, 24], "name": "third"},
    ]
    outputs = [torch.randn(segments["end_frame"][-1] + 1, 4, generator=generator).cumsum(0) for segments in times]
    return outputs, times


def progress_errors(embedding, times, level, total=None):
    """Frame -> |predicted - true progress|, from the plan's formulas; at action level of the frames of actions.

    The path is divided by `total`, at action level by that of the action's label, or by its own total if there is none.
    """
    def path(first, last):
        steps = zip(embedding[first:last], embedding[first + 1 : last + 1], strict=True)
        return sum(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 for one, other in steps)

    def whole(step, first, last):
        if total is None:
            return path(first, last)
        return total if level == "video" else total.get(step, sum(total.values()) / len(total))

    last_frame, errors, done = len(embedding) - 1, {}, 0
    number_of_actions = sum(step != "SIL" for step in times["step"])
    for step, start, end in zip(times["step"], times["start_frame"], times["end_frame"], strict=True):
        for frame in range(start, end + 1):
            inside = (frame - start) / (end - start)
            if level == "action" and step != "SIL":
                errors[frame] = abs(path(start, frame) / whole(step, start, end) - inside)
            elif level == "video":
                truth = (done + (inside if step != "SIL" else 0)) / number_of_actions
                errors[frame] = abs(path(0, frame) / whole(step, 0, last_frame) - truth)
        done += step != "SIL"
    return errors


class TestComputeProgressLoss:
    @pytest.mark.parametrize("level", ["video", "action"])
    @pytest.mark.parametrize("frames", ["single", "all"])
    def test_in_range_with_a_gradient_and_the_caller_untouched(self, level, frames):
        batch, times = make_batch()
        times[0]["end_frame"] = [11, 17, 25]  # the annotation ends before the video does
        before = copy.deepcopy(times)
        loss = compute_progress_loss(batch["outputs"], times, level=level, frames=frames)
        assert loss.shape == ()
        assert 0 <= loss <= 1
        assert times == before
        compute_progress_loss(batch["outputs"], times, level=level, frames="all").backward()
        assert all(output.grad.abs().sum() > 0 for output in batch["outputs"])

    @pytest.mark.parametrize("level", ["video", "action"])
    def test_perfect_embedding_has_no_loss(self, level):
        truth = get_trueprogress(TIMES) if level == "video" else get_trueprogress_per_action(TIMES)
        embedding = torch.stack([truth, torch.zeros(30)], dim=1)
        if level == "action":
            embedding[18:, 1] = 5  # where an action begins must not matter
        loss = compute_progress_loss([embedding], [TIMES], level=level, frames="all")
        torch.testing.assert_close(loss, torch.zeros(()), atol=1e-6, rtol=0)

    def test_all_is_the_mean_of_single(self):
        batch, times = make_batch()
        generator = torch.Generator().manual_seed(0)
        singles = torch.stack(
            [
                compute_progress_loss(batch["outputs"], times, generator=generator).detach()
                for _ in range(4000)
            ]
        )
        every = compute_progress_loss(batch["outputs"], times, frames="all").detach()
        standard_error = singles.std() / len(singles) ** 0.5
        assert (singles.mean() - every).abs() < 4 * standard_error
        assert singles.std() > 0.01

    def test_action_level_mean_is_over_action_frames(self):
        features = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
        with_background = compute_progress_loss([features], [TIMES], level="action", frames="all")
        actions = [features[:12], features[18:]]
        times = {"step": ["a"], "start_frame": [0], "end_frame": [11]}
        alone = compute_progress_loss(actions, [times, times], level="action", frames="all")
        torch.testing.assert_close(with_background, alone)

    def test_nothing_to_predict_is_a_zero_with_a_gradient(self):
        silent = {"step": ["SIL"], "start_frame": [0], "end_frame": [9]}
        features = torch.randn(10, 3, requires_grad=True)
        loss = compute_progress_loss([features], [silent])
        loss.backward()
        assert loss == 0
        assert (features.grad == 0).all()
        one_frame = torch.randn(1, 3, requires_grad=True)
        assert (
            compute_progress_loss([one_frame], [{"step": ["a"], "start_frame": [0], "end_frame": [0]}]) == 0
        )
        assert compute_progress_loss([], []) == 0

    def test_a_video_without_action_is_left_out_of_the_mean(self):
        batch, times = make_batch()
        silent = {"step": ["SIL"], "start_frame": [0], "end_frame": [29], "name": "silent"}
        both = compute_progress_loss(batch["outputs"], [times[0], silent], frames="all")
        torch.testing.assert_close(both, compute_progress_loss(batch["outputs"][:1], times[:1], frames="all"))

    @pytest.mark.parametrize("level", ["video", "action"])
    def test_every_video_is_held_to_its_own_times(self, level):
        """Videos of other lengths with other segments, frame by frame by plain loops."""
        outputs, times = different_videos()
        pairs = zip(outputs, times, strict=True)
        errors = [progress_errors(video.tolist(), segments, level) for video, segments in pairs]
        means = [sum(of_video.values()) / len(of_video) for of_video in errors]
        assert len({round(mean, 3) for mean in means}) == len(means)
        every = compute_progress_loss(outputs, times, level=level, frames="all")
        assert float(every) == pytest.approx(sum(means) / len(means), rel=1e-5)
        through_configuration = get_loss_function(make_config(level=level, frames="all"))(
            {"outputs": outputs, "dropouts": []}, 0, times_list=times
        )
        assert float(through_configuration["progress_loss"]) == pytest.approx(float(every))

        generator = torch.Generator().manual_seed(0)
        drawn = {
            round(float(compute_progress_loss(outputs, times, level=level, generator=generator)), 4)
            for _ in range(3000)
        }
        # Background, which has no error at action level, is drawn too.
        possible = {round(error, 4) for of_video in errors for error in of_video.values()} | {0.0}
        assert all(any(abs(one - other) < 2e-4 for other in possible) for one in drawn)
        for of_video in errors:
            assert any(round(error, 4) in drawn for error in of_video.values() if 0 < error < 1)

    def test_same_generator_same_choice(self):
        batch, times = make_batch()
        first, second = (
            compute_progress_loss(batch["outputs"], times, generator=torch.Generator().manual_seed(5))
            for _ in range(2)
        )
        assert first == second

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"level": "frame"}, "level"),
            ({"frames": "some"}, "frames"),
            ({"totals": [1.0]}, "2 videos but 1 totals"),
        ],
    )
    def test_unknown_choices_are_refused(self, arguments, named):
        batch, times = make_batch()
        with pytest.raises(ValueError, match=named):
            compute_progress_loss(batch["outputs"], times, **arguments)

    def test_annotation_that_begins_after_the_video_ends_is_refused(self):
        with pytest.raises(ValueError, match="'v'"):
            compute_progress_loss([torch.randn(10, 2)], [TIMES])


# What the paths of `different_videos` may be divided by: shorter and longer than their own.
TOTALS = {
    "video": {"first": 20.0, "second": 20.0, "third": 90.0},
    # The second video's action isn't there.
    "action": {name: {"a": 30.0, "b": 9.0, "d": 2.0} for name in ("first", "second", "third")},
}


class TestTotalsOfTrainingVideos:
    @pytest.mark.parametrize("level", ["video", "action"])
    def test_formula_by_plain_loops(self, level):
        outputs, times = different_videos()
        totals = [TOTALS[level][segments["name"]] for segments in times]
        errors = [
            progress_errors(video.tolist(), segments, level, total)
            for video, segments, total in zip(outputs, times, totals, strict=True)
        ]
        assert max(max(of_video.values()) for of_video in errors) > 1, "nothing is clamped"
        means = [sum(of_video.values()) / len(of_video) for of_video in errors]
        every = compute_progress_loss(outputs, times, level=level, frames="all", totals=totals)
        assert float(every) == pytest.approx(sum(means) / len(means), rel=1e-5)
        generator = torch.Generator().manual_seed(0)
        drawn = {
            round(float(compute_progress_loss(outputs, times, level, generator=generator, totals=totals)), 4)
            for _ in range(3000)
        }
        possible = [error for of_video in errors for error in of_video.values()]
        assert all(any(abs(one - other) < 2e-4 for other in [*possible, 0.0]) for one in drawn)
        assert len(drawn) > 0.9 * len({round(error, 4) for error in possible})

    @pytest.mark.parametrize("level", ["video", "action"])
    def test_its_own_total_and_none_and_zero_are_the_same(self, level):
        outputs, times = different_videos()
        videos = [(video.tolist(), segments) for video, segments in zip(outputs, times, strict=True)]
        own = [progress_errors(*video, level) for video in videos]
        zero = [0.0] * 3 if level == "video" else [{}, {"c": 0.0}, dict.fromkeys("abcd", 0.0)]
        expected = sum(sum(of_video.values()) / len(of_video) for of_video in own) / len(own)
        for totals in (None, [None] * 3, zero):
            loss = compute_progress_loss(outputs, times, level, "all", totals=totals)
            assert float(loss) == pytest.approx(expected, rel=1e-5)
        if level == "video":
            lengths = [float(video.diff(dim=0).norm(dim=1).sum()) for video in outputs]
            loss = compute_progress_loss(outputs, times, level, "all", totals=lengths)
            assert float(loss) == pytest.approx(expected, rel=1e-5)

    def test_an_action_of_one_frame_and_one_that_stands_still(self):
        """One frame is in the middle of its action, as with its own total; standing still is no progress."""
        features = torch.cat([torch.zeros(1, 3), torch.ones(4, 3)]).requires_grad_()
        times = {"step": ["one", "still"], "start_frame": [0, 1], "end_frame": [0, 4]}
        loss = compute_progress_loss([features], [times], "action", "all", totals=[{"one": 3.0, "still": 2.0}])
        loss.backward()
        assert loss.item() == pytest.approx((0 + 0 + 1 / 3 + 2 / 3 + 1) / 5)
        assert torch.isfinite(features.grad).all()

    @pytest.mark.parametrize("level", ["video", "action"])
    def test_gradient_is_that_of_finite_differences(self, level):
        outputs, times = different_videos()
        outputs = [video.double().requires_grad_() for video in outputs]
        totals = [TOTALS[level][segments["name"]] for segments in times]
        torch.autograd.gradcheck(
            lambda *videos: compute_progress_loss(videos, times, level, "all", totals=totals), outputs, atol=1e-4
        )

    @pytest.mark.parametrize("level", ["video", "action"])
    @pytest.mark.parametrize("factor", [0.2, 5.0])
    def test_a_path_too_long_is_shortened_and_one_too_short_lengthened(self, level, factor):
        """Far beyond 1 too, where online progress is clamped. By its own total, no length is wrong."""
        features = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).cumsum(0).requires_grad_()
        times = {"step": ["a"], "start_frame": [0], "end_frame": [29], "name": "v"}
        length = features.diff(dim=0).norm(dim=1).sum()
        total = factor * length.item()

        def change_of_length(totals):
            loss = compute_progress_loss([features], [times], level, "all", totals=totals)
            (gradient,) = torch.autograd.grad(loss, features)
            (longer,) = torch.autograd.grad(length, features, retain_graph=True)
            # A scaled embedding has a longer path of the same shape.
            return -(gradient * features).sum().item(), -(gradient * longer).sum().item()

        scaled, along = change_of_length([total if level == "video" else {"a": total}])
        assert (scaled > 0) == (along > 0) == (factor > 1)
        # Every frame pulls, with its whole share of the total.
        share = get_cum_matrix(features.detach()) / total
        pull = (torch.linspace(0, 1, 30) - share).sign() * share
        assert scaled == pytest.approx(pull.mean().item(), rel=1e-4)
        assert abs(change_of_length(None)[0]) < 1e-5

    def test_the_loss_of_a_configuration_takes_them_by_the_name_of_the_video(self):
        outputs, times = different_videos()
        batch = {"outputs": outputs, "dropouts": []}
        for level in ("video", "action"):
            totals = [TOTALS[level][segments["name"]] for segments in times]
            by_training, by_own = (
                make_config(["tcc"], level=level, frames="all", normalizer=normalizer)
                for normalizer in ("training", "own")
            )
            expected = compute_progress_loss(outputs, times, level, "all", totals=totals)
            own = compute_progress_loss(outputs, times, level, "all")
            assert abs(expected - own) > 0.01
            for function in (get_loss_function(by_training), get_validation_loss_function(by_training)):
                losses = function(batch, 0, times_list=times, totals=TOTALS[level])
                torch.testing.assert_close(losses["progress_loss"], expected)
                torch.testing.assert_close(losses["total_loss"], losses["alignment_loss"] + 0.1 * expected)
                with pytest.raises(ValueError, match=r"PROGRESS_LOSS\.normalizer is 'training'"):
                    function(batch, 0, times_list=times)
            for function in (get_loss_function(by_own), get_validation_loss_function(by_own)):
                losses = function(batch, 0, times_list=times, totals=TOTALS[level])
                torch.testing.assert_close(losses["progress_loss"], own)

    def test_a_configuration_that_lacks_the_setting_means_its_own_total(self):
        batch, times = make_batch()
        config = make_config(["tcc"], frames="all").to_dict()
        del config["PROGRESS_LOSS"]["normalizer"]
        losses = get_loss_function(SimpleNamespace(**config))(batch, 0, times_list=times)
        expected = compute_progress_loss(batch["outputs"], times, frames="all")
        torch.testing.assert_close(losses["progress_loss"], expected)


class TestLambda:
    def test_fixed(self):
        config = make_config().PROGRESS_LOSS
        assert {get_progress_lambda(epoch, 10, config) for epoch in range(10)} == {0.1}

    def test_curriculum_is_linear_from_start_to_end(self):
        config = make_config(lambda_curriculum={"enabled": True, "start": 0.01, "end": 0.5}).PROGRESS_LOSS
        values = [get_progress_lambda(epoch, 5, config) for epoch in range(5)]
        assert values == pytest.approx([0.01, 0.1325, 0.255, 0.3775, 0.5])
        assert get_progress_lambda(0, 1, config) == 0.01


class TestGetLossFunction:
    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("level", ["video", "action"])
    @pytest.mark.parametrize("curriculum", [False, True])
    def test_terms_and_their_sum(self, loss, level, curriculum):
        config = make_config(
            [loss],
            level=level,
            frames="all",
            lambda_curriculum={"enabled": curriculum, "start": 0.2, "end": 0.6},
        )
        batch, times = make_batch()
        losses = get_loss_function(config, num_epochs=3)(batch, 1, times_list=times)
        assert set(losses) == {
            "total_loss",
            "alignment_loss",
            "progress_loss",
            f"{loss}_loss",
            "videos_without_action",
        }
        weight = 0.4 if curriculum else 0.1
        torch.testing.assert_close(losses["alignment_loss"], losses[f"{loss}_loss"])
        torch.testing.assert_close(
            losses["total_loss"], losses["alignment_loss"] + weight * losses["progress_loss"]
        )
        losses["total_loss"].backward()
        assert all(torch.isfinite(output.grad).all() and output.grad.any() for output in batch["outputs"])

    @pytest.mark.parametrize("loss", ["GTCC", "VAVA"])
    def test_the_schedule_of_a_loss_follows_the_epoch(self, loss):
        batch, times = make_batch()
        config = make_config([loss])
        config.GTCC_PARAMS.gamma = 0.95
        function = get_loss_function(config, num_epochs=10)

        def loss_at(epoch):
            return function(batch, epoch, times, generator=torch.Generator().manual_seed(0))[f"{loss}_loss"]

        expected = {
            "GTCC": lambda epoch: GTCC_loss(
                batch["outputs"], dropouts=batch["dropouts"], epoch=epoch,
                generator=torch.Generator().manual_seed(0), **config.GTCC_PARAMS,
            ),
            "VAVA": lambda epoch: VAVA_loss(batch["outputs"], global_step=epoch, **config.VAVA_PARAMS),
        }[loss]
        for epoch in (0, 4, 9):
            torch.testing.assert_close(loss_at(epoch), expected(epoch))
        assert len({float(loss_at(epoch).detach()) for epoch in (0, 4, 9)}) == 3

    def test_several_losses_add_up(self):
        batch, times = make_batch()
        losses = get_loss_function(make_config(["tcc", "LAV"]))(batch, 0, times)
        torch.testing.assert_close(losses["alignment_loss"], losses["tcc_loss"] + losses["LAV_loss"])

    def test_a_list_of_outputs_sums_over_it(self):
        function = get_loss_function(make_config(["tcc"], frames="all"))
        first, times = make_batch(0)
        second, _ = make_batch(1)
        together = function([first, second], 0, times_list=[times, times])
        apart = [function(batch, 0, times_list=times) for batch in (first, second)]
        for name, value in together.items():
            torch.testing.assert_close(value, apart[0][name] + apart[1][name])

    def test_fewer_times_than_outputs(self):
        """The plan's word: without times there is no progress to err on, and the first times serve what has none."""
        function = get_loss_function(make_config(["tcc"], frames="all"))
        first, times = make_batch(0)
        second, _ = make_batch(1)
        one, other = (function(batch, 0, times)["progress_loss"] for batch in (first, second))
        assert one > 0
        for missing in (None, [], [None]):
            assert function(first, 0, missing)["progress_loss"] == 0
        torch.testing.assert_close(function([first, second], 0, [times])["progress_loss"], one + other)
        torch.testing.assert_close(function([first, second], 0, [None, times])["progress_loss"], other)

    def test_no_output_at_all_gives_zeros(self):
        losses = get_loss_function(make_config(["tcc"]))([], 0, [])
        assert {"total_loss", "alignment_loss", "tcc_loss", "progress_loss"} <= set(losses)
        assert not any(losses.values())

    def test_with_the_term_off_there_is_no_progress_loss(self):
        batch, times = make_batch()
        off = get_loss_function(make_config(["tcc"], enabled=False))(batch, 0, times)
        assert "progress_loss" not in off
        assert off["total_loss"] == off["alignment_loss"]

    def test_one_video_has_no_alignment_but_progress(self):
        batch, times = make_batch(number_of_videos=1)
        losses = get_loss_function(make_config(["tcc"]))(batch, 0, times)
        assert losses["alignment_loss"] == 0
        assert losses["total_loss"] > 0

    def test_videos_without_action_are_counted(self):
        batch, times = make_batch()
        times[1] = {"step": ["SIL"], "start_frame": [0], "end_frame": [29], "name": "silent"}
        assert get_loss_function(make_config())(batch, 0, times)["videos_without_action"] == 1

    def test_no_loss_and_unknown_loss_are_refused(self):
        with pytest.raises(ValueError, match="LOSS_TYPE"):
            get_loss_function(make_config([]))
        config = make_config()
        with config.unlocked():
            config.LOSS_TYPE.unlock()
            config.LOSS_TYPE["DTW"] = True
        with pytest.raises(ValueError, match="DTW"):
            get_loss_function(config)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_sizes_are_norms_of_the_gradient_and_leave_the_step_alone(loss):
    batch, times = make_batch()
    function = get_loss_function(make_config([loss], frames="all"))
    losses = function(batch, 0, times, generator=torch.Generator().manual_seed(0))
    sizes = gradient_sizes(batch["outputs"], losses, progress_lambda=0.5)
    losses["progress_loss"].backward(retain_graph=True)
    norm = torch.cat([output.grad for output in batch["outputs"]]).norm()
    torch.testing.assert_close(sizes["progress_gradient"], 0.5 * norm)
    for output in batch["outputs"]:
        output.grad = None
    losses["alignment_loss"].backward()
    norm = torch.cat([output.grad for output in batch["outputs"]]).norm()
    torch.testing.assert_close(sizes["alignment_gradient"], norm)


class TestValidationLoss:
    @pytest.mark.parametrize("loss", LOSSES)
    def test_same_at_every_epoch_and_call(self, loss):
        config = make_config([loss], lambda_curriculum={"enabled": True, "start": 0.0, "end": 1.0})
        config.GTCC_PARAMS.gamma = 0.95
        function = get_validation_loss_function(config, num_epochs=10)
        batch, times = make_batch()
        values = {float(function(batch, epoch, times)["total_loss"].detach()) for epoch in (0, 4, 9, 9)}
        assert len(values) == 1

    def test_gtcc_drops_no_frame(self):
        """A dropped frame costs less the worse it aligns: the best embedding would be a bad one."""
        config = make_config(["GTCC"])
        config.GTCC_PARAMS = {"gamma": 0.5, "reciprocal": "chance"}
        batch, times = make_batch()
        generator = torch.Generator().manual_seed(config.SEED)
        kept = GTCC_loss(batch["outputs"], generator=generator, **{**config.GTCC_PARAMS, "gamma": 1.0})
        found = get_validation_loss_function(config, num_epochs=10)(batch, 0, times)
        torch.testing.assert_close(found["GTCC_loss"], kept)
        assert found["GTCC_loss"] != get_loss_function(config, num_epochs=10)(
            batch, 9, times, generator=torch.Generator().manual_seed(config.SEED)
        )["GTCC_loss"]  # fmt: skip

    @pytest.mark.parametrize("level", ["video", "action"])
    def test_progress_is_that_of_all_frames(self, level):
        batch, times = make_batch()
        function = get_validation_loss_function(make_config(level=level, frames="single"))
        every = compute_progress_loss(batch["outputs"], times, level=level, frames="all")
        torch.testing.assert_close(function(batch, 0, times)["progress_loss"], every)

    def test_lambda_stands_at_its_end(self):
        config = make_config(lambda_curriculum={"enabled": True, "start": 0.0, "end": 0.7})
        losses = get_validation_loss_function(config, num_epochs=10)(*_with_epoch(make_batch(), 0))
        torch.testing.assert_close(
            losses["total_loss"], losses["alignment_loss"] + 0.7 * losses["progress_loss"]
        )

    def test_leaves_the_random_numbers_of_training_alone(self):
        function = get_validation_loss_function(make_config(["GTCC"]))
        before = torch.get_rng_state()
        function(*_with_epoch(make_batch(), 0))
        assert torch.equal(before, torch.get_rng_state())


def _with_epoch(batch_and_times, epoch):
    batch, times = batch_and_times
    return batch, epoch, times
