"""A whole task's figures against loops written from the definitions, by the libraries that the field uses."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC

from tests.utils.metrics.annotations import annotation, frame_labels, valid_frames
from utils.evaluation.task import evaluate_task
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, EmbeddedVideo
from utils.prediction.readouts import make_training_readout, run_readout
from utils.tensorops import get_trueprogress, get_trueprogress_per_action, path_length

TRAIN, TEST = 6, 4


def video(number):
    rng = np.random.default_rng(number)
    labels = ["SIL", *rng.permutation(list("abcd")), "a", "SIL", "b"]
    times = annotation(*((label, int(rng.integers(3, 9))) for label in labels))
    names = frame_labels(times)
    centres = {name: np.random.default_rng(ord(name[0])).normal(size=5) for name in "abcdS"}
    networks = {
        name: np.stack([centres[label[0]] for label in names]) + noise * rng.normal(size=(len(names), 5))
        for name, noise in ((TRAINED, 0.5), (UNTRAINED, 2.0))
    }
    embeddings = {name: torch.from_numpy(frames).float() for name, frames in networks.items()}
    return EmbeddedVideo(
        handle=f"video {number}",
        time_dict={**times, "name": f"video {number}"},
        progress=get_trueprogress(times).double().numpy(),
        action_progress=get_trueprogress_per_action(times).double().numpy(),
        paths={**{name: path_length(e) for name, e in embeddings.items()}, RAW: np.arange(len(names), dtype=float)},
        embeddings=embeddings,
    )


@pytest.fixture(scope="module")
def videos():
    return [video(number) for number in range(TRAIN)], [video(100 + number) for number in range(TEST)]


@pytest.fixture(scope="module")
def results(videos):
    return {(r.metric, r.variant): r for r in evaluate_task("task", *videos)}


def path(frames):
    return np.concatenate([[0], np.cumsum([np.linalg.norm(b - a) for a, b in itertools.pairwise(frames)])])


def actions(one):
    """(label, first frame, last frame) of each action."""
    segments = zip(*(one.time_dict[key] for key in ("step", "start_frame", "end_frame")), strict=True)
    return [segment for segment in segments if segment[0] != "SIL"]


def numpy_of(one, network):
    return one.embeddings[network].double().numpy()


@pytest.mark.parametrize("network", [TRAINED, UNTRAINED])
class TestProgress:
    def test_online_over_the_video(self, videos, results, network):
        train, test = videos
        total = np.mean([path(numpy_of(v, network))[-1] for v in train])
        expected = [
            np.mean([abs(min(1, p / total) - y) for p, y in zip(path(numpy_of(v, network)), v.progress, strict=True)])
            for v in test
        ]
        found = results["OPE_video_online", network]
        np.testing.assert_allclose(list(found.values.values()), expected, atol=1e-6)
        assert found.mean == pytest.approx(np.mean(expected), abs=1e-6)

    def test_online_inside_each_action(self, videos, results, network):
        train, test = videos
        totals: dict = {}
        for v in train:
            for label, first, last in actions(v):
                totals.setdefault(label, []).append(path(numpy_of(v, network)[first : last + 1])[-1])
        expected = []
        for v in test:
            errors = []
            for label, first, last in actions(v):
                predicted = path(numpy_of(v, network)[first : last + 1]) / np.mean(totals[label])
                truth = np.linspace(0, 1, last - first + 1)
                errors += [abs(min(1, p) - y) for p, y in zip(predicted, truth, strict=True)]
            expected.append(np.mean(errors))
        found = results["OPE_action_online", network]
        np.testing.assert_allclose(list(found.values.values()), expected, atol=1e-6)

    @pytest.mark.parametrize("name", ["neighbours", "alignment"])
    def test_the_other_readouts_know_training_videos_alone(self, videos, results, network, name):
        train, test = videos
        readout = make_training_readout(name, [numpy_of(v, network) for v in train], [v.progress for v in train])
        expected = [np.mean(abs(run_readout(readout, numpy_of(v, network)) - v.progress)) for v in test]
        found = results["OPE_video_online", name if network == TRAINED else f"{name}, {network}"]
        np.testing.assert_allclose(list(found.values.values()), expected, atol=1e-6)


@pytest.mark.parametrize("variant", [TRAINED, UNTRAINED, "clock"])
class TestAlignment:
    """Over ordered pairs of different test videos."""

    @staticmethod
    def neighbours(first, second, variant):
        if variant == "clock":
            return [min(i, len(second.progress) - 1) for i in range(len(first.progress))]
        distance = np.linalg.norm(numpy_of(first, variant)[:, None] - numpy_of(second, variant)[None], axis=2)
        return distance.argmin(axis=1).tolist()

    def pairs(self, videos, variant):
        for first, second in itertools.permutations(videos[1], 2):
            yield first, second, self.neighbours(first, second, variant)

    def test_kendalls_tau(self, videos, results, variant):
        taus = [kendalltau(np.arange(len(found)), found).statistic for *_, found in self.pairs(videos, variant)]
        assert results["KT", variant].mean == pytest.approx(np.mean(taus))

    def test_kendalls_tau_in_the_wild(self, videos, results, variant):
        taus = []
        for first, second, found in self.pairs(videos, variant):
            sets = {i: valid_frames(first.time_dict, second.time_dict, i) for i in range(len(found))}
            score = pairs = 0
            for i, j in itertools.combinations([i for i, frames in sets.items() if frames], 2):
                pairs += 1
                order = np.sign(found[j] - found[i])
                possible = {np.sign(b - a) for a in sets[i] for b in sets[j]}
                score += 1 if order in possible else -1 if order and possible == {-order} else 0
            taus.append(score / pairs)
        assert results["KTW", variant].mean == pytest.approx(np.mean(taus))

    @pytest.mark.parametrize("monotonic", [False, True])
    def test_enclosed_area_error(self, videos, results, variant, monotonic):
        errors = []
        for first, second, found in self.pairs(videos, variant):
            shared = {label for label, *_ in actions(first)} & {label for label, *_ in actions(second)}
            counts = [monotonic or label in shared for label in frame_labels(second.time_dict)]
            area = alignable = 0
            for i, j in enumerate(found):
                if valid := valid_frames(first.time_dict, second.time_dict, i):
                    alignable += 1
                    area += min(sum(counts[k] for k in range(min(j, v), max(j, v) + 1) if k != v) for v in valid)
            errors.append(area / (alignable * sum(counts)))
        found = results["EAE_monotonic" if monotonic else "EAE", variant]
        assert found.mean == pytest.approx(np.mean(errors))


@pytest.mark.parametrize("network", [TRAINED, UNTRAINED])
class TestFitted:
    """On training videos, scored on test videos."""

    def test_progression(self, videos, results, network):
        train, test = videos
        model = LinearRegression().fit(
            np.concatenate([numpy_of(v, network) for v in train]), np.concatenate([v.progress for v in train])
        )
        expected = [model.score(numpy_of(v, network), v.progress) for v in test]
        np.testing.assert_allclose(list(results["PHP", network].values.values()), expected, atol=1e-6)

    @pytest.mark.parametrize(("metric", "labelled"), [("PC_10", [0]), ("PC_50", [0, 2, 4]), ("PC_100", range(6))])
    def test_classification(self, videos, results, network, metric, labelled):
        train, test = ([(numpy_of(v, network), np.array(frame_labels(v.time_dict))) for v in part] for part in videos)
        frames, labels = (np.concatenate([train[i][k] for i in labelled]) for k in (0, 1))
        frames, labels = frames[labels != "SIL"], labels[labels != "SIL"]
        mean, spread = frames.mean(axis=0), frames.std(axis=0)
        machine = LinearSVC(dual=False, tol=1e-9, max_iter=100_000).fit((frames - mean) / spread, labels)
        expected = [
            (machine.predict((x - mean) / spread) == y)[y != "SIL"].mean() for x, y in test
        ]
        np.testing.assert_allclose(list(results[metric, network].values.values()), expected)
