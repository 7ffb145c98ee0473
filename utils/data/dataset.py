"""The data set: annotation, splits and features are combined and checked before training starts.

On disk, under `<DATASET_PATH>/<DATASET_NAME>/`: `<DATASET_NAME>.json` (see `utils.data.annotation`),
`features/<handle>.npy` of (T, D) or, for the ResNet-50 encoder, `frames/<handle>.npy` of (T, channels,
height, width), and an optional `split.json` (see `utils.data.splits`). `docs/data.md` describes all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from utils.data.data_settings import read_data_settings
from utils.data.feature_origin import FeatureKind
from utils.data.features import FeatureFormat, read_features
from utils.data.labels import LabelCount
from utils.data.preparation import Video, prepare_videos
from utils.data.sampling import sample_frames
from utils.data.segments import has_labels, is_background
from utils.data.splits import SPLITS
from utils.data.standardization import checked_standardization, standardization_from_moments
from utils.data.summary import summarize
from utils.data.values import digest_of
from utils.errors import DataError, place

logger = logging.getLogger(__name__)


class VideoDataset(Dataset):
    """The videos of one split.

    `dataset[i]` is (features, time_dict): float32 (T, D), or (T, channels, height, width) maps, and the segments,
    always of all frames. Training uses `dataset.in_epoch(epoch)`, which has only some frames of long videos.

    Indices from `len(dataset)` on are the training partners: a video that is the only one of its task in the split
    is batched with one of them. Iterating yields the split's own videos only.

    Args:
        videos: the split's videos.
        file_format: layout of the feature files; by default (T, D) with every frame used.
        standardization: `{'mean', 'std'}` applied to the features, or None.
        lazy: read a video each time it is needed; False keeps it in memory after the first time.
        partners: the training videos, for a validation or test split.
        max_frames: the most frames of a video that `in_epoch` gives; 0 for all.
        seed: seed of the frames that `in_epoch` draws.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        *,
        file_format: FeatureFormat | None = None,
        standardization: dict[str, Tensor] | None = None,
        lazy: bool = True,
        partners: VideoDataset | None = None,
        max_frames: int = 0,
        seed: int = 0,
    ):
        self.videos = tuple(videos)
        self.tasks = tuple(dict.fromkeys(video.task for video in self.videos))
        self.partners = partners
        self._file_format, self._standardization = file_format or FeatureFormat(), standardization
        self._max_frames, self._seed = max_frames, seed
        self._kept: dict[int, Tensor] | None = None if lazy else {}
        self._indices: dict[str, list[int]] = {task: [] for task in self.tasks}
        for index, video in enumerate(self.videos):
            self._indices[video.task].append(index)

    def __len__(self) -> int:
        return len(self.videos)

    def __iter__(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        return (self[index] for index in range(len(self)))

    def of_task(self, task: str) -> list[int]:
        """Indices of the split's own videos of a task, in file order; empty for a task it doesn't have."""
        return list(self._indices.get(task, ()))

    def partner_indices(self, task: str) -> list[int]:
        """Indices, from `len(self)` on, of the training videos of a task; none in the training split."""
        if self.partners is None:
            return []
        return [len(self) + index for index in self.partners.of_task(task)]

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Any]]:
        if index >= len(self) and self.partners is not None:
            return self.partners[index - len(self)]
        if not 0 <= index < len(self):
            raise IndexError(f"video {index} of {len(self)}")
        return self._features(index), self.videos[index].time_dict

    def fingerprint(self) -> dict[str, dict[str, str]]:
        """By task, digests of the 'segments' of its videos with their names, and of the values of their 'features'."""
        videos = {task: [self.videos[index] for index in self.of_task(task)] for task in self.tasks}
        return {
            task: {
                "segments": digest_of([video.time_dict for video in of_task]),
                "features": digest_of([video.checksum for video in of_task]),
            }
            for task, of_task in videos.items()
        }

    def in_epoch(self, epoch: int) -> Dataset:
        """The same videos with the frames that training uses in an epoch (from 0).

        From a video longer than `max_frames`, that many frames are drawn in each epoch, and the segments are adapted
        to them (see `utils.data.sampling`). The draw depends only on the seed, the epoch and the video's index, so it
        is the same in every process and in a resumed run. Only the drawn frames are read.

        This is a separate data set, not a state of this one: validation, evaluation and the progress normalisers
        still use all frames, and no state must be sent to a loader's workers.
        """
        return VideosInEpoch(self, epoch) if self._max_frames else self

    def sampled(self, index: int, epoch: int) -> tuple[Tensor, dict[str, Any]]:
        """The video with the frames of `in_epoch(epoch)`."""
        own = 0 <= index < len(self)
        if not own or not 0 < self._max_frames < self.videos[index].number_of_frames:
            return self[index]
        generator = np.random.default_rng([self._seed, epoch, index])
        frames, time_dict = sample_frames(self.videos[index].time_dict, self._max_frames, generator)
        return self._features(index, frames), time_dict

    def _features(self, index: int, frames: np.ndarray | None = None) -> Tensor:
        """A video's features, for all its frames or for the given ones."""
        if self._kept is None:
            return self._read(index, frames)
        if index not in self._kept:
            self._kept[index] = self._read(index)
        kept = self._kept[index]
        return kept if frames is None else kept[frames]

    def _read(self, index: int, frames: np.ndarray | None = None) -> Tensor:
        video = self.videos[index]
        try:
            return read_features(
                video.path, self._file_format, self._standardization, frames, video.number_of_frames, video.stamp
            )
        except DataError as error:
            raise DataError(f"{place(video.path, video.task, video.handle)}{error}") from error


