"""Every read-out among which progress is chosen: contracts, leaks, cuts and hostile recordings."""

import numpy as np
import pytest

from tests.contracts.readouts import check_readout
from tests.labelled_recordings import (
    BACKGROUND,
    MOST_CHANNELS,
    STEPS,
    WIDTH,
    coarse,
    random_state_untouched,
    recording_of,
    recordings_of,
)
from utils.prediction.progress.candidates import MEANS, ScaledReadout, fit_candidates, read_all
from utils.prediction.progress.cross_validation import scale_of
from utils.prediction.readouts import PathReadout
from utils.prediction.readouts.chunked import ChunkedReadout
from utils.tensorops import path_length

NAMES = (
    "index", "clock", "path", "neighbours", "alignment", "filter", "evidence", "evidence + filter", "recurrent",
    "mean of evidence", "mean of evidence and recurrent", "mean of all",
)  # fmt: skip
CUTS = ((1,) * 40, (0, 1, 0, 7, 30), (59, 1), (0,))


@pytest.fixture(scope="module")
def fitted(recordings):
    with coarse():
        return fit_candidates(recordings, scale_of(recordings), seed=0)


def quantiles_of(readout, parts):
    """Quantiles of a recording that comes in parts, (T, 3), or its progress from a read-out without quantiles."""
    state = readout.start()
    read = getattr(state, "update_quantiles", state.update)
    return np.concatenate([read(part) for part in parts])


def test_their_names(fitted):
    assert tuple(fitted.names()) == NAMES


@pytest.mark.parametrize("name", NAMES[:-2])
def test_each_keeps_the_contracts_of_read_outs(fitted, name):
    check_readout(fitted.readout(name), WIDTH)


