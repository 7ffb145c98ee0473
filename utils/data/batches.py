"""Batches for alignment: two or more videos of one task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from utils.data.dataset import VideoDataset


def collate_videos(
    items: Sequence[tuple[Tensor, dict[str, Any]]],
) -> tuple[list[Tensor], list[dict[str, Any]]]:
    """A batch: the list of sequences, which may differ in length, and the list of their time_dicts."""
    return [features for features, _ in items], [time_dict for _, time_dict in items]


class TaskBatchSampler(Sampler[list[int]]):
    """Lists of indices for a `DataLoader`'s `batch_sampler`: each has two or more different videos of one task.

    Every video of the data set is used at least once per epoch. The videos of a task that don't fill a batch form a
    smaller one. A single remaining video gets one partner: another video of its task in this data set or, if there
    is none, a training video (see `VideoDataset.partner_indices`).

    The order depends only on the seed and the epoch, so that every training process has the same list.

    Args:
        dataset: the videos.
        batch_size: 2 or more.
        seed: seed of the order.
        shuffle: False keeps the data set's order, the same in every epoch.

    Raises:
        ValueError: a bad argument, or a video that has no partner at all.
    """

    def __init__(
        self,
        dataset: VideoDataset,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
    ):
        if batch_size < 2:
            raise ValueError(
                f"BATCH_SIZE is {batch_size}; expected at least 2, since alignment compares videos"
            )
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.epoch = 0
        self._own = {task: dataset.of_task(task) for task in dataset.tasks}
        self._partners = {task: dataset.partner_indices(task) for task in dataset.tasks}
        for task, own in self._own.items():
            if len(own) + len(self._partners[task]) < 2:
                raise ValueError(
                    f"task {task!r} has one video and no training partner; expected two to compare"
                )

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of this epoch (from 0)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(-(-len(own) // self.batch_size) for own in self._own.values())

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        batches = [batch for task in self._own for batch in self._batches_of(task, generator)]
        yield from (batches[position] for position in self._order(len(batches), generator))

    def _batches_of(self, task: str, generator: torch.Generator) -> list[list[int]]:
        own = self._own[task]
        videos = [own[position] for position in self._order(len(own), generator)]
        batches = [
            videos[start : start + self.batch_size] for start in range(0, len(videos), self.batch_size)
        ]
        if len(batches[-1]) == 1:
            candidates = videos[:-1] or self._partners[task]
            batches[-1].append(candidates[self._order(len(candidates), generator)[0]])
        return batches

    def _order(self, count: int, generator: torch.Generator) -> list[int]:
        return torch.randperm(count, generator=generator).tolist() if self.shuffle else list(range(count))
