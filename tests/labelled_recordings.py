"""Small recordings with their annotation, for tests of what is fitted to them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from utils.prediction.progress import candidates
from utils.prediction.readouts import chunks, evidence
from utils.prediction.readouts.quantile_forest import fit_quantile_forest
from utils.prediction.readouts.recording import LabelledRecording
from utils.prediction.readouts.recurrent import fit_recurrent

STEPS = ("cut", "mix", "pour")
BACKGROUND = "background"
WIDTH = 5
MOST_CHANNELS = 8  # of `coarse`


@contextmanager
def coarse() -> Iterator[None]:
    """Fewer chunks, channels, virtual recordings, trees and steps of training: what is fitted to small recordings takes
    no time, and a chunk of them is longer than a frame. One thread, whatever else the machine does: further processes
    would not know of these changes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(limits=1, user_api="blas"):
        patch.setattr(chunks, "CHUNKS", 20)
        patch.setattr(chunks, "MOST_CHANNELS", MOST_CHANNELS)
        patch.setattr(evidence, "VIRTUAL", 16)
        patch.setattr(
            evidence, "fit_quantile_forest",
            lambda inputs, truth, fewest, trees, seed: fit_quantile_forest(inputs, truth, fewest, trees // 10, seed),
        )  # fmt: skip
        patch.setattr(candidates, "fit_recurrent", partial(fit_recurrent, networks=1, steps=10))
        yield
    torch.set_num_threads(threads)


@contextmanager
def random_state_untouched() -> Iterator[None]:
    """The random numbers that others draw stay the same."""

    def drawn() -> tuple:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = drawn()
    yield
    assert drawn() == before


def time_dict_of(labels: Sequence[str], lengths: Sequence[int]) -> dict[str, list]:
    """Segments one after the other, of these lengths in frames."""
    ends = np.cumsum(lengths)
    return {"step": list(labels), "start_frame": (ends - lengths).tolist(), "end_frame": (ends - 1).tolist()}


def recording_of(
    labels: Sequence[str],
    lengths: Sequence[int],
    seed: int = 0,
    width: int = WIDTH,
    signal: float = 1.0,
    group: str = "",
    name: str = "",
) -> LabelledRecording:
    """A recording whose frames lie around a place of their label, which is the same in every recording.

    Args:
        signal: how far the places of the labels are from each other; 0 gives noise that says nothing.
    """
    known = (BACKGROUND, *STEPS)
    places = signal * np.random.default_rng(99).normal(size=(len(known), width))
    means = np.repeat(places[[known.index(label) for label in labels]], lengths, axis=0)
    noise = 0.5 * np.random.default_rng(seed).normal(size=means.shape)
    return LabelledRecording(name or f"recording {seed}", means + noise, time_dict_of(labels, lengths), group)


def recordings_of(number: int = 8, first: int = 0, longest: int = 150, **options: Any) -> list[LabelledRecording]:
    """Recordings of about 60 to 150 frames: background, three steps in one of two orders, one of them twice."""
    made = []
    for seed in range(first, first + number):
        rng = np.random.default_rng([7, seed])
        order = STEPS if rng.random() < 0.7 else (STEPS[1], STEPS[0], STEPS[2])
        labels = [BACKGROUND, *order, BACKGROUND, order[0]]
        shares = rng.uniform(0.6, 1.4, size=len(labels)) / len(labels)
        lengths = np.maximum(1, (rng.uniform(0.45, 0.95) * longest * shares).astype(int))
        made.append(recording_of(labels, lengths.tolist(), seed, **options))
    return made
