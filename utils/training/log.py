"""The record of a training run: one row an epoch, as `metrics.csv`, as loss curves, and for TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from utils.figures.loss_curves import plot_loss_curves
from utils.files import write_csv
from utils.training.processes import Processes
from utils.training.tensorboard import TensorBoardLog

Row = dict[str, float]

TENSORBOARD_FOLDER = "tensorboard"

logger = logging.getLogger(__name__)


class Averages:
    """Running means of named scalars. The sums stay on the scalars' device, so that adding doesn't wait for it."""

    def __init__(self, sums: Mapping[str, Tensor] | None = None, counts: Mapping[str, int] | None = None):
        self.sums: dict[str, Tensor] = dict(sums or {})
        self.counts: dict[str, int] = dict(counts or {})

    def add(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            value = value.detach().double()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def gathered(self, processes: Processes) -> Averages:
        """The sums and counts of all processes added together."""
        sums = processes.sum({name: float(total) for name, total in self.sums.items()})
        counts = {name: int(count) for name, count in processes.sum(self.counts).items()}
        return Averages({name: torch.tensor(total, dtype=torch.float64) for name, total in sums.items()}, counts)

    def means(self, processes: Processes | None = None) -> dict[str, float]:
        """The mean of each scalar; with `processes`, over all of them."""
        gathered = self.gathered(processes or Processes())
        return {name: float(total) / gathered.counts[name] for name, total in gathered.sums.items()}

    def state(self) -> dict[str, dict]:
        """Plain values for a checkpoint; `Averages(**state)` continues from there."""
        return {"sums": {name: total.cpu() for name, total in self.sums.items()}, "counts": dict(self.counts)}


def epoch_row(epoch: int, **groups: Mapping[str, float]) -> Row:
    """One flat row: `epoch_row(0, train={'total_loss': 2.0})` gives `{'epoch': 0, 'train_total_loss': 2.0}`."""
    row: Row = {"epoch": epoch}
    for group, values in groups.items():
        row.update({f"{group}_{name}": float(value) for name, value in values.items()})
    return row


def log_epoch(row: Row, num_epochs: int) -> None:
    """Logs an epoch: its losses, its time in seconds, and each loss part's gradient norm on the embedding."""
    losses = {name: value for name, value in row.items() if name.endswith("_loss") and "at_epoch" not in name}
    text = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
    logger.info("epoch %d/%d: %s (%.1f s)", row["epoch"] + 1, num_epochs, text, row["train_seconds"])
    if "train_progress_gradient" in row:
        alignment, progress = row["train_alignment_gradient"], row["train_progress_gradient"]
        logger.info("gradient on the embedding: alignment %.3g, lambda x progress %.3g", alignment, progress)


class TrainingLog:
    """Writes the rows of a run: `metrics.csv`, `loss_curves.png`, and event files for TensorBoard if it is on.

    Args:
        run: the run's folder.
        criteria: name of a best checkpoint -> the validation loss whose minimum it keeps.
        tensorboard: whether to write for TensorBoard too.

    Raises:
        MissingExtraError: TensorBoard is asked for and not installed.
    """

    def __init__(self, run: Path, criteria: Mapping[str, str], tensorboard: bool = False):
        self.run, self.criteria = run, criteria
        self.tensorboard = TensorBoardLog(run / TENSORBOARD_FOLDER) if tensorboard else None

    def write(self, rows: list[Row], curves: bool = False) -> None:
        """Writes all rows so far, and the curves if asked. Whole files: no row is missing, none is there twice."""
        write_csv(self.run / "metrics.csv", rows)
        picture = self.run / "loss_curves.png"
        if curves and rows:
            plot_loss_curves(rows, picture, self.criteria)
        if self.tensorboard is not None and rows:
            self.tensorboard.write(rows, picture if curves else None)


def all_finite(*values: Tensor) -> Tensor:
    """Whether all scalars are finite: a bool tensor, on their device."""
    return torch.stack([torch.isfinite(value.detach()) for value in values]).all()
