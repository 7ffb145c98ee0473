import json

import numpy as np
import pytest
import torch

from tests.real_data import real_data
from tests.utils.metrics.annotations import annotation, random_annotation
from utils.data.frame_segments import action_frames
from utils.evaluation import baselines
from utils.evaluation.baselines import task_statistics
from utils.metrics import progress_error
from utils.prediction.embedding import ProgressVideo
from utils.tensorops import (
    get_normalized_predicted_progress_action,
    get_normalized_predicted_progress_video,
    get_trueprogress,
    get_trueprogress_per_action,
    path_length,
)

SOURCE = "raw features"


def video(features, time_dict, handle="video"):
    return ProgressVideo(
        handle,
        time_dict,
        get_trueprogress(time_dict).double().numpy(),
        get_trueprogress_per_action(time_dict).double().numpy(),
        {SOURCE: path_length(features)},
    )


def random_video(seed, **settings):
    rng = np.random.default_rng(seed)
    time_dict = random_annotation(rng, **settings)
    return video(torch.from_numpy(rng.normal(size=(time_dict["end_frame"][-1] + 1, 3))), time_dict), rng


class TestOffline:
    """The same as the plan's functions, which take the embedding instead of its path length."""

    @pytest.mark.parametrize("seed", range(8))
    def test_equals_the_plans_functions(self, seed):
        rng = np.random.default_rng(seed)
        time_dict = random_annotation(rng)
        features = torch.from_numpy(rng.normal(size=(time_dict["end_frame"][-1] + 1, 3)))
        one = video(features, time_dict)
        np.testing.assert_allclose(
            baselines.offline_video_progress(one)[SOURCE],
            get_normalized_predicted_progress_video(features),
            atol=1e-9,
        )
        np.testing.assert_allclose(
            baselines.offline_action_progress(one)[SOURCE],
            get_normalized_predicted_progress_action(features, time_dict),
            atol=1e-9,
        )

    def test_a_video_that_does_not_move_is_linear(self):
        one = video(torch.ones(10, 2), annotation(("a", 4), ("SIL", 2), ("b", 4)))
        np.testing.assert_allclose(baselines.offline_video_progress(one)[SOURCE], np.linspace(0, 1, 10))
        progress = baselines.offline_action_progress(one)
        np.testing.assert_allclose(progress[SOURCE], progress["t / T"])


class TestOnline:
    def test_matches_the_definition_frame_by_frame(self):
        training = [random_video(seed)[0] for seed in range(5)]
        one = random_video(9)[0]
        statistics = task_statistics(training)
        over_video = baselines.online_video_progress(one, statistics)
        in_action = baselines.online_action_progress(one, statistics)
        mean_path = np.mean([v.paths[SOURCE][-1] for v in training])
        mean_length = np.mean([len(v.progress) for v in training])
        for t in range(len(one.progress)):
            assert over_video[SOURCE][t] == pytest.approx(min(one.paths[SOURCE][t] / mean_path, 1))
            assert over_video["clock"][t] == pytest.approx(min(t / mean_length, 1))
            running = [v.progress[t] for v in training if len(v.progress) > t]
            assert over_video["mean truth at index"][t] == pytest.approx(np.mean(running) if running else 1)
        for step, start, end in zip(
            *(one.time_dict[k] for k in ("step", "start_frame", "end_frame")), strict=True
        ):
            instances = [
                (v, s, e)
                for v in training
                for label, s, e in zip(
                    *(v.time_dict[k] for k in ("step", "start_frame", "end_frame")), strict=True
                )
                if label == step
            ]
            for t in range(start, end + 1):
                if step == "SIL":
                    assert in_action[SOURCE][t] == in_action["clock"][t] == in_action["constant 0.5"][t] == 0
                    continue
                path = np.mean([v.paths[SOURCE][e] - v.paths[SOURCE][s] for v, s, e in instances])
                length = np.mean([e - s + 1 for _, s, e in instances])
                expected = min((one.paths[SOURCE][t] - one.paths[SOURCE][start]) / path, 1)
                assert in_action[SOURCE][t] == pytest.approx(expected)
                assert in_action["clock"][t] == pytest.approx(min((t - start) / length, 1))

    def test_nothing_after_a_frame_changes_it(self):
        statistics = task_statistics([random_video(seed)[0] for seed in range(4)])
        features = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 3)))
        whole, cut = (
            video(features, annotation(("a", 8), ("b", 12))),
            video(features[:12], annotation(("a", 8), ("b", 4))),
        )
        for estimate in (baselines.online_video_progress, baselines.online_action_progress):
            after, before = estimate(whole, statistics), estimate(cut, statistics)
            for name in before:
                np.testing.assert_allclose(after[name][:12], before[name])

    def test_everything_stays_in_the_unit_interval(self):
        for seed in range(6):
            one = random_video(seed)[0]
            statistics = task_statistics([random_video(seed + 50, segments=3)[0]])
            for progress in (
                baselines.online_video_progress(one, statistics),
                baselines.online_action_progress(one, statistics),
                baselines.offline_video_progress(one),
                baselines.offline_action_progress(one),
            ):
                assert all(((values >= 0) & (values <= 1)).all() for values in progress.values())

    def test_a_perfect_embedding_has_no_error(self):
        time_dict = annotation(("a", 6), ("SIL", 5), ("b", 3))
        one = video(get_trueprogress(time_dict)[:, None], time_dict)
        statistics = task_statistics([one, one])
        online = baselines.online_video_progress(one, statistics)[SOURCE]
        assert progress_error(online, one.progress) == pytest.approx(0, abs=1e-7)
        online = baselines.online_action_progress(one, statistics)[SOURCE]
        assert progress_error(online, one.action_progress, action_frames(time_dict)) == pytest.approx(
            0, abs=1e-6
        )

    def test_an_unseen_action_takes_the_mean_over_actions(self):
        training = [video(torch.arange(12.0)[:, None], annotation(("a", 4), ("b", 8)))]
        one = video(torch.arange(3.0)[:, None], annotation(("new", 3)))
        progress = baselines.online_action_progress(one, task_statistics(training))
        np.testing.assert_allclose(progress["clock"], np.arange(3) / 6)
        np.testing.assert_allclose(progress[SOURCE], np.arange(3) / 5)

    def test_training_videos_that_do_not_move_give_no_division_by_zero(self):
        still = video(torch.zeros(5, 2), annotation(("a", 5)))
        statistics = task_statistics([still])
        assert not baselines.online_video_progress(still, statistics)[SOURCE].any()
        moving = video(torch.arange(5.0)[:, None], annotation(("a", 5)))
        np.testing.assert_array_equal(
            baselines.online_video_progress(moving, statistics)[SOURCE], [0, 1, 1, 1, 1]
        )

    def test_no_training_video_is_refused(self):
        with pytest.raises(ValueError, match="training videos"):
            task_statistics([])


