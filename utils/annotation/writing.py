"""Writes the files of an import: the annotation, the split, and a configuration for training.

In the annotation every frame is in a segment, background frames too, so that each segment ends where the next one
begins. This is the half-open form, [start, end), except that a video's last end is its last frame. Without gaps, it
can't be confused with another form.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.annotation.importing import Imported, ImportOptions
from utils.annotation.lengths import FRAMES_FIRST
from utils.data.annotation import ACTIONS, ENDS, HANDLES, STARTS
from utils.data.segments import ALWAYS_BACKGROUND, BACKGROUND_LABELS
from utils.data.splits import SPLITS
from utils.errors import DataError, place
from utils.files import write_json, write_text

_CONFIG = '''"""{name}: imported from {source}.

    python multitask_train.py --config {path} --check
    python multitask_train.py --config {path}
"""

from configs.generic_config import get_generic_config


def get_config():
    CONFIG = get_generic_config()
{settings}
    # As in the experiment files of this project: docs/alignment.md says what each is worth.
    CONFIG.CAUSAL = True  # what is said of a frame depends on no later one
    CONFIG.STANDARDIZE = True
    CONFIG.LOSS_TYPE = {{'GTCC': False, 'tcc': True}}
    CONFIG.ARCHITECTURE = {{'MCN': False}}
    CONFIG.BASEARCH = {{'TEMPORAL_STACKING_ARCH': {{'conv_num_channels': 128}}}}
    CONFIG.BATCH_SIZE = 4
    CONFIG.LEARNING_RATE = 1e-3
    CONFIG.NUM_EPOCHS = 20
    CONFIG.PROGRESS_LOSS = {{'enabled': True, 'frames': 'all', 'lambda_fixed': 1.0}}
    return CONFIG
'''


def annotation_of(imported: Imported) -> dict[str, dict[str, list]]:
    """The content of NAME.json."""
    annotation: dict[str, dict[str, list]] = {}
    for recording, timeline in zip(imported.recordings, imported.timelines, strict=True):
        entry = annotation.setdefault(recording.task or "", {HANDLES: [], ACTIONS: [], STARTS: [], ENDS: []})
        pieces = timeline.pieces
        entry[HANDLES].append(recording.name)
        entry[ACTIONS].append([piece.label for piece in pieces])
        entry[STARTS].append([piece.start for piece in pieces])
        entry[ENDS].append([*(piece.end for piece in pieces[:-1]), pieces[-1].end - 1])
    return annotation


def split_of(imported: Imported) -> dict[str, list[str]] | None:
    """The content of split.json, or None where no recording has a split."""
    lists: dict[str, list[str]] = {name: [] for name in SPLITS}
    for recording in imported.recordings:
        if recording.split is not None:
            lists[recording.split].append(recording.name)
    if not any(lists.values()):
        return None
    return {name: handles for name, handles in lists.items() if handles or name != "val"}


def settings_of(imported: Imported, output: Path, options: ImportOptions) -> dict[str, Any]:
    """The settings for loading the data set that differ from the defaults, in the order of the default file."""
    name = output.resolve().name
    root = output.parent if output.name == name else output.resolve().parent
    settings: dict[str, Any] = {"EXPERIMENTNAME": name, "DATASET_NAME": name, "DATASET_PATH": str(root)}
    labels = {piece.label for timeline in imported.timelines for piece in timeline.pieces}
    background = tuple(dict.fromkeys((*sorted(ALWAYS_BACKGROUND), *options.background)))
    if set(options.background) - set(BACKGROUND_LABELS) or labels & (
        set(BACKGROUND_LABELS) - {*background}
    ):
        settings["BACKGROUND_LABELS"] = background
    if imported.features is not None and options.features is not None:
        if imported.features.layout != FRAMES_FIRST:
            settings["FEATURE_LAYOUT"] = imported.features.layout
        folder = os.path.relpath(options.features.resolve(), output.resolve())
        if folder != "features":
            settings["FEATURES_FOLDER"] = folder
    if imported.features is not None and options.videos is not None:
        settings["FRAME_RATE"] = float(imported.features.frame_rate)
        folder = os.path.relpath(options.videos.resolve(), output.resolve())
        if folder != "videos":
            settings["VIDEOS_FOLDER"] = folder
    return settings


def config_text(name: str, source: Path, path: Path, settings: Mapping[str, Any]) -> str:
    """The text of a configuration file."""
    lines = "\n".join(f"    CONFIG.{key} = {value!r}" for key, value in settings.items())
    plain = {ord(character): None for character in "\"\\\n\r"}
    return _CONFIG.format(
        name=name.translate(plain), source=source.name.translate(plain), path=str(path).translate(plain), settings=lines
    )


def write_import(imported: Imported, source: Path, output: Path, config: Path, options: ImportOptions) -> list[str]:
    """Writes the three files, each whole or not at all.

    Args:
        imported: the result of the import.
        source: its source, for the configuration's first line.
        output: `<DATASET_PATH>/<DATASET_NAME>`.
        config: the configuration file; an existing, different file is kept.
        options: the user's declarations.

    Returns:
        A sentence for each file.

    Raises:
        DataError: there is a split.json from another import, which would be used, because this import writes none.
    """
    name = output.resolve().name
    annotation_path, split_path = output / f"{name}.json", output / "split.json"
    lists = split_of(imported)
    if lists is None and split_path.exists():
        raise DataError(f"{place(split_path)}is left over from another import and would be used; remove it")
    said = []
    if lists is not None:
        write_json(split_path, lists)
        said.append(f"wrote {split_path}: " + ", ".join(f"{len(handles)} {split}" for split, handles in lists.items()))
    write_json(annotation_path, annotation_of(imported))
    said.insert(0, f"wrote {annotation_path}")
    text = config_text(name, source, config, settings_of(imported, output, options))
    if config.exists() and config.read_text(encoding="utf-8", errors="replace") != text:
        said.append(f"kept {config}, which exists already; remove it to have a new one written")
    else:
        write_text(config, text)
        said.append(f"wrote {config}")
    said.append(f"check it: python multitask_train.py --config {config} --check")
    return said
