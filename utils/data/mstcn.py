"""Converts data in the layout of MS-TCN to this project's files; the features stay where they are.

    python -m utils.data.mstcn SOURCE/gtea data/gtea_mstcn --task-pattern "^S\\d+_([A-Za-z]+)_"
    python -m utils.data.mstcn SOURCE/breakfast data/breakfast --task-pattern "_([^_]+)$" --split 2
    python -m utils.data.mstcn SOURCE/50salads data/50salads

50 Salads, GTEA, Breakfast and others are distributed in this layout: `groundTruth/<video>.txt` with one label per
frame, `mapping.txt` with lines "number label", `splits/train.split1.bundle` and `splits/test.split1.bundle` with
lines "<video>.txt", and `features/<video>.npy` of (D, T).

The command writes `<name>.json` and, from the bundles, `split.json`. Successive frames with the same label become
one segment. Segments are half open, [start, end); only the last end of a video is inclusive, its last frame. Labels
are not changed: BACKGROUND_LABELS says at loading which of them mean background.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.data.annotation import ACTIONS, ENDS, HANDLES, STARTS
from utils.data.mstcn_files import check_features, check_labels, read_bundles, read_labels
from utils.data.segments import ALWAYS_BACKGROUND, BACKGROUND_LABELS
from utils.errors import DataError, place
from utils.files import write_json
from utils.registry import SCALINGS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote, and the settings for loading it.

    Args:
        annotation_path: the annotation file.
        videos_of_task: how many videos each task has.
        split: the number of the split in split.json, or None if there is no split.json.
        settings: the settings that must differ from the defaults.
        doubtful_labels: labels that the default settings take for background, though they may be actions.
    """

    annotation_path: Path
    videos_of_task: Mapping[str, int]
    split: int | None
    settings: Mapping[str, str]
    doubtful_labels: Sequence[str] = ()


def convert_mstcn(
    source: str | Path, output: str | Path, *, split: int | None = None, task_pattern: str = "", scaling: str = "none"
) -> Conversion:
    """Writes the annotation and the split of a data set in the layout of MS-TCN.

    Args:
        source: the folder that holds groundTruth, mapping.txt, splits and features.
        output: `<DATASET_PATH>/<DATASET_NAME>`; may be the source itself.
        split: number of the split; None takes the first one, or no split if there is no folder of splits.
        task_pattern: a regular expression with one group, which matches the task in a video's name; with '' all
            videos belong to one task, named like the source folder.
        scaling: ANNOTATION_SCALING; 'proportional' accepts labels of another rate than the features.

    Raises:
        DataError: with every problem found; then nothing is written.
    """
    source, output = Path(source), Path(output)
    problems: list[str] = []
    labels = read_labels(source / "groundTruth", problems)
    check_labels(source / "mapping.txt", labels, problems)
    tasks = _name_tasks(source, list(labels), task_pattern, problems)
    layout = check_features(source / "features", labels, problems, scaling)
    if split is None and (source / "splits").is_dir():
        split = 1
    lists = None if split is None else read_bundles(source / "splits", split, labels, problems)
    split_path = output / "split.json"
    if lists is None and split_path.exists():
        problems.append(f"{place(split_path)}is left over from another conversion and would be used; remove it")
    if problems:
        raise DataError(problems)

    annotation: dict[str, dict[str, list]] = {}
    for handle, task in tasks.items():
        entry = annotation.setdefault(task, {HANDLES: [], ACTIONS: [], STARTS: [], ENDS: []})
        actions, starts, ends = segments_of_labels(labels[handle])
        for key, values in ((HANDLES, handle), (ACTIONS, actions), (STARTS, starts), (ENDS, ends)):
            entry[key].append(values)
    name = output.resolve().name
    annotation_path = output / f"{name}.json"
    if lists is not None:
        write_json(split_path, lists)
    write_json(annotation_path, annotation)
    root = output.parent if output.name == name else output.resolve().parent
    settings = {"DATASET_PATH": str(root), "DATASET_NAME": name, "FEATURE_LAYOUT": layout}
    features = os.path.relpath((source / "features").resolve(), output.resolve())
    if features != "features":
        settings["FEATURES_FOLDER"] = features
    if scaling != "none":
        settings["ANNOTATION_SCALING"] = scaling
    doubtful = {label for own in labels.values() for label in own} & {*BACKGROUND_LABELS} - ALWAYS_BACKGROUND
    return Conversion(annotation_path, Counter(tasks.values()), split, settings, sorted(doubtful))


def segments_of_labels(labels: Sequence[str]) -> tuple[list[str], list[int], list[int]]:
    """Runs of equal labels as the annotation file writes them.

    Args:
        labels: one label per frame, at least one.

    Returns:
        Actions, starts and ends; each end is exclusive, except the last one, which is the last frame.

    Example:
        >>> segments_of_labels(["a", "a", "b"])
        (['a', 'b'], [0, 2], [2, 2])
    """
    _, codes = np.unique(np.array(labels, dtype=object), return_inverse=True)
    starts = np.flatnonzero(np.diff(codes, prepend=-1)).tolist()
    return [labels[start] for start in starts], starts, [*starts[1:], len(labels) - 1]


def _name_tasks(source: Path, handles: Sequence[str], pattern: str, problems: list[str]) -> dict[str, str]:
    """The task of each video."""
    if not pattern:
        return dict.fromkeys(handles, source.resolve().name)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DataError(f"the task pattern {pattern!r} is not a regular expression: {error}") from error
    if expression.groups != 1:
        raise DataError(f"the task pattern {pattern!r} has {expression.groups} groups (...); expected one")
    tasks: dict[str, str] = {}
    for handle in handles:
        match = expression.search(handle)
        if match is None or not match[1]:
            problems.append(f"{place(source, None, handle)}the task pattern {pattern!r} finds no task in it")
        else:
            tasks[handle] = match[1]
    return tasks


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: converts, and prints the settings for loading the result."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.data.mstcn",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="folder with groundTruth, mapping.txt, splits and features")
    parser.add_argument("output", type=Path, help="<DATASET_PATH>/<DATASET_NAME>, may be the source")
    parser.add_argument("--split", type=int, help="number of the split; by default the first")
    parser.add_argument(
        "--task-pattern", default="", metavar="REGEX",
        help="regular expression; its one group is the task in a video's name; by default all videos are one task",
    )  # fmt: skip
    parser.add_argument(
        "--scaling", choices=SCALINGS, default=SCALINGS[0],
        help="'proportional' if the labels are of another rate than the features",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        conversion = convert_mstcn(
            options.source, options.output, split=options.split, task_pattern=options.task_pattern,
            scaling=options.scaling,
        )  # fmt: skip
    except (DataError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    logger.info("wrote %s", conversion.annotation_path)
    for task, count in conversion.videos_of_task.items():
        logger.info("  task %r: %d videos", task, count)
    if conversion.split is None:
        logger.info("no split.json: TRAIN_SPLIT applies")
    else:
        logger.info("split.json holds split %d", conversion.split)
    if conversion.doubtful_labels:
        names = ", ".join(map(repr, conversion.doubtful_labels))
        logger.warning(
            "background by the default settings: %s; if that is an action, set BACKGROUND_LABELS without it", names
        )
    logger.info("to load it, put these settings into an experiment file:")
    for key, value in conversion.settings.items():
        logger.info("    CONFIG.%s = %r", key, value)


if __name__ == "__main__":
    main()
