"""Key steps without labels: the frames of recordings in a given number of clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.errors import import_extra
from utils.registry import PUBLISHED_KEY_STEPS, SEGMENTATIONS

# Of all recordings that are clustered together; they are spread evenly.
MOST_FRAMES_CLUSTERED = 20_000
STARTS = 5  # of k-means; the best one counts
# Of the transport: weight of the structure, half width of its window as a share of the recording, weight of the order
# of the clusters, regularisation, iterations. Chosen on validation recordings of the demo set, both sets of 50 Salads
# and GTEA: docs/alignment.md has the figures.
STRUCTURE, RADIUS, ORDER, REGULARIZATION, ITERATIONS = 0.3, 0.02, 0.5, 0.05, 25


@dataclass(frozen=True)
class Discovery:
    """How key steps are found.

    Attributes:
        number: of clusters, at least 1.
        method: one of SEGMENTATIONS.

    Raises:
        ValueError: another number or method.
    """

    number: int = PUBLISHED_KEY_STEPS
    method: str = SEGMENTATIONS[0]

    def __post_init__(self) -> None:
        if self.method not in SEGMENTATIONS:
            raise ValueError(f"the method is {self.method!r}; expected one of {', '.join(SEGMENTATIONS)}")
        if self.number < 1:
            raise ValueError(f"the number of key steps is {self.number}; expected 1 or more")


def discover_steps(
    fitted: Sequence[np.ndarray],
    judged: Sequence[np.ndarray],
    discovery: Discovery,
    seed: int = 0,
) -> list[np.ndarray]:
    """The cluster of each frame of the judged recordings, by centres that k-means finds in the fitted recordings.

    - "kmeans": that of the nearest centre.
    - "transport": by temporally consistent transport between frames and centres, after ASOT (Xu and Gould, CVPR 2024):

          min over T >= 0 with T 1 = 1 of   (1 - alpha) <T, C> - alpha sum_tsk near_ts T_tk T_sk / 2 - eps H(T)

      with C_tk the squared distance between frame t and centre k over the mean of all, plus ORDER times how far the
      frame's position in its recording is from the mean position of the centre's frames, and near_ts = 1 / (number of
      frames in the window) for frames in the window of t. Every frame has the same mass, a centre may have any.

    Args:
        fitted: (T_i, D) frames of the recordings that determine the centres; at least one frame in all.
        judged: (T_i, D) frames of the recordings to be segmented.
        discovery: how many clusters, of which no more are used than there are different fitted frames, and the method.
        seed: of k-means.

    Returns:
        (T_i,) int of each judged recording, each in [0, number).

    Raises:
        MissingExtraError: scikit-learn isn't installed.
    """
    library = import_extra("sklearn.cluster", "evaluation", "the discovery of key steps")
    frames = np.concatenate(fitted).astype(np.float64)
    places = np.concatenate([positions(len(video)) for video in fitted])
    kept = np.linspace(0, len(frames) - 1, min(len(frames), MOST_FRAMES_CLUSTERED)).astype(np.int64)
    frames, places = frames[kept], places[kept]
    number = min(discovery.number, len(np.unique(frames, axis=0)))
    model = library.KMeans(number, n_init=STARTS, random_state=seed).fit(frames)
    centres = model.cluster_centers_
    places_of_centres = np.bincount(model.labels_, places, number) / np.bincount(model.labels_, minlength=number)
    found = []
    for video in judged:
        video = video.astype(np.float64)
        costs = np.square(video).sum(axis=1, keepdims=True) - 2 * video @ centres.T + np.square(centres).sum(axis=1)
        if discovery.method == "transport":
            away = np.abs(positions(len(video))[:, None] - places_of_centres)
            costs = transport_to_centres(costs / max(costs.mean(), np.finfo(float).tiny) + ORDER * away)
        found.append(costs.argmin(axis=1))
    return found


def transport_to_centres(costs: np.ndarray) -> np.ndarray:
    """Costs (T, K) of frames and clusters -> minus the plan (T, K); see `discover_steps`."""
    length = len(costs)
    reach = max(1, int(RADIUS * length))
    first, last = np.arange(length) - reach, np.arange(length) + reach + 1
    window = np.clip(first, 0, length), np.clip(last, 0, length)
    plan = np.full_like(costs, 1 / costs.shape[1])
    for _ in range(ITERATIONS):
        sums = np.concatenate([np.zeros((1, costs.shape[1])), plan.cumsum(axis=0)])
        neighbours = (sums[window[1]] - sums[window[0]]) / (window[1] - window[0])[:, None]
        exponent = -((1 - STRUCTURE) * costs - STRUCTURE * neighbours) / REGULARIZATION
        exponent -= exponent.max(axis=1, keepdims=True)
        plan = np.exp(exponent)
        plan /= plan.sum(axis=1, keepdims=True)
    return -plan


def equal_parts(length: int, number: int) -> np.ndarray:
    """The recording in as many parts of the same length, (length,) int."""
    return np.arange(length) * number // max(length, 1)


def positions(length: int) -> np.ndarray:
    """(length,) positions of the frames in their recording, from 0 to 1."""
    return np.arange(length) / max(length - 1, 1)
