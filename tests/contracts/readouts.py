"""What every read-out must do. From a test of your own:

    from tests.contracts.readouts import check_readout, training_videos

    def test_my_readout():
        check_readout(MyReadout(TrainingReference(*training_videos())))
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.contracts.requirement import random_walk, require
from utils.prediction.readouts.protocol import Readout

WIDTH = 3
FRAMES = 300  # more than what a read-out takes at once
TOLERANCE = 1e-9
# Where a video is cut into calls: one frame, no frame, a few, many.
CUTS = ((1,) * 40, (0, 1, 0, 7, 200), (299, 1), (150, 0, 150))


def training_videos(videos: int = 4) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Embeddings (T_v, 3) and true progress (T_v,) of training videos, for a read-out that compares with them."""
    embeddings = [random_walk(20 + 7 * video, WIDTH, video).double().numpy() for video in range(videos)]
    return embeddings, [np.linspace(0, 1, len(embedding)) for embedding in embeddings]


def check_readout(readout: Readout, width: int = WIDTH) -> None:
    """All contracts of a read-out.

    Args:
        readout: made for embeddings of this width.
        width: of the embedding; 3 fits `training_videos`.

    Raises:
        AssertionError: saying what the read-out does and what was expected.
    """
    check_starts_anew(readout, width)  # first: what saturates hides that it goes on
    check_bounds(readout, width)
    check_few_frames(readout, width)
    check_cuts(readout, width)
    check_causal(readout, width)
    check_inputs_unchanged(readout, width)
    check_tensor_and_array(readout, width)


def check_bounds(readout: Readout, width: int = WIDTH) -> None:
    """One float64 a frame, in [0, 1], for embeddings that are small, large, far off or still."""
    walk = _video(width)
    still = np.repeat(walk[:1], 30, axis=0)
    for name, video in {
        "a walk": walk, "a small one": 1e-6 * walk, "a large one": 1e6 * walk, "one far off": walk + 1e4,
        "a still video": still, "zeros": 0 * still,
    }.items():  # fmt: skip
        progress = _whole(readout, video)
        require(
            isinstance(progress, np.ndarray) and progress.shape == (len(video),) and progress.dtype == np.float64,
            f"gives {_shape(progress)} for {len(video)} frames; expected a float64 array ({len(video)},)",
        )
        inside = bool(np.isfinite(progress).all()) and progress.min() >= 0 and progress.max() <= 1
        require(inside, f"gives {progress.min()} to {progress.max()} for {name}; expected progress in [0, 1]")


def check_few_frames(readout: Readout, width: int = WIDTH) -> None:
    """No frame gives no progress, before the first frame and after; one frame gives one."""
    state, video = readout.start(), _video(width)
    for frames in (0, 1, 0, 0, 2):
        progress = state.update(video[:frames])
        require(np.shape(progress) == (frames,), f"gives {_shape(progress)} for {frames} frames")


def check_cuts(readout: Readout, width: int = WIDTH) -> None:
    """How a video is cut into calls changes nothing."""
    video = _video(width)
    whole = _whole(readout, video)
    for sizes in CUTS:
        state, ends = readout.start(), [*np.cumsum(sizes).tolist(), len(video)]
        parts = [state.update(video[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        _require_close(np.concatenate(parts), whole, f"gives another progress where the video comes in parts {sizes}")


def check_causal(readout: Readout, width: int = WIDTH) -> None:
    """The progress of a frame depends on no later one."""
    video = _video(width)
    whole = _whole(readout, video)
    for now in (0, 1, 130, FRAMES - 2):
        changed = np.concatenate([video[: now + 1], 5 - 3 * video[now + 1 :]])
        message = f"gives frame {now} or an earlier one another progress where a later one changes"
        _require_close(_whole(readout, changed)[: now + 1], whole[: now + 1], message)
        _require_close(_whole(readout, video[: now + 1]), whole[: now + 1], message)


def check_starts_anew(readout: Readout, width: int = WIDTH) -> None:
    """Two videos from one read-out don't touch each other, one after the other or side by side."""
    first, second = _video(width), _video(width, 1)[:50]
    alone = _whole(readout, first), _whole(readout, second)
    message = "gives a video another progress after another video"
    for video, expected in ((first, alone[0]), (second, alone[1])):
        _require_close(_whole(readout, video), expected, message)
    states = readout.start(), readout.start()
    parts: tuple[list, list] = ([], [])
    for frame in range(len(second)):
        for state, video, part in zip(states, (first, second), parts, strict=True):
            part.append(state.update(video[frame : frame + 1]))
    for part, expected in zip(parts, alone, strict=True):
        _require_close(np.concatenate(part), expected[: len(second)], "mixes two videos that go on at the same time")


def check_inputs_unchanged(readout: Readout, width: int = WIDTH) -> None:
    """The embedding stays as it is, and nothing is kept that changes with it afterwards."""
    for video in (_video(width), torch.from_numpy(_video(width))):
        before = video.copy() if isinstance(video, np.ndarray) else video.clone()
        whole = _whole(readout, video)
        require(bool((video == before).all()), "changes the embedding that it is given")
        state, buffer = readout.start(), before[:100] + 0
        parts = []
        for start in (0, 100, 200):  # as from a buffer that is filled again
            buffer[:] = before[start : start + 100]
            parts.append(state.update(buffer).copy())
        _require_close(np.concatenate(parts), whole, "depends on an embedding that was overwritten after the call")


def check_tensor_and_array(readout: Readout, width: int = WIDTH) -> None:
    """A float32 tensor, an array of the same numbers, and both in double precision give the same progress."""
    tensor = torch.from_numpy(_video(width)).float()
    expected = _whole(readout, tensor.double().numpy())
    for video in (tensor, tensor.numpy(), tensor.double(), tensor.clone().requires_grad_()):
        _require_close(_whole(readout, video), expected, f"gives another progress for a {type(video).__name__}")


def _video(width: int, seed: int = 10) -> np.ndarray:
    return random_walk(FRAMES, width, seed).double().numpy()


def _whole(readout: Readout, video: Any) -> Any:
    return readout.start().update(video)


def _require_close(given: np.ndarray, expected: np.ndarray, message: str) -> None:
    difference = np.abs(given - expected).max() if given.shape == expected.shape else np.inf
    require(difference <= TOLERANCE, f"{message} (by {difference:.2g})")


def _shape(value: Any) -> str:
    return f"{getattr(value, 'dtype', type(value).__name__)} {np.shape(value)}"