class VideosInEpoch(Dataset):
    """The videos of a data set with the frames that training uses in one epoch."""

    def __init__(self, dataset: VideoDataset, epoch: int):
        self._dataset, self._epoch = dataset, epoch

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Any]]:
        return self._dataset.sampled(index, self._epoch)


@dataclass(frozen=True)
class VideoData:
    """Everything `load_data` found.

    Args:
        train, val, test: the splits; val and test hold the training videos as partners.
        feature_width: D of the features, or the channels of the maps.
        standardization: `{'mean', 'std'}`, float32 (feature_width,), or None.
        skipped_tasks: the tasks left out, and why.
        notes: one sentence for everything that was changed or skipped and is not an error.
        labels: how often each label of the file occurs, and whether it counts as background.
        segment_ends: how the ends of segments were read, in words.
        warnings: one sentence for everything that is probably a mistake; empty without `with_warnings`.
        feature_statistics: `{'mean', 'std'}` of the training features as they are in the files, or None if they
            weren't measured.
        feature_kind: how the features were made of videos, or None if that isn't known.
    """

    train: VideoDataset
    val: VideoDataset
    test: VideoDataset
    feature_width: int
    standardization: dict[str, Tensor] | None
    skipped_tasks: dict[str, str]
    notes: tuple[str, ...] = ()
    labels: tuple[LabelCount, ...] = ()
    segment_ends: str = ""
    warnings: tuple[str, ...] = ()
    feature_statistics: dict[str, Tensor] | None = None
    feature_kind: FeatureKind | None = None

    @property
    def unlabelled_tasks(self) -> tuple[str, ...]:
        """The tasks without labels."""
        videos = [*self.train.videos, *self.val.videos, *self.test.videos]
        return tuple(dict.fromkeys(video.task for video in videos if not has_labels(video.time_dict)))

    def fingerprint(self) -> dict[str, str]:
        """Digests of the data that a run depends on.

        Under the name of each split: its videos with their tasks, lengths and segments. Under 'features': the values
        of the training and validation features.
        """
        contents = {
            split: [[video.task, video.time_dict] for video in getattr(self, split).videos] for split in SPLITS
        }
        contents["features"] = [video.checksum for split in (self.train, self.val) for video in split.videos]
        return {name: digest_of(content) for name, content in contents.items()}

    def summary(self) -> str:
        """A table, one row per task: videos per split, frames, actions, background share, repeats.

        Below it: the labels, how ends were read, the tasks left out, with the reason, the notes, and the warnings.
        """
        splits = {split: getattr(self, split).videos for split in SPLITS}
        return summarize(
            splits, self.feature_width, self.skipped_tasks, self.notes, self.labels, self.segment_ends, self.warnings,
            self.feature_kind.words() if self.feature_kind else "",
        )


def load_data(
    config: Mapping[str, Any],
    standardization: dict[str, Tensor] | None = None,
    splits: Collection[str] = SPLITS,
    with_warnings: bool = False,
    log: bool = True,
) -> VideoData:
    """Reads and checks a data set.

    Args:
        config: DATASET_PATH, DATASET_NAME, TASKS, BACKGROUND_LABELS, ANNOTATION_SCALING, SKIP_RATE,
            STANDARDIZE, TRAIN_SPLIT, VALIDATION_FRACTION, LAZY_LOAD, SEED, BASEARCH.ARCHITECTURE ('resnet50'
            reads maps), and those that are optional: FEATURE_LAYOUT, FEATURES_FOLDER, MAX_FRAMES, SEGMENT_ENDS,
            UNLABELLED_TAIL and INTEGER_LABELS, which have their old meaning where they are missing.
        standardization: a standardisation computed earlier (such as a checkpoint's), used instead of the training
            split's own; STANDARDIZE is then ignored.
        splits: those that are needed; the others are empty, and their features aren't looked for.
        with_warnings: also measure all features, and look for probable mistakes.
        log: log what was left out, the notes and the warnings.

    Raises:
        DataError: with every problem of the annotation, the splits and the features.
    """
    settings = read_data_settings(config)
    measure = settings.standardize and standardization is None
    prepared = prepare_videos(settings, measure, splits, with_warnings)
    scans = prepared.scans.values()
    width = next(iter(scans)).shape[0]
    moments = [prepared.scans[video.handle].moments for video in prepared.by_split["train"]]
    measured = [each for each in moments if each is not None]
    statistics = standardization_from_moments(measured) if measured else None
    if measure:
        standardization = statistics
    elif standardization is not None:
        standardization = checked_standardization(standardization, width)
    if log:
        for task, why in prepared.skipped_tasks.items():
            logger.warning("task %r is left out: %s", task, why)
        for sentence in (*prepared.notes, *prepared.warnings):
            logger.warning("%s", sentence)
        named = [count for count in prepared.labels if count.is_background and count.label is not None]
        if chosen := [count.label for count in named if not is_background(count.label)]:
            logger.info("labels that count as background (BACKGROUND_LABELS): %s", ", ".join(map(repr, chosen)))

    def dataset(split: str, partners: VideoDataset | None = None) -> VideoDataset:
        return VideoDataset(
            prepared.by_split[split],
            file_format=settings.file_format,
            standardization=standardization,
            lazy=settings.lazy,
            partners=partners,
            max_frames=settings.max_frames,
            seed=settings.seed,
        )

    train = dataset("train")
    return VideoData(
        train=train,
        val=dataset("val", train),
        test=dataset("test", train),
        feature_width=width,
        standardization=standardization,
        skipped_tasks=prepared.skipped_tasks,
        notes=tuple(prepared.notes),
        labels=tuple(prepared.labels),
        segment_ends=prepared.ends,
        warnings=tuple(prepared.warnings),
        feature_statistics=statistics,
        feature_kind=prepared.feature_kind,
    )
