import itertools
import math

import numpy as np
import pytest
import torch

from tests.prediction_runs import (
    TASKS,
    WIDTH,
    embedded_training_videos,
    recording,
    small_config,
    small_model,
    write_checkpoint,
)
from utils.ckpt_save import load_checkpoint
from utils.errors import CheckpointError, DataError
from utils.prediction.predictor import ProgressPredictor
from utils.prediction.readouts import READOUTS, READOUTS_OF_TRAINING_VIDEOS, PathReadout, make_training_readout
from utils.prediction.training_embeddings import training_embeddings_path
from utils.tensorops import get_cum_matrix

ENCODERS = list(itertools.product(("temporal_stacking", "naive", "resnet50"), (True, False), (True, False)))
FRAMES = 36


@pytest.fixture(autouse=True)
def a_folder_without_data(tmp_path, monkeypatch):
    """A data set where the command runs would be compared with the one that the embeddings were made from."""
    monkeypatch.chdir(tmp_path)


def make_predictor(architecture, crosstask, causal, readout, skip_rate=1):
    model = small_model(small_config(architecture, crosstask, causal))
    if readout == "path":
        way = PathReadout(60.0)
    else:
        videos = embedded_training_videos(model, architecture)
        way = make_training_readout(readout, videos.embeddings, videos.progress)
    rank = 4 if architecture == "resnet50" else 2
    return ProgressPredictor(model, way, WIDTH, rank, skip_rate=skip_rate)


def streamed(predictor, features, size):
    stream = predictor.stream()
    parts = [stream.update(features[i : i + size]) for i in range(0, len(features), size)]
    return np.concatenate([*parts, stream.finish()])


@pytest.mark.parametrize(("architecture", "crosstask", "causal"), ENCODERS)
@pytest.mark.parametrize("readout", READOUTS)
class TestStream:
    def test_equals_the_whole_recording(self, architecture, crosstask, causal, readout):
        predictor = make_predictor(architecture, crosstask, causal, readout)
        features = recording(1, FRAMES, architecture)
        whole = predictor.predict(features)
        assert whole.shape == (FRAMES,)
        assert np.ptp(whole) > 0.01
        for size in (1, 3, 17):
            np.testing.assert_allclose(streamed(predictor, features, size), whole, atol=1e-5)

    def test_the_future_moves_nothing_and_the_lag_is_as_stated(self, architecture, crosstask, causal, readout):
        predictor = make_predictor(architecture, crosstask, causal, readout)
        features = recording(1, FRAMES, architecture)
        changed = features.clone()
        changed[25:] += 3
        ahead = predictor.frames_ahead
        assert ahead == 0 if causal or architecture == "naive" else ahead > 0
        before, after = predictor.predict(features), predictor.predict(changed)
        np.testing.assert_allclose(before[: 25 - ahead], after[: 25 - ahead], atol=1e-6)
        assert abs(before - after).max() > 1e-4
        stream = predictor.stream()
        assert len(stream.update(features[:25])) == stream.frames_given == 25 - ahead