@pytest.mark.parametrize("name", NAMES)
def test_the_future_changes_nothing_before(fitted, name, new_recordings):
    frames, readout = new_recordings[0].frames, fitted.readout(name)
    whole = quantiles_of(readout, [frames])
    for now in (0, 1, 2, 30, 31, 32, 33, len(frames) - 2):
        shortened = quantiles_of(readout, [frames[: now + 1]])
        changed = quantiles_of(readout, [np.concatenate([frames[: now + 1], 5 - 30 * frames[now + 1 :]])])
        for other in (shortened, changed[: now + 1]):
            np.testing.assert_allclose(other, whole[: now + 1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sizes", CUTS)
def test_stream_equals_batch(fitted, name, sizes, new_recordings):
    readout, frames = fitted.readout(name), new_recordings[1].frames
    ends = [*np.cumsum(sizes).tolist(), len(frames)]
    parts = [frames[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    np.testing.assert_allclose(quantiles_of(readout, parts), quantiles_of(readout, [frames]), rtol=0, atol=1e-9)


def test_read_all_gives_what_each_read_out_gives(fitted, new_recordings):
    frames = new_recordings[2].frames
    for size in (len(frames), 3, 1, 0):
        found = read_all(fitted, frames[:size])
        assert tuple(found) == NAMES
        for name, curve in found.items():
            alone = quantiles_of(fitted.readout(name), [frames[:size]])
            expected = alone if alone.ndim == 2 else np.repeat(alone[:, None], 3, axis=1)
            np.testing.assert_allclose(curve, expected, atol=1e-9)


def test_means_are_means_of_their_heads(fitted, new_recordings):
    chunks = fitted.scale.start().update(new_recordings[0].frames)
    for name, parts in MEANS.items():
        readout = fitted.readout(name)
        assert isinstance(readout, ChunkedReadout)
        assert readout.heads == tuple(fitted.heads[part] for part in parts)
        mass = sum(fitted.heads[part].start().update(chunks) for part in parts) / len(parts)
        np.testing.assert_allclose(mass.sum(axis=1), 1, atol=2e-3)


def test_what_is_wanted_is_what_it_would_be_among_all(recordings, fitted, new_recordings):
    frames = new_recordings[0].frames
    for name in ("path", "filter", "mean of evidence"):
        alone = fit_candidates(recordings, fitted.scale, seed=0, names=[name])
        assert name in alone.names()
        expected = quantiles_of(fitted.readout(name), [frames])
        assert (quantiles_of(alone.readout(name), [frames]) == expected).all()


def test_a_seed_gives_the_same_read_outs(recordings, fitted, new_recordings):
    with random_state_untouched():
        again = fit_candidates(recordings, fitted.scale, seed=0)
        found = read_all(again, new_recordings[0].frames)
    for name, curve in read_all(fitted, new_recordings[0].frames).items():
        assert (found[name] == curve).all()
    other = fit_candidates(recordings, fitted.scale, seed=1, names=["evidence"]).readout("evidence")
    curve = quantiles_of(fitted.readout("evidence"), [new_recordings[0].frames])
    assert not (quantiles_of(other, [new_recordings[0].frames]) == curve).all()


def test_path_by_a_loop_over_scaled_frames(recordings, fitted, new_recordings):
    scaled = [fitted.scale.scaled(r.frames) for r in recordings]
    total = np.mean([sum(np.linalg.norm(np.diff(own, axis=0), axis=1)) for own in scaled])
    own = fitted.scale.scaled(new_recordings[0].frames)
    steps = np.linalg.norm(np.diff(own, axis=0), axis=1)
    expected = np.minimum(1, np.concatenate([[0], np.cumsum(steps)]) / total)
    np.testing.assert_allclose(fitted.readout("path").start().update(new_recordings[0].frames), expected, atol=1e-6)
    assert path_length(own)[-1] == pytest.approx(steps.sum(), rel=1e-6)


def test_scaling_a_channel_of_all_recordings_changes_no_scaled_read_out(recordings, new_recordings):
    factors = np.array([1, 1e3, 1e-3, 7, 1])
    stretched = [type(r)(r.name, r.frames * factors, r.time_dict) for r in recordings]
    for name in ("path", "neighbours", "alignment"):
        plain = fit_candidates(recordings, scale_of(recordings), 0, [name]).readout(name)
        other = fit_candidates(stretched, scale_of(stretched), 0, [name]).readout(name)
        frames = new_recordings[0].frames
        np.testing.assert_allclose(
            other.start().update(frames * factors), plain.start().update(frames), atol=1e-6
        )
        assert isinstance(plain, ScaledReadout)


def test_a_path_readout_stays_what_it_is(fitted):
    assert isinstance(fitted.readout("path").readout, PathReadout)


def odd(kind):
    if kind == "wide":
        return recordings_of(4, width=MOST_CHANNELS + 9)
    if kind == "constant channel":
        return [
            type(r)(r.name, np.column_stack([r.frames, np.full(len(r), 3.0)]), r.time_dict) for r in recordings_of(4)
        ]
    return {
        "one recording": lambda: recordings_of(1),
        "two recordings": lambda: recordings_of(2),
        "one label": lambda: [recording_of(["cut"], [60 + seed], seed) for seed in range(4)],
        "background": lambda: [recording_of([BACKGROUND], [60 + seed], seed) for seed in range(4)],
        "short": lambda: [*recordings_of(4), recording_of(["cut"], [1], 90), recording_of(["mix"], [2], 91)],
        "single frames": lambda: [recording_of(["cut"], [1], seed) for seed in range(4)],
        "labels of one": lambda: [*(recording_of(["cut"], [60], s) for s in range(4)), recording_of(STEPS, [30] * 3)],
        "all still": lambda: [
            type(r)(r.name, np.ones_like(r.frames), r.time_dict) for r in recordings_of(4)
        ],
        "one group": lambda: recordings_of(4, group="one"),
    }[kind]()  # fmt: skip


@pytest.mark.parametrize("kind", [
    "one recording", "two recordings", "one label", "background", "short", "single frames", "labels of one",
    "all still", "one group", "wide", "constant channel",
])  # fmt: skip
def test_odd_recordings_give_progress_from_0_to_1(kind):
    own = odd(kind)
    fitted = fit_candidates(own, scale_of(own), seed=0)
    long = recordings_of(1, first=70)[0].frames
    long = np.tile(long, (1, own[0].frames.shape[1] // WIDTH + 1))[:, : own[0].frames.shape[1]]
    expected = NAMES[:5] if kind in ("one recording", "two recordings") else NAMES
    assert tuple(fitted.names()) == expected
    for frames in (own[0].frames, own[-1].frames, long, 0 * long, 1e6 * long, 1e-6 * long, long[:1], long[:0]):
        for name, curve in read_all(fitted, frames).items():
            assert curve.shape == (len(frames), 3), name
            assert np.isfinite(curve).all(), name
            assert ((curve >= 0) & (curve <= 1)).all(), name
            assert (np.diff(curve, axis=1) >= 0).all(), name
