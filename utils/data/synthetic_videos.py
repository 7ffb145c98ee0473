"""Generates one synthetic video; `utils.data.synthetic` describes the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

ACTION_NAMES = (
    "fetch bowl", "open jar", "pour water", "crack egg", "whisk", "add flour", "knead", "peel carrot",
    "slice", "add salt", "heat pan", "fry", "flip", "taste", "serve", "wipe table",
)  # fmt: skip
ACTIONS_PER_TASK = 8
OPTIONAL_ACTIONS = 2
REPEATABLE_ACTIONS = 2
DISTURBANCES = 6
# At nuisances = 1, as shares of the radius of an action's loop.
MIXING, DRIFT, CORRELATED_NOISE = 0.3, 0.75, 0.375
NOISE_MEMORY = 0.9  # correlation of the noise of one frame with that of the frame before
FEWEST_FRAMES = 4 * ACTIONS_PER_TASK + 8  # two per segment, for the largest possible number of segments


@dataclass(frozen=True)
class Task:
    """A procedure.

    Args:
        name: name of the task.
        actions: indices of its actions.
        before: before[i, j] is True where the i-th action must come before the j-th.
        optional: which of them a video may leave out.
        repeatable: which of them a video may do a second time.
    """

    name: str
    actions: tuple[int, ...]
    before: np.ndarray
    optional: np.ndarray
    repeatable: np.ndarray


@dataclass(frozen=True)
class World:
    """The appearance of actions, which is the same in all videos.

    Args:
        loops: (actions, 2, D), the plane of each action's movement.
        scene: (actions, D), the direction in which each action changes the scene.
        fidget: (2, D), the plane of the movement in background.
        disturbances: (DISTURBANCES, D), the directions in which sensors drift and noise is correlated.
    """

    loops: np.ndarray
    scene: np.ndarray
    fidget: np.ndarray
    disturbances: np.ndarray


@dataclass(frozen=True)
class SyntheticVideo:
    """Segments as (action or None for background, first frame, frame after the last), and (T, D) features."""

    segments: tuple[tuple[int | None, int, int], ...]
    features: np.ndarray


def make_world(seed: int, width: int) -> World:
    """The appearance of all actions: unit directions, so that the features' scale doesn't depend on the width."""
    generator = np.random.default_rng([seed, 0])

    def directions(*shape: int) -> np.ndarray:
        vectors = generator.normal(size=(*shape, width))
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    count = len(ACTION_NAMES)
    return World(
        loops=directions(count, 2), scene=directions(count), fidget=directions(2),
        disturbances=directions(DISTURBANCES),
    )


def make_task(seed: int, number: int) -> Task:
    """The `number`-th task: its actions, and which of them must come before which."""
    generator = np.random.default_rng([seed, 1, number])
    actions = generator.permutation(len(ACTION_NAMES))[:ACTIONS_PER_TASK]
    # Only an earlier action may be required before a later one, so the list itself is always an allowed order.
    before = np.triu(generator.random((ACTIONS_PER_TASK, ACTIONS_PER_TASK)) < 0.4, k=1)
    special = generator.permutation(ACTIONS_PER_TASK)[: OPTIONAL_ACTIONS + REPEATABLE_ACTIONS]
    positions = np.arange(ACTIONS_PER_TASK)
    return Task(
        name=f"procedure{number + 1}",
        actions=tuple(actions.tolist()),
        before=before,
        optional=np.isin(positions, special[:OPTIONAL_ACTIONS]),
        repeatable=np.isin(positions, special[OPTIONAL_ACTIONS:]),
    )


def make_video(
    seed: int,
    task_number: int,
    subject: int,
    task: Task,
    world: World,
    frames: tuple[int, int],
    noise: float,
    fidget: float,
    subject_offset: float,
    nuisances: float = 0.0,
) -> SyntheticVideo:
    """One subject's video of one task; the arguments are those of `write_synthetic_dataset`."""
    generator = np.random.default_rng([seed, 2, task_number, subject])
    segments = _place_in_time(_actions_of_video(task, generator), frames, generator)
    features = _features(segments, world, fidget, generator)
    # A subject has the same offset in every task.
    offset = np.random.default_rng([seed, 3, subject]).normal(size=features.shape[1])
    features += subject_offset * offset + noise * generator.normal(size=features.shape)
    if nuisances:
        own, of_subject = (np.random.default_rng([seed, *key]) for key in ((4, task_number, subject), (5, subject)))
        features = _disturbed(features, world.disturbances, nuisances, own, of_subject)
    return SyntheticVideo(segments, features.astype(np.float32))


