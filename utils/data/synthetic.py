"""A synthetic procedural data set: small, generated in seconds, and hard to predict from the frame index alone.

    python -m utils.data.synthetic data/synthetic
    python -m utils.data.synthetic data/synthetic --videos 32 --nuisances 1
    python -m utils.data.synthetic data/bigger --tasks 5 --videos 40 --frames 200 600 --seed 3

Videos. A task has some actions with a partial order between them. Each video shows them in one of the allowed
orders, leaves out optional actions, and repeats others. Tasks share actions. Between actions, and before the first,
there may be background. The file order of a task's videos is the order of its subjects, and subject k is the same
in every task.

Durations. The number of frames is drawn log-uniformly for each video. Inside a video, the share of each action
instance and each background segment is log-normally distributed. So the frame index says little about progress.

Features. Each action is a loop in its own plane, from the rest pose and back to it, at constant speed: after a
fraction p of the instance the pose is (1 - cos 2 pi p, sin 2 pi p) in that plane. In addition, the state of the
scene moves along the action's own direction by an amount proportional to p, starting from the state after the
earlier actions. So every instance has about the same path length, however long it takes, and inside it path length
grows with progress. In background the pose makes small movements instead (`fidget`): a smooth random walk in a plane
that all videos share. A random linear map converts pose, scene and small movements to the width of the features;
then a constant offset per subject and white noise per frame are added. The path length of the raw features is mostly
noise and grows with time. The path length of the same features without noise and small movements follows progress,
except that the number of action instances differs between videos. An encoder has to remove the noise.

Mean absolute error of online progress over validation and test videos, default sizes, mean of seeds 0 to 4:
constant 0.5 .254; time over mean training length .172; mean true progress at the same frame index .157; path length
over its training mean .130 on the features, .048 without noise and small movements.

Annotation: the labels are the actions' names, background is "background", each end is exclusive except the
last of a video, as in the recorded data sets. There is no split.json, so TRAIN_SPLIT applies. It splits in file
order, so training, validation and test show different subjects.

Nuisances (off by default; the demo has them). With `--nuisances 1` the raw features align about as well as those of
50 Salads (KTW .45, EAE .21 on training and validation videos): each subject mixes the features by a matrix of its own,
and sensors drift (a random walk) and have noise that lasts some frames, both in six directions that all videos share.
docs/alignment.md says what that does to the losses.

The same seed and sizes give the same files; with more videos, the first ones stay the same.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.data.synthetic_videos import ACTION_NAMES, FEWEST_FRAMES, make_task, make_video, make_world
from utils.files import atomic_write, write_json

logger = logging.getLogger(__name__)

BACKGROUND_LABEL = "background"


def write_synthetic_dataset(
    folder: str | Path,
    *,
    seed: int = 0,
    tasks: int = 3,
    videos: int = 16,
    frames: tuple[int, int] = (60, 220),
    width: int = 32,
    noise: float = 0.08,
    fidget: float = 1.0,
    subject_offset: float = 0.1,
    nuisances: float = 0.0,
) -> Path:
    """Writes the data set described in the module to `folder`.

    Every file is written whole or not at all, the annotation last, so that the result of an interrupted call can't
    be mistaken for a complete data set.

    Args:
        folder: `<DATASET_PATH>/<DATASET_NAME>`; its name becomes the data set's.
        seed: seed of all random choices.
        tasks: number of tasks.
        videos: videos of each task, one per subject.
        frames: smallest and largest number of frames of a video.
        width: D of the features.
        noise: standard deviation of the white noise on each feature; an action's loop has radius 1.
        fidget: size of the small movements in background; an action's loop has radius 1.
        subject_offset: standard deviation of a subject's offset on each feature.
        nuisances: size of what real recordings have besides, above; 0: none.

    Returns:
        The annotation file.

    Raises:
        ValueError: an argument out of range; the message names it.
    """
    shortest, longest = frames
    sizes = (("seed", seed, 0), ("tasks", tasks, 1), ("videos", videos, 1), ("width", width, 1))
    for name, value, least in sizes:
        if value < least:
            raise ValueError(f"{name} is {value}; expected at least {least}")
    if not FEWEST_FRAMES <= shortest <= longest:
        raise ValueError(f"frames is {tuple(frames)}; expected {FEWEST_FRAMES} <= least <= most")
    scales = {"noise": noise, "fidget": fidget, "subject_offset": subject_offset, "nuisances": nuisances}
    for name, scale in scales.items():
        if not 0 <= scale < np.inf:
            raise ValueError(f"{name} is {scale}; expected a finite number >= 0")

    folder = Path(folder)
    annotation_path = folder / f"{folder.resolve().name}.json"
    annotation_path.unlink(missing_ok=True)
    world = make_world(seed, width)
    annotation = {}
    for number in range(tasks):
        task = make_task(seed, number)
        entry = annotation[task.name] = {
            "handles": [], "hdl_actions": [], "hdl_start_times": [], "hdl_end_times": [],
        }  # fmt: skip
        for subject in range(videos):
            video = make_video(seed, number, subject, task, world, frames, noise, fidget, subject_offset, nuisances)
            handle = f"{task.name}_subject{subject + 1:02d}"
            with atomic_write(folder / "features" / f"{handle}.npy") as temporary:
                np.save(temporary, video.features)
            names, starts, stops = zip(*video.segments, strict=True)
            entry["handles"].append(handle)
            entry["hdl_actions"].append([_label(action) for action in names])
            entry["hdl_start_times"].append(list(starts))
            entry["hdl_end_times"].append([*stops[:-1], stops[-1] - 1])
    write_json(annotation_path, annotation)
    return annotation_path


def _label(action: int | None) -> str:
    return BACKGROUND_LABEL if action is None else ACTION_NAMES[action]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: writes a data set and logs its path."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.data.synthetic", description="Writes a synthetic procedural data set."
    )
    parser.add_argument("folder", type=Path, help="<DATASET_PATH>/<DATASET_NAME>")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--videos", type=int, default=16, help="videos of each task")
    parser.add_argument("--frames", type=int, nargs=2, default=(60, 220), metavar=("LEAST", "MOST"))
    parser.add_argument("--width", type=int, default=32, help="width of the features")
    parser.add_argument("--noise", type=float, default=0.08, help="standard deviation on each feature")
    parser.add_argument("--nuisances", type=float, default=0.0, help="drift, correlated noise, subjects' own mixing")
    options = vars(parser.parse_args(arguments))
    options["frames"] = tuple(options["frames"])
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        path = write_synthetic_dataset(options.pop("folder"), **options)
    except ValueError as error:
        parser.error(str(error))
    logger.info("wrote %s", path)


if __name__ == "__main__":
    main()
