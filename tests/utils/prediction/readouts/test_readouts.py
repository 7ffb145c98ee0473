import numpy as np
import pytest
import torch

from utils.prediction.readouts import AlignmentReadout, NeighboursReadout, PathReadout, TrainingReference, run_readout
from utils.tensorops import get_cum_matrix


def walk(seed, frames=40, width=3):
    return np.random.default_rng(seed).normal(size=(frames, width)).cumsum(axis=0)


def reference(videos=4, most_frames=4096):
    embeddings = [walk(seed, 20 + 7 * seed) for seed in range(videos)]
    return TrainingReference(embeddings, [np.linspace(0, 1, len(v)) for v in embeddings], most_frames)


READOUTS = {
    "path": lambda: PathReadout(300.0),
    "neighbours": lambda: NeighboursReadout(reference(), neighbours=5, smoothing=0.1),
    "alignment": lambda: AlignmentReadout(reference()),
    "alignment, thinned": lambda: AlignmentReadout(reference(most_frames=50)),
}


@pytest.fixture(params=READOUTS)
def readout(request):
    return READOUTS[request.param]()


class TestEveryReadout:
    def test_the_future_moves_nothing(self, readout):
        video = walk(10)
        changed = video.copy()
        changed[25:] = 100 * walk(11, 15)
        before, after = run_readout(readout, video), run_readout(readout, changed)
        np.testing.assert_allclose(before[:25], after[:25], atol=1e-12)
        assert abs(before[25:] - after[25:]).max() > 1e-3

    @pytest.mark.parametrize("size", [1, 3, 17])
    def test_cut_into_chunks_it_is_the_same(self, readout, size):
        video = walk(10, 300)  # more than one block
        state = readout.start()
        parts = [state.update(torch.from_numpy(video[i : i + size])) for i in range(0, 300, size)]
        np.testing.assert_allclose(np.concatenate(parts), run_readout(readout, video), atol=1e-9)

    def test_videos_do_not_touch_each_other(self, readout):
        first, second = readout.start(), readout.start()
        a, b = walk(1), walk(2)
        mixed = [(first.update(x[None]), second.update(y[None])) for x, y in zip(a, b, strict=True)]
        np.testing.assert_allclose(np.concatenate([m[0] for m in mixed]), run_readout(readout, a), atol=1e-9)
        np.testing.assert_allclose(np.concatenate([m[1] for m in mixed]), run_readout(readout, b), atol=1e-9)

    @pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e6])
    def test_stays_in_the_unit_interval(self, readout, scale):
        progress = run_readout(readout, scale * walk(5, 60))
        assert progress.shape == (60,)
        assert ((progress >= 0) & (progress <= 1)).all()

    def test_no_frame_gives_no_progress(self, readout):
        state = readout.start()
        assert state.update(np.zeros((0, 3))).shape == (0,)
        assert state.update(walk(0)[:1]).shape == (1,)
        assert state.update(np.zeros((0, 3))).shape == (0,)


class TestPath:
    def test_is_the_path_length_over_the_normaliser(self):
        video = torch.from_numpy(walk(3))
        expected = (get_cum_matrix(video) / 20).clamp(max=1)
        np.testing.assert_allclose(run_readout(PathReadout(20.0), video), expected, atol=1e-12)

    def test_a_normaliser_of_zero(self):
        video = np.array([[0.0], [0.0], [1.0], [1.0]])
        assert run_readout(PathReadout(0.0), video).tolist() == [0, 0, 1, 1]

    @pytest.mark.parametrize("normalizer", [-1.0, np.nan, np.inf])
    def test_a_normaliser_that_is_none_is_refused(self, normalizer):
        with pytest.raises(ValueError, match="normaliser"):
            PathReadout(normalizer)