class TestStreamOfOneRecording:
    @pytest.mark.parametrize("causal", [True, False])
    @pytest.mark.parametrize("size", [1, 3, 17])
    def test_equals_the_whole_recording_where_frames_are_skipped(self, causal, size):
        predictor = make_predictor("temporal_stacking", False, causal, "path", skip_rate=3)
        features = recording(1, FRAMES)
        np.testing.assert_allclose(streamed(predictor, features, size), predictor.predict(features), atol=1e-5)

    def test_memory_is_that_of_the_context(self):
        predictor = make_predictor("temporal_stacking", True, False, "path")
        model, stream = predictor.model, predictor.stream()
        sizes = set()
        for frame in recording(1, 200):
            stream.update(frame)
            sizes.add(stream._window.untyped_storage().nbytes() // (4 * WIDTH))
        assert max(sizes) == model.frames_behind + model.frames_ahead
        stream.update(recording(2, 500))
        assert stream._window.untyped_storage().nbytes() // (4 * WIDTH) == max(sizes)

    def test_a_refused_frame_changes_nothing(self):
        predictor = make_predictor("temporal_stacking", False, True, "path")
        features, stream = recording(1, FRAMES), predictor.stream()
        first = stream.update(features[:10])
        broken = features[10:12].clone()
        broken[1, 2] = math.nan
        with pytest.raises(DataError, match="nan at frame 11, feature 2"):
            stream.update(broken)
        with pytest.raises(DataError, match="shape"):
            stream.update(features[:, :3])
        rest = stream.update(features[10:])
        np.testing.assert_allclose(np.concatenate([first, rest]), predictor.predict(features), atol=1e-5)

    def test_lists_and_arrays_are_alike(self):
        predictor = make_predictor("temporal_stacking", False, True, "path")
        features = recording(1, 12)
        expected = predictor.predict(features.numpy())
        np.testing.assert_allclose(predictor.predict(features.tolist()), expected, atol=1e-6)
        stream = predictor.stream()
        parts = [stream.update(frame) for frame in features[:4].tolist()]
        parts += [stream.update(features[4:8].tolist()), stream.update(list(features[8].numpy()))]
        parts += [stream.update([frame.numpy() for frame in features[9:]])]
        np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)
        for wrong in ([], [[]], ["a"] * WIDTH, "text", 3.5, [[1.0] * WIDTH, [1.0]], None):
            with pytest.raises(DataError, match="the features"):
                stream.update(wrong)
        assert stream.frames_received == 12

    def test_an_empty_chunk_is_no_frame(self):
        stream = make_predictor("temporal_stacking", False, False, "path", 2).stream()
        assert len(stream.update(np.zeros((0, WIDTH)))) == 0
        with pytest.raises(DataError, match="no frame"):
            stream.finish()
        assert len(stream.update(recording(1, 1))) == 0
        assert len(stream.finish()) == 1

    def test_a_finished_stream_takes_nothing_more(self):
        stream = make_predictor("naive", False, True, "path").stream()
        stream.update(recording(1, 3))
        assert len(stream.finish()) == 0
        for call in (stream.finish, lambda: stream.update(recording(1, 1))):
            with pytest.raises(DataError, match="finished"):
                call()

    def test_interleaved_attention_cannot_be_streamed_but_predicts(self):
        config = small_config(causal=False)
        config["ARCHITECTURE"]["attention_layout"] = "interleaved"
        predictor = ProgressPredictor(small_model(config), PathReadout(10.0), WIDTH)
        assert predictor.frames_ahead == math.inf
        assert predictor.predict(recording(1, 20)).shape == (20,)
        with pytest.raises(CheckpointError, match=r"can't be streamed.*interleaved"):
            predictor.stream()


