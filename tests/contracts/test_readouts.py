"""Every read-out of the registry keeps the contracts, and each contract refuses one that breaks it."""

import numpy as np
import pytest

from tests.contracts import readouts
from tests.contracts.readouts import check_readout, training_videos
from utils.prediction.readouts import (
    READOUTS,
    PathReadout,
    TrainingReference,
    make_path_readout,
    make_training_readout,
)
from utils.prediction.readouts.protocol import as_double
from utils.registry import code_of


@pytest.mark.parametrize("name", READOUTS)
def test_every_readout_keeps_the_contracts(name):
    if READOUTS[name].of_training_videos:
        check_readout(make_training_readout(name, *training_videos()))
        check_readout(code_of(READOUTS[name])(TrainingReference(*training_videos(), most_frames=50)))  # thinned
    else:
        for normalizer in (0.0, 20.0, 1e6):
            check_readout(make_path_readout(name, normalizer))


class Clock:
    """A read-out that keeps every contract: counts frames."""

    def start(self):
        return ClockState()


class ClockState:
    frames = 0

    def progress(self, video):
        return np.minimum(np.arange(self.frames + 1, self.frames + 1 + len(video)) / 500, 1.0)

    def update(self, video):
        progress = self.progress(as_double(video))
        self.frames += len(video)
        return progress


def broken(state_class):
    class Broken(Clock):
        def start(self):
            return state_class()

    return Broken()


class NoLimit(ClockState):
    def progress(self, video):
        return 3 * np.arange(self.frames + 1, self.frames + 1 + len(video)) / 500


class NotANumber(ClockState):
    def progress(self, video):
        with np.errstate(invalid="ignore"):
            return super().progress(video) * (video[:, 0] / video[:, 0])


class SinglePrecision(ClockState):
    def progress(self, video):
        return super().progress(video).astype(np.float32)


class OneForNone(ClockState):
    def progress(self, video):
        return super().progress(video) if len(video) else np.zeros(1)


class CountsItsCalls(ClockState):
    def update(self, video):
        progress = self.progress(as_double(video))
        self.frames += 1
        return progress


class KnowsTheEnd(ClockState):
    def progress(self, video):
        return super().progress(video) * 0.5 + 0.001 * (video[-1, 0] > 0 if len(video) > 40 else 0)


class ChangesWhatItReads(ClockState):
    def progress(self, video):
        video *= 1.5
        return super().progress(video)


class KeepsAView(ClockState):
    last = None

    def update(self, video):
        before = as_double(video[:1] if self.last is None else self.last)
        self.last = video[-1:] if len(video) else self.last
        return np.clip(super().update(video) * 0.5 + 0.01 * before.sum() * bool(len(video) == 100), 0, 1)


class ReadsArraysOnly(ClockState):
    def update(self, video):
        return super().update(video) * (1.0 if isinstance(video, np.ndarray) else 0.5)


class Shared(Clock):
    """Has one state for all videos."""

    def __init__(self):
        self.state = ClockState()

    def start(self):
        return self.state


class SharedFrames(Clock):
    """Each start gives a new state, but all states share one counter."""

    def start(self):
        self.frames = 0
        return SharedState(self)


class SharedState:
    def __init__(self, readout):
        self.readout = readout

    def update(self, video):
        first = self.readout.frames + 1
        self.readout.frames += len(video)
        return np.minimum(np.arange(first, first + len(video)) / 500, 1.0)


BROKEN = {
    r"expected progress in \[0, 1\]": broken(NoLimit),
    "nan to nan": broken(NotANumber),
    "expected a float64 array": broken(SinglePrecision),
    r"gives float64 \(1,\) for 0 frames": broken(OneForNone),
    "comes in parts": broken(CountsItsCalls),
    "where a later one changes": broken(KnowsTheEnd),
    "changes the embedding": broken(ChangesWhatItReads),
    "overwritten after the call": broken(KeepsAView),
    "for a Tensor": broken(ReadsArraysOnly),
    "mixes two videos": SharedFrames(),
}


@pytest.mark.parametrize("refusal", BROKEN)
def test_a_readout_that_breaks_a_contract_is_refused(refusal):
    contracts = {
        "where a later one changes": "check_causal", "changes the embedding": "check_inputs_unchanged",
        "overwritten after the call": "check_inputs_unchanged", "for a Tensor": "check_tensor_and_array",
    }  # fmt: skip
    check = getattr(readouts, contracts.get(refusal, "check_readout"))
    with pytest.raises(AssertionError, match=refusal):
        check(BROKEN[refusal])


def test_a_readout_that_goes_on_where_the_last_video_ended_is_refused():
    with pytest.raises(AssertionError, match="after another video"):
        check_readout(Shared())


def test_readouts_that_keep_them_all_pass():
    check_readout(Clock())
    check_readout(PathReadout(3.0))