class TestNeighbours:
    def test_equals_the_formula_frame_by_frame(self):
        ref, video, k = reference(), walk(7), 5
        rate = 1 / (1 + 0.1 * ref.mean_length)
        smooth = None
        for frame, given in zip(video, run_readout(NeighboursReadout(ref, k, 0.1), video), strict=True):
            squared = ((ref.frames - frame) ** 2).sum(axis=1)
            order = np.argsort(squared)
            weights = [max(0, 1 - squared[i] / squared[order[k]]) for i in order[:k]]
            raw = sum(w * ref.progress[i] for w, i in zip(weights, order[:k], strict=True)) / sum(weights)
            smooth = raw if smooth is None else smooth + rate * (raw - smooth)
            assert given == pytest.approx(smooth, abs=1e-9)

    def test_finds_the_truth_of_a_training_frame(self):
        ref = reference()
        readout = NeighboursReadout(ref, neighbours=1, smoothing=0.0)
        np.testing.assert_allclose(run_readout(readout, ref.frames), ref.progress, atol=1e-9)

    def test_frames_that_are_all_equally_far_count_the_same(self):
        ref = TrainingReference([np.zeros((4, 2))], [np.full(4, 0.3)])
        np.testing.assert_allclose(run_readout(NeighboursReadout(ref), np.ones((3, 2))), 0.3)

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("distance", [0.0, 2.0])
    def test_copies_beyond_the_number_of_neighbours_all_count_the_same(self, distance):
        copies = np.concatenate([np.zeros((30, 2)), 50 + walk(3, 20, 2)])
        truth = np.concatenate([np.linspace(0, 1, 30), np.zeros(20)])
        readout = NeighboursReadout(TrainingReference([copies], [truth]), neighbours=4)
        np.testing.assert_allclose(run_readout(readout, np.full((3, 2), distance)), truth[:30].mean())

    @pytest.mark.parametrize("frames", [2, 3, 50, 700])
    @pytest.mark.parametrize("neighbours", [1, 4, 16, 1000])
    def test_candidates_hold_the_nearest_whatever_the_sizes(self, frames, neighbours):
        rng = np.random.default_rng(frames)
        embeddings, truth = rng.normal(size=(frames, 2)).round(1), rng.random(frames)
        readout = NeighboursReadout(TrainingReference([embeddings], [truth]), neighbours, smoothing=0.0)
        video, k = rng.normal(size=(9, 2)), min(neighbours, frames - 1)
        for given, frame in zip(readout.regress(video), video, strict=True):
            squared = ((embeddings - frame) ** 2).sum(axis=1)
            weights = np.maximum(0, 1 - squared / np.sort(squared)[k])
            if not (weights > 1e-9).any():
                weights = squared <= np.sort(squared)[k] + 1e-12
            assert given == pytest.approx((weights * truth).sum() / weights.sum(), abs=1e-6)

    def test_a_single_training_frame(self):
        ref = TrainingReference([np.zeros((1, 2))], [np.array([0.7])])
        np.testing.assert_allclose(run_readout(NeighboursReadout(ref), np.ones((3, 2))), 0.7)


class TestAlignment:
    def test_equals_the_recursion_cell_by_cell(self):
        ref, video, patience = reference(3), walk(7, 12), 5.0
        given = run_readout(AlignmentReadout(ref, patience), video)
        starts = np.cumsum(ref.lengths) - ref.lengths
        cells: dict = {}
        for t, frame in enumerate(video):
            for v, (start, length) in enumerate(zip(starts, ref.lengths, strict=True)):
                for j in range(length):
                    cost = np.linalg.norm(frame - ref.frames[start + j])
                    ways = [cells.get((t - 1, v, j - step), np.inf) for step in (0, 1, 2)]
                    cells[t, v, j] = cost + (min(ways) if t else 0.0 if j == 0 else np.inf)
            column = np.array([cells[t, v, j] for v, n in enumerate(ref.lengths) for j in range(n)])
            weights = np.exp(-(column - column.min()) / (patience * column.min() / (t + 1)))
            assert given[t] == pytest.approx((weights * ref.progress).sum() / weights.sum(), abs=1e-9)

    def test_a_thinned_reference_is_matched_with_a_thinned_video(self):
        ref, video = reference(4, most_frames=50), walk(7)
        same = TrainingReference(np.split(ref.frames, np.cumsum(ref.lengths)[:-1]),
                                 np.split(ref.progress, np.cumsum(ref.lengths)[:-1]))
        assert ref.step == 3
        expected = np.repeat(run_readout(AlignmentReadout(same), video[::3]), 3)[: len(video)]
        np.testing.assert_allclose(run_readout(AlignmentReadout(ref), video), expected, atol=1e-9)

    @pytest.mark.parametrize("speed", [0.5, 1.0, 1.5])
    def test_follows_a_training_video_at_another_speed(self, speed):
        times = np.linspace(0, 1, 200)
        curve = np.stack([np.cos(5 * times), np.sin(5 * times), times], axis=1)
        ref = TrainingReference([curve], [times])
        position = np.minimum(np.arange(int(200 / speed)) * speed, 199)
        video = np.stack([np.interp(position, np.arange(200), curve[:, d]) for d in range(3)], axis=1)
        progress = run_readout(AlignmentReadout(ref), video)
        assert abs(progress - position / 199).max() < 0.03

    def test_waits_where_the_video_pauses(self):
        times = np.linspace(0, 1, 100)
        curve = np.stack([10 * times, np.sin(9 * times)], axis=1)
        video = np.concatenate([curve[:50], np.repeat(curve[49:50], 80, axis=0), curve[50:]])
        progress = run_readout(AlignmentReadout(TrainingReference([curve], [times])), video)
        truth = np.concatenate([times[:50], np.full(80, times[49]), times[50:]])
        assert abs(progress - truth).max() < 0.05