class TestFromCheckpoint:
    def test_follows_the_formula(self, tmp_path):
        path = write_checkpoint(tmp_path)
        features = recording(3, FRAMES)
        embedding = small_model(small_config())([(features - 0.5) / 2.0])["outputs"][0].detach()
        for task, normalizer in (("cook", 20.0), ("serve", 40.0), (None, 30.0)):
            expected = (get_cum_matrix(embedding) / normalizer).clamp(max=1)
            given = ProgressPredictor.from_checkpoint(path, task).predict(features)
            np.testing.assert_allclose(given, expected, atol=1e-5)

    def test_frames_in_between_have_the_progress_of_the_last_one_seen(self, tmp_path):
        thinned = ProgressPredictor.from_checkpoint(write_checkpoint(tmp_path, small_config(SKIP_RATE=3)))
        every = ProgressPredictor.from_checkpoint(write_checkpoint(tmp_path))
        features = recording(3, FRAMES)
        expected = np.repeat(every.predict(features[::3]), 3)[:FRAMES]
        np.testing.assert_allclose(thinned.predict(features), expected, atol=1e-6)

    @pytest.mark.parametrize("readout", READOUTS_OF_TRAINING_VIDEOS)
    def test_a_task_chooses_its_training_videos(self, tmp_path, readout):
        path, features = write_checkpoint(tmp_path), recording(3, FRAMES)
        results = [
            ProgressPredictor.from_checkpoint(path, task, readout).predict(features) for task in (*TASKS, None)
        ]
        for one, other in itertools.combinations(results, 2):
            assert abs(one - other).max() > 1e-3

    def test_what_is_missing_is_named(self, tmp_path):
        path = write_checkpoint(tmp_path, embeddings=False, progress_normalizers={})
        with pytest.raises(CheckpointError, match=r"best_model_combined\.pt holds no progress_normalizers"):
            ProgressPredictor.from_checkpoint(path)
        with pytest.raises(FileNotFoundError, match=r"best_model_combined\.train_embeddings\.pt does not exist"):
            ProgressPredictor.from_checkpoint(path, readout="alignment")

    def test_unknown_names_are_refused(self, tmp_path):
        path = write_checkpoint(tmp_path)
        with pytest.raises(DataError, match="expected one of auto, path, neighbours, alignment"):
            ProgressPredictor.from_checkpoint(path, readout="paths")
        for readout in READOUTS:
            with pytest.raises(DataError, match="not trained on task 'cooks'; did you mean 'cook'"):
                ProgressPredictor.from_checkpoint(path, "cooks", readout)

    def test_embeddings_of_other_weights_are_refused(self, tmp_path):
        path = write_checkpoint(tmp_path)
        checkpoint = load_checkpoint(path)
        next(iter(checkpoint["model_state_dict"].values())).add_(1.0)
        torch.save(checkpoint, path)
        with pytest.raises(CheckpointError, match="other weights"):
            ProgressPredictor.from_checkpoint(path, readout="neighbours")

    @pytest.mark.parametrize("content", [b"", b"text", b"tensor", b"dict", b"frames"])
    def test_a_broken_embeddings_file_is_refused(self, tmp_path, content):
        path = write_checkpoint(tmp_path)
        file = training_embeddings_path(path)
        tasks = {"cook": {"embeddings": [torch.zeros(3, 4)], "progress": [torch.zeros(2)]}}
        broken = {
            b"tensor": torch.zeros(3), b"dict": {"tasks": {"cook": 3}}, b"frames": {"weights": "", "tasks": tasks}
        }
        if content in broken:
            torch.save(broken[content], file)
        else:
            file.write_bytes(content)
        with pytest.raises(CheckpointError, match="train_embeddings"):
            ProgressPredictor.from_checkpoint(path, readout="neighbours")


class TestHostileFeatures:
    @pytest.mark.parametrize(("features", "message"), [
        (np.zeros((10, 3)), r"shape \(10, 3\); expected \(frames, 5\)"),
        (np.zeros(5), "shape"),
        (np.zeros((0, WIDTH)), "no frame"),
        (np.zeros((3, WIDTH, 2)), "shape"),
        (np.full((3, WIDTH), np.inf), "inf at frame 0, feature 0"),
        (np.full((3, WIDTH), 1e300), "inf at frame 0"),
        (np.zeros((3, WIDTH), dtype=complex), "real numbers"),
        (np.array([["a"] * WIDTH] * 3), "real numbers"),
        (np.array([[None] * WIDTH] * 3), "real numbers"),
        (torch.ones(3, WIDTH, dtype=torch.bool), "real numbers"),
        ("recording.npy", "expected an array"),
    ])
    def test_is_refused_by_name(self, features, message):
        with pytest.raises(DataError, match=message):
            make_predictor("temporal_stacking", False, True, "path").predict(features)

    @pytest.mark.parametrize("dtype", ["int16", "uint16", "float16", ">f4", "float64"])
    def test_every_real_type_is_read(self, dtype):
        predictor = make_predictor("temporal_stacking", False, True, "path")
        features = (10 * recording(0, 20).numpy()).round().clip(0)
        np.testing.assert_allclose(predictor.predict(features.astype(dtype)), predictor.predict(features))

    @pytest.mark.parametrize("causal", [True, False])
    def test_one_frame_is_the_beginning(self, causal):
        assert make_predictor("temporal_stacking", True, causal, "path").predict(recording(0, 1)).tolist() == [0.0]