# Mean absolute errors over the test videos: constant, index, clock, t / T, raw path online, raw path offline;
# then inside actions: constant, clock, raw path. Without a split.json the first 13 of 20 videos train.
MEASURED = {
    "salads50": (".251 .100 .105 .048 .087 .051", ".255 .138 .162"),
    "salads50_accel": (".251 .100 .105 .048 .125 .076", ".255 .138 .172"),
    "openpack": (".251 .099 .102 .035 .086 .063", ".254 .117 .123"),
    "openpack_actions": (".243 .087 .087 .037 .081 .065", ".265 .137 .157"),
}


@pytest.mark.parametrize("name", MEASURED)
def test_the_known_errors_of_the_baselines_on_real_recordings(name):
    folder = real_data(name)
    ((_, content),) = json.loads((folder / f"{name}.json").read_text()).items()
    handles = content["handles"]
    training = handles[:13]
    if (folder / "split.json").is_file():
        training = json.loads((folder / "split.json").read_text())["train"]
    features = {h: np.load(folder / "features" / f"{h}.npy").astype(np.float64) for h in handles}
    stacked = np.concatenate([features[h] for h in training])
    mean, spread = stacked.mean(axis=0), stacked.std(axis=0) + 1e-8
    videos = {}
    for handle, steps, starts, ends in zip(
        handles, content["hdl_actions"], content["hdl_start_times"], content["hdl_end_times"], strict=True
    ):
        background = {"background", "Null", "Ignore"}
        time_dict = {
            "step": ["SIL" if step in background else step for step in steps],
            "start_frame": starts,
            "end_frame": [*(end - 1 for end in ends[:-1]), ends[-1]],
            "name": handle,
        }
        videos[handle] = video(torch.from_numpy((features[handle] - mean) / spread), time_dict, handle)
    statistics = task_statistics([videos[h] for h in training])
    over_video, in_action = [], []
    for one in (videos[h] for h in handles if h not in training):
        online, offline = (
            baselines.online_video_progress(one, statistics),
            baselines.offline_video_progress(one),
        )
        estimates = [online["constant 0.5"], online["mean truth at index"], online["clock"], offline["t / T"]]
        estimates += [online[SOURCE], offline[SOURCE]]
        over_video.append([progress_error(estimate, one.progress) for estimate in estimates])
        action, inside = baselines.online_action_progress(one, statistics), action_frames(one.time_dict)
        estimates = [action["constant 0.5"], action["clock"], action[SOURCE]]
        in_action.append([progress_error(estimate, one.action_progress, inside) for estimate in estimates])
    for measured, expected in zip((over_video, in_action), MEASURED[name], strict=True):
        np.testing.assert_allclose(
            np.mean(measured, axis=0), [float(x) for x in expected.split()], atol=0.0012
        )
