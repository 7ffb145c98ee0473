"""The checkpoints of a run: the best ones, the last one with all that resuming needs, and a dump of a bad step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn

from models.json_dataset import VideoData
from utils.ckpt_save import CHECKPOINT_TYPES, ckpt_save, load_checkpoint, load_model, save_content
from utils.progress_normalizers import mean_path_lengths
from utils.reproducibility import random_state, restore_random_state
from utils.training_log import Row


@dataclass
class TrainingState:
    """Where a run stands; plain values, so that `ckpt/last.pt` can hold it.

    epoch: the epoch under way, from 0. batch: how many of its batches are done. totals: their sums. best: lowest
    validation loss of each checkpoint type. history: a row for every finished epoch. bad_steps: skipped steps,
    in the whole run and in a row. seconds: training time of the epoch under way.
    """

    epoch: int = 0
    batch: int = 0
    totals: dict[str, dict] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CHECKPOINT_TYPES, float("inf")))
    history: list[Row] = field(default_factory=list)
    bad_steps: int = 0
    bad_steps_in_a_row: int = 0
    seconds: float = 0.0


class RunCheckpoints:
    """Writes a run's checkpoints into `<run>/ckpt`, and restores from them."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, data: VideoData, config: ConfigDict, run: Path
    ):
        self.model, self.optimizer, self.data = model, optimizer, data
        self.folder = run / "ckpt"
        self.config = config.to_dict()

    def write(self, name: str, epoch: int, loss: float, **extra: Any) -> None:
        """Writes the network as it is now."""
        ckpt_save(
            model_t=self.model, optimizer_t=self.optimizer, epoch_t=epoch, loss_t=loss,
            filename=self.folder / name, config=self.config, feature_width=self.data.feature_width,
            tasks=list(self.data.train.tasks), standardization=self.data.standardization, **extra,
        )

    def write_last(self, state: TrainingState) -> None:
        """Writes `last.pt`, from which `restore` continues."""
        self.write("last.pt", state.epoch, state.best["combined"],
                   training_state=vars(state), random_state=random_state())

    def restore(self, checkpoint: Mapping[str, Any]) -> TrainingState:
        """Puts network, optimiser and random numbers back to where a `last.pt` left them."""
        self.model.load_state_dict(checkpoint["model_state_dict"])
        self.optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
        restore_random_state(checkpoint["random_state"])
        return TrainingState(**checkpoint["training_state"])

    def dump_bad_step(
        self, state: TrainingState, sequences: Sequence[Tensor], times: Sequence[Mapping[str, Any]],
        losses: Mapping[str, Tensor],
    ) -> None:
        """Writes `bad_step.pt`, the latest step that was not finite, for inspection; there is only ever one."""
        self.write(
            "bad_step.pt", state.epoch, float(losses["total_loss"].detach()), batch=state.batch,
            sequences=[sequence.cpu() for sequence in sequences], times=[dict(time_dict) for time_dict in times],
            losses={name: float(value.detach()) for name, value in losses.items()},
        )

    def add_progress_normalizers(self, device: torch.device) -> None:
        """Adds each task's mean path length over the training videos to the best checkpoints.

        Online progress divides by it, and only the training videos may decide it. Done once, at the end,
        since it embeds every training video.
        """
        for kind in CHECKPOINT_TYPES:
            path = self.folder / f"best_model_{kind}.pt"
            if not path.is_file():
                continue
            checkpoint = load_checkpoint(path)
            if "progress_normalizers" not in checkpoint:
                normalizers = mean_path_lengths(load_model(checkpoint, device), self.data.train, device)
                save_content({**checkpoint, "progress_normalizers": normalizers}, path)