def _disturbed(
    features: np.ndarray,
    directions: np.ndarray,
    scale: float,
    generator: np.random.Generator,
    of_subject: np.random.Generator,
) -> np.ndarray:
    """(T, D) features as a subject's own sensors give them: mixed, with drift and correlated noise."""
    frames, width = features.shape
    mixed = features + MIXING * scale * features @ of_subject.normal(scale=width**-0.5, size=(width, width))
    # A drift is a random walk that reaches DRIFT at the end of a video of any length.
    steps = generator.normal(size=(2, frames, len(directions)))
    drift = DRIFT * np.cumsum(steps[0], axis=0) / np.sqrt(frames)
    noise = CORRELATED_NOISE * lfilter([np.sqrt(1 - NOISE_MEMORY**2)], [1, -NOISE_MEMORY], steps[1], axis=0)
    return mixed + scale * (drift + noise) @ directions


def _actions_of_video(task: Task, generator: np.random.Generator) -> list[int | None]:
    """The actions of a video in their order; None is a background segment."""
    pending = [
        position
        for position in range(ACTIONS_PER_TASK)
        if not (task.optional[position] and generator.random() < 0.5)
    ]
    order: list[int] = []
    while pending:
        free = [j for j in pending if not any(task.before[i, j] for i in pending)]
        order.append(free[generator.integers(len(free))])
        pending.remove(order[-1])
    for position in np.flatnonzero(task.repeatable):
        if generator.random() < 0.5:
            # Not directly after itself: if possible, at least one other action comes between.
            done = order.index(position)
            order.insert(int(generator.integers(min(done + 2, len(order)), len(order) + 1)), position)

    sequence: list[int | None] = []
    for position in order:
        if generator.random() < 0.4:
            sequence.append(None)
        sequence.append(task.actions[position])
    return sequence


def _place_in_time(
    sequence: Sequence[int | None], frames: tuple[int, int], generator: np.random.Generator
) -> tuple[tuple[int | None, int, int], ...]:
    """Segments of random lengths that together cover the video's frames, at least two frames each."""
    total = round(np.exp(generator.uniform(*np.log(frames))))
    weights = generator.lognormal(sigma=np.where([action is None for action in sequence], 1.0, 0.8))
    spare = total - 2 * len(sequence)
    edges = np.rint(spare * np.concatenate([[0], np.cumsum(weights / weights.sum())])).astype(int)
    edges += 2 * np.arange(len(edges))
    return tuple(
        (action, int(start), int(stop))
        for action, start, stop in zip(sequence, edges[:-1], edges[1:], strict=True)
    )


def _features(
    segments: Sequence[tuple[int | None, int, int]],
    world: World,
    fidget: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """(T, D) features without offset and noise."""
    features = np.empty((segments[-1][2], world.scene.shape[1]))
    scene = np.zeros(world.scene.shape[1])
    for action, start, stop in segments:
        if action is None:
            features[start:stop] = scene + fidget * _wander(stop - start, generator) @ world.fidget
            continue
        phase = np.linspace(0, 1, stop - start)[:, None]
        pose = np.hstack([1 - np.cos(2 * np.pi * phase), np.sin(2 * np.pi * phase)])
        features[start:stop] = scene + phase * world.scene[action] + pose @ world.loops[action]
        scene = scene + world.scene[action]
    return features


def _wander(frames: int, generator: np.random.Generator) -> np.ndarray:
    """(frames, 2), a smooth random movement that begins and ends at rest: a random walk, smoothed, with fixed ends."""
    steps = generator.normal(scale=0.15, size=(frames, 2))
    walk = np.cumsum(steps, axis=0)
    window = np.hanning(7)[1:-1] / np.hanning(7).sum()
    smooth = np.stack([np.convolve(np.pad(axis, 2, mode="edge"), window, "valid") for axis in walk.T], axis=1)
    phase = np.linspace(0, 1, frames)[:, None]
    return smooth - (1 - phase) * smooth[0] - phase * smooth[-1]