class TestReference:
    def test_long_training_sets_are_thinned(self):
        ref = reference(4, most_frames=30)
        assert len(ref.frames) <= 30 + len(ref.lengths)
        assert ref.lengths.sum() == len(ref.frames) == len(ref.progress)
        firsts = np.cumsum(ref.lengths) - ref.lengths
        assert (ref.progress[firsts] == 0).all()

    def test_columns_leave_a_gap_of_infinite_distance_before_each_video(self):
        ref = reference(3, most_frames=40)
        frames = walk(9, 5)
        plain, spaced = ref.squared_distances(frames), ref.squared_distances(frames, gap=2)
        columns = ref.columns(gap=2)
        assert spaced.shape == (5, plain.shape[1] + 2 * 3)
        np.testing.assert_allclose(spaced[:, columns], plain)
        assert np.isinf(np.delete(spaced, columns, axis=1)).all()
        firsts = np.cumsum(ref.lengths) - ref.lengths
        assert columns[firsts].tolist() == [first + 2 * (i + 1) for i, first in enumerate(firsts)]

    def test_distances_are_exact_far_from_the_origin(self):
        ref = TrainingReference([walk(0) + 1e6], [np.zeros(40)])
        frames = walk(1) + 1e6
        expected = ((frames[:, None] - ref.frames[None]) ** 2).sum(axis=2)
        np.testing.assert_allclose(ref.squared_distances(frames), expected, rtol=1e-8, atol=1e-8)

    def test_what_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match="at least one training video"):
            TrainingReference([], [])
        with pytest.raises(ValueError, match="for every frame"):
            TrainingReference([np.zeros((3, 2))], [np.zeros(2)])
        with pytest.raises(ValueError, match="width"):
            run_readout(AlignmentReadout(reference()), np.zeros((3, 5)))

    @pytest.mark.parametrize("make", [
        lambda: NeighboursReadout(reference(), neighbours=0),
        lambda: NeighboursReadout(reference(), smoothing=-1.0),
        lambda: AlignmentReadout(reference(), patience=0.0),
    ])
    def test_settings_out_of_range_are_refused(self, make):
        with pytest.raises(ValueError, match="expected"):
            make()


@pytest.mark.parametrize("neighbours", [1, 16, 100])
@pytest.mark.parametrize("levels", [3, 100, None])
def test_neighbours_of_many_frames_by_a_loop(neighbours, levels):
    """Of more training frames than are ordered at once, with many equal distances and with none."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.normal(size=shape) if levels is None else rng.integers(levels, size=shape).astype(float)

    videos, progress = [draw(230, 2) for _ in range(3)], [rng.random(230) for _ in range(3)]
    readout = NeighboursReadout(TrainingReference(videos, progress), neighbours)
    frames, truth, seen = np.concatenate(videos), np.concatenate(progress), draw(40, 2)
    for frame, found in zip(seen, readout.regress(seen), strict=True):
        squares = ((frames - frame) ** 2).sum(axis=1)
        edge = np.sort(squares)[neighbours]
        weights = np.maximum(0, 1 - squares / edge) if edge > 0 else np.zeros(len(squares))
        if weights.sum() > 1e-9:
            assert found == pytest.approx(weights @ truth / weights.sum(), abs=1e-9)
        else:  # all at the edge, which rounding may put before or behind one another
            assert truth[squares <= edge].min() <= found <= truth[squares <= edge].max()
