"""Progress models as files: they come back as they were, and nothing else does."""

import copy
import pickle
import random
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.labelled_recordings import WIDTH, recordings_of
from tests.utils.prediction.progress.test_candidates import NAMES
from tests.utils.prediction.progress.test_model import assert_possible
from utils.errors import CheckpointError, MissingFileError
from utils.prediction.progress.files import (
    CONTENT,
    DEEPEST_TREE,
    VERSION,
    holds_models,
    load_models,
    models_of,
    save_models,
)
from utils.prediction.progress.model import fit_progress


def content_of(model, tmp_path, **extra):
    """What `save_models` writes."""
    return torch.load(save_models({"task": model}, tmp_path / "whole.pt", **extra), weights_only=True)


def refused(content, path="a/model.pt"):
    """The message with which a content is refused, which names the file."""
    with pytest.raises(CheckpointError) as error:
        models_of(content, path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    return str(error.value)


def accepted_or_refused(load, path):
    """What is loaded; None if it is refused with a message that names the file."""
    try:
        return load()
    except CheckpointError as error:
        message = str(error)
    assert message.startswith(str(path))
    return None


@pytest.mark.parametrize("name", NAMES)
def test_every_model_comes_back_as_it_was(model_of, name, tmp_path, new_recordings):
    model = model_of(name)
    path = save_models({"task": model, "other": model_of("index")}, tmp_path / "models.pt", made_from={"a": [1, "b"]})
    loaded, extra = load_models(path)
    assert list(loaded) == ["task", "other"]
    assert extra == {"made_from": {"a": [1, "b"]}}
    for recording in new_recordings[:2]:
        for frames in (recording.frames, 1e6 * recording.frames):
            assert (loaded["task"].predict(frames).rows == model.predict(frames).rows).all()
    for attribute in ("name", "input", "labels", "width", "stuck_limit", "frame_rate"):
        assert getattr(loaded["task"], attribute) == getattr(model, attribute)
    assert np.mean(loaded["task"].report["errors"][name]) == np.mean(model.report["errors"][name])
    # Written again, it is the same file.
    again = torch.load(save_models(loaded, tmp_path / "again.pt"), weights_only=True)
    first = torch.load(path, weights_only=True)
    assert_equal_content(again[CONTENT], first[CONTENT])


def test_a_filter_that_two_heads_read_is_one_in_the_file_too(model_of, tmp_path):
    model = model_of("mean of all")
    for own in (model, load_models(save_models({"task": model}, tmp_path / "models.pt"))[0]["task"]):
        heads = own.readout.heads
        assert heads[0] is heads[2].position
        assert heads[1].position is None


def assert_equal_content(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_equal_content(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_equal_content(first, second)
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    else:
        assert one == other


def test_a_file_from_before_ends_were_looked_at_is_read(model_of, tmp_path, new_recordings):
    content = content_of(model_of("filter"), tmp_path)
    removed("end")(content)
    torch.save(content, tmp_path / "older.pt")
    loaded, _ = load_models(tmp_path / "older.pt")
    frames, expected = new_recordings[0].frames, replace(model_of("filter"), end=None)
    assert loaded["task"].end is None
    assert (loaded["task"].predict(frames).rows == expected.predict(frames).rows).all()


@pytest.mark.parametrize("number", [2, 5])
def test_models_of_odd_recordings_come_back_too(number, tmp_path):
    """Two recordings, and such as are shorter than a chunk."""
    own = recordings_of(number) if number == 2 else recordings_of(number, longest=1)
    model = fit_progress(own)
    loaded, _ = load_models(save_models({"a": model}, tmp_path / "models.pt"))
    frames = recordings_of(1, first=9)[0].frames
    assert (loaded["a"].predict(frames).rows == model.predict(frames).rows).all()


class TestForeignFiles:
    def test_no_file(self, tmp_path):
        for path in (tmp_path / "none.pt", tmp_path):
            with pytest.raises(MissingFileError, match=re.escape(str(path))):
                load_models(path)

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
    def test_a_file_that_was_cut_off(self, model_of, tmp_path, share):
        path = save_models({"a": model_of("index")}, tmp_path / "models.pt")
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(CheckpointError, match=re.escape(str(path))):
            load_models(path)

    @pytest.mark.parametrize("where", range(0, 100, 9))
    def test_a_flipped_bit(self, model_of, tmp_path, where):
        path = save_models({"a": model_of("filter")}, tmp_path / "models.pt")
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) * where // 100] ^= 16
        path.write_bytes(bytes(damaged))
        loaded = accepted_or_refused(lambda: load_models(path), path)
        if loaded is not None:  # in bytes that hold nothing, such as the padding between entries
            expected = model_of("filter").predict(np.ones((50, WIDTH))).rows
            assert (loaded[0]["a"].predict(np.ones((50, WIDTH))).rows == expected).all()

    @pytest.mark.parametrize("content", [
        b"", b"frame,progress\n0,0.5\n", pickle.dumps({"progress_models": {}}), b"PK\x03\x04" + 50 * b"\0",
    ])  # fmt: skip
    def test_another_kind_of_file(self, tmp_path, content):
        path = tmp_path / "models.pt"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=re.escape(str(path))):
            load_models(path)

    def test_nothing_in_it_is_executed(self, tmp_path):
        mark = tmp_path / "executed"

        class Evil:
            def __reduce__(self):
                return (mark.touch, ())

        for content in ({CONTENT: Evil(), "version": VERSION}, {CONTENT: {"a": {"kind": Evil()}}, "version": VERSION}):
            path = tmp_path / "evil.pt"
            torch.save(content, path)
            with pytest.raises(CheckpointError, match=re.escape(str(path))):
                load_models(path)
        assert not mark.exists()

    @pytest.mark.parametrize("content", [
        None, 3, [], {}, {"config": {}}, {CONTENT: None, "version": VERSION}, {CONTENT: {}, "version": VERSION},
        {CONTENT: [1], "version": VERSION}, torch.zeros(3),
    ])  # fmt: skip
    def test_no_progress_models(self, content):
        assert "holds no progress models" in refused(content)

    def test_holds_models(self, model_of, tmp_path):
        assert holds_models(content_of(model_of("index"), tmp_path))
        assert not any(map(holds_models, (None, [], {}, {"config": {}}, CONTENT)))


@pytest.fixture
def content(model_of, tmp_path):
    """The content of a file whose model has every kind of part but the read-outs by frame."""
    return content_of(model_of("mean of all"), tmp_path)


def model_in(content):
    return content[CONTENT]["task"]


def forest_of(content):
    """The one without a filter beside it."""
    return next(head["forest"] for head in model_in(content)["readout"]["heads"] if head["kind"] == "EvidenceReadout")


def filter_of(content):
    return next(head for head in model_in(content)["readout"]["heads"] if head["kind"] == "PositionFilter")


def a_split(forest):
    """One that few inputs reach."""
    return int((forest["feature"] >= 0).nonzero()[-1, 0])


def set_at(key, value, index=None):
    """A change of a field of the first forest."""

    def change(content):
        forest = forest_of(content)
        if index is None:
            forest[key] = value
        else:
            forest[key][a_split(forest) if index == "split" else index] = value

    return change


def put(*way):
    """A change of the field at the end of a way through the model."""

    def change(content):
        place = model_in(content)
        for key in way[:-2]:
            place = place[key]
        place[way[-2]] = way[-1]

    return change


def removed(*way):
    def change(content):
        place = model_in(content)
        for key in way[:-1]:
            place = place[key]
        del place[way[-1]]

    return change


TAMPERED = {
    "another version": lambda content: content.update(version=VERSION + 1),
    "no version": lambda content: content.pop("version"),
    "no model": lambda content: content[CONTENT].update(task=None),
    "a number": lambda content: content[CONTENT].update(task=3),
    "infinity in an array": lambda content: model_in(content)["scale"]["mean"].fill_(float("inf")),
    "a number instead of an array": put("steps", "recogniser", "class_means", 0.0),
    "no frame in a second": put("frame_rate", 0.0),
    "a negative prior": lambda content: model_in(content)["steps"]["recogniser"]["prior"].neg_(),
    "a segment that does not exist": lambda content: filter_of(content)["segment"].add_(1),
    "an end before its state": lambda content: filter_of(content)["lasts"].zero_(),
    "recordings that begin at one state": lambda content: filter_of(content)["firsts"].zero_(),
    "ends of another width": put("end", "mean", torch.zeros(WIDTH + 1, dtype=torch.float64)),
    "no ends": lambda content: model_in(content)["end"].update(places=torch.zeros(0, WIDTH, dtype=torch.float64)),
    "a negative distance of ends": put("end", "limit", -1.0),
    "another kind of ends": put("end", "kind", "Interval"),
    "another kind": put("kind", "ChunkScale"),
    "an unknown kind": put("kind", "Evil"),
    "a kind that is no text": put("kind", ["ProgressModel"]),
    "kind of the scale": put("scale", "kind", "Interval"),
    "no scale": put("scale", None),
    "no read-out": put("readout", None),
    "a missing field": removed("interval"),
    "a missing field of a part": removed("scale", "mean"),
    "a missing part": removed("readout", "heads"),
    "no heads": put("readout", "heads", []),
    "NaN": put("stuck_limit", float("nan")),
    "NaN in an array": lambda content: model_in(content)["scale"]["mean"].fill_(float("nan")),
    "chunks of no frame": put("scale", "length", 0),
    "chunks of a negative length": put("scale", "length", -3),
    "chunks of half a frame": put("scale", "length", 1.5),
    "endless chunks": put("scale", "length", 10**9),
    "recordings of no length": put("scale", "mean_length", 0.0),
    "recordings of a negative length": put("scale", "mean_length", -5.0),
    "a path of no length": put("scale", "mean_path", 0.0),
    "a scale of another width": put("scale", "mean", torch.zeros(WIDTH + 1, dtype=torch.float64)),
    "a deviation of 0": lambda content: model_in(content)["scale"]["deviation"].zero_(),
    "an interval of another size": put("interval", "lower", torch.zeros(3, dtype=torch.float64)),
    "a remaining time of another size": put("remaining", "frames", torch.zeros(3, dtype=torch.float64)),
    "labels that are too few": put("steps", "labels", ["a"]),
    "labels that are no text": put("steps", "labels", [1, 2, 3, 4]),
    "a child that does not exist": set_at("left", 10**6, "split"),
    "a child before the first": set_at("right", -1, "split"),
    "an input that does not exist": set_at("feature", 10**6, "split"),
    "a root that does not exist": set_at("roots", 10**8, 0),
    "a leaf that does not exist": set_at("leaf", 10**8, -1),
    "no roots": set_at("roots", torch.zeros(0, dtype=torch.int32)),
    "trees of huge depth": set_at("depth", 10**9),
    "trees just too deep": set_at("depth", DEEPEST_TREE + 1),
    "trees of negative depth": set_at("depth", -1),
    "a depth that is no number": set_at("depth", "3"),
    "masses of another size": set_at("mass", torch.zeros(1000, 7, dtype=torch.float16)),
    "complex numbers": put("scale", "mean", torch.zeros(WIDTH, dtype=torch.complex64)),
    "half precision that numpy lacks": put("scale", "mean", torch.zeros(WIDTH, dtype=torch.bfloat16)),
    "a sparse array": put("scale", "mean", torch.zeros(WIDTH).to_sparse()),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_tampered_file_is_refused(content, kind):
    models_of(content, "a/model.pt")
    TAMPERED[kind](content)
    message = refused(content)
    if "version" in kind:
        assert "fit them again" in message
    else:
        assert "task 'task': not a progress model" in message


READOUTS_BY_FRAME = {
    "a curve that leaves [0, 1]": ("index", lambda readout: readout["curve"].add_(3)),
    "an empty curve": ("clock", lambda readout: readout.update(curve=torch.zeros(0, dtype=torch.float64))),
    "a negative normaliser": ("path", lambda readout: readout["readout"].update(normalizer=-1.0)),
    "lengths that do not fit": ("neighbours", lambda readout: readout["readout"]["reference"]["lengths"].add_(1)),
    "a step of 0": ("alignment", lambda readout: readout["readout"]["reference"].update(step=0)),
    "a step of -3": ("alignment", lambda readout: readout["readout"]["reference"].update(step=-3)),
}


@pytest.mark.parametrize("kind", READOUTS_BY_FRAME)
def test_a_tampered_read_out_is_refused(model_of, tmp_path, kind):
    name, change = READOUTS_BY_FRAME[kind]
    content = content_of(model_of(name), tmp_path)
    change(model_in(content)["readout"])
    assert "not a progress model" in refused(content)


def fields_of(place, way=()):
    """Every field of a content, as the way to it."""
    items = place.items() if isinstance(place, dict) else enumerate(place) if isinstance(place, list) else ()
    for key, value in items:
        yield (*way, key)
        yield from fields_of(value, (*way, key))


ODD_VALUES = (
    None, True, 0, -1, 1, 3, 2**40, 0.5, -1e308, float("inf"), "", "index", [], {}, [1, 2], {"kind": "PathReadout"},
)  # fmt: skip


def flipped(content, rng):
    """One field of the model with another value; of an array one number, its size, or its kind."""
    way = rng.choice([way for way in fields_of(model_in(content)) if "report" not in way])
    place = model_in(content)
    for key in way[:-1]:
        place = place[key]
    value = place[way[-1]]
    if isinstance(value, torch.Tensor) and value.numel() and rng.random() < 0.8:
        change = rng.randrange(4)
        if change == 0:
            is_whole = value.dtype in (torch.int32, torch.int64)
            largest = torch.iinfo(value.dtype).max if is_whole else 1e4
            value.view(-1)[rng.randrange(value.numel())] = rng.choice([-1, 0, 1, largest])
        elif change == 1:
            place[way[-1]] = value[:-1] if value.ndim else value[None]
        elif change == 2:
            place[way[-1]] = value[None]
        else:
            place[way[-1]] = value == 0 if value.dtype == torch.bool else -value
    else:
        place[way[-1]] = copy.deepcopy(rng.choice(ODD_VALUES))
    return way


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["clock", "path", "neighbours", "alignment", "mean of all"])
def test_flipped_fields_are_refused_or_harmless(model_of, tmp_path, name):
    """What is not refused answers with possible values, whatever it is given, and fails nowhere."""
    whole, rng = content_of(model_of(name), tmp_path), random.Random(3)
    frames = recordings_of(1, first=9)[0].frames
    accepted = 0
    for _ in range(60):
        content = copy.deepcopy(whole)
        way = flipped(content, rng)
        loaded = accepted_or_refused(lambda: models_of(content, "a/model.pt"), "a/model.pt")  # noqa: B023
        if loaded is None:
            continue
        model, accepted = loaded[0]["task"], accepted + 1
        for given in (frames, 1e6 * frames, frames[:0]):
            answers = model.predict(given)
            assert len(answers) == len(given), way
            for values in (answers.progress, answers.lower, answers.upper):
                assert ((values >= 0) & (values <= 1)).all(), way
            assert len(answers.out_of_range) == len(answers.steps) == len(given), way
    assert 5 < accepted < 55  # neither all nor none of them


def test_possible_answers_of_the_whole_file(content):
    model = models_of(content, "a")[0]["task"]
    assert_possible(model.predict(recordings_of(1, first=9)[0].frames).rows, len(model.labels))
