"""The rows of a training run for TensorBoard, an optional extra."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from utils.errors import import_extra

GROUPS = ("train", "val_at_epoch", "val")


def require_tensorboard() -> None:
    """Checks, before any work, that TensorBoard is installed.

    Raises:
        MissingExtraError: with the line that installs it.
    """
    import_extra("tensorboard", "tensorboard", "TENSORBOARD = True")


def tag(column: str) -> str:
    """The name of a scalar: `train_total_loss` becomes `train/total_loss`, one section of the page a group."""
    return re.sub(f"^({'|'.join(GROUPS)})_", r"\1/", column)


class TensorBoardLog:
    """Event files of a run; step N is epoch N, counted from 1 as in the loss curves.

    The first write replaces everything that earlier processes wrote for the run. So a resumed run has every epoch
    exactly once, wherever the earlier process was stopped.

    Args:
        folder: where to write; other event files in it belong to the same run.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path):
        require_tensorboard()
        self.folder = folder
        self._writer: Any = None
        self._written = 0

    def write(self, rows: Sequence[Mapping[str, float]], picture: Path | None = None) -> None:
        """Adds the new rows, and waits until they are in the file.

        Args:
            rows: all rows so far, at least one; one row per epoch, with `epoch` counted from 0.
            picture: a PNG of the loss curves, to be shown at the last epoch.
        """
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import, and needed by few

            # All rows are written again. TensorBoard orders the files of one second by their names, so that it could
            # take the older of two for the newer one.
            for earlier in self.folder.glob("events.out.tfevents.*"):
                earlier.unlink()
            self._writer = SummaryWriter(str(self.folder), purge_step=1)
        for row in rows[self._written:]:
            for column, value in row.items():
                if column != "epoch":
                    self._writer.add_scalar(tag(column), value, global_step=row["epoch"] + 1)
        self._written = len(rows)
        if picture is not None:
            with Image.open(picture) as image:
                pixels = np.asarray(image.convert("RGB"))
            self._writer.add_image("loss_curves", pixels, global_step=rows[-1]["epoch"] + 1, dataformats="HWC")
        self._writer.flush()
