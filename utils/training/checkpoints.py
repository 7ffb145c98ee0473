"""The checkpoints of a run: the best ones, the last one (from which a run resumes), and a dump of a bad step."""

from __future__ import annotations

import copy
import logging
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor, nn

from utils.checkpoints.content import compare_shapes
from utils.checkpoints.files import (
    CHECKPOINT_TYPES,
    LoadedCheckpoint,
    ckpt_save,
    load_checkpoint,
    save_content,
)
from utils.data.dataset import VideoData
from utils.errors import CheckpointError, DataError, first_line, shown
from utils.training.progress_normalizers import mean_path_lengths
from utils.training.reproducibility import random_state, restore_random_state
from utils.training.state import TrainingState, check_random_state, load_moments

logger = logging.getLogger(__name__)


class RunCheckpoints:
    """Writes a run's checkpoints into `<run>/ckpt`, and restores from them."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, data: VideoData, config: ConfigDict, run: Path
    ):
        self.model, self.optimizer, self.data = model, optimizer, data
        self.folder = run / "ckpt"
        self.config = config.to_dict()
        self.data_fingerprint = data.fingerprint()

    def write(self, name: str, epoch: int, loss: float, **extra: Any) -> None:
        """Writes the network as it is now."""
        ckpt_save(
            model_t=self.model, optimizer_t=self.optimizer, epoch_t=epoch, loss_t=loss,
            filename=self.folder / name, config=self.config, feature_width=self.data.feature_width,
            tasks=list(self.data.train.tasks), standardization=self.data.standardization,
            feature_statistics=self.data.feature_statistics, data_fingerprint=self.data_fingerprint,
            feature_kind=self.data.feature_kind and self.data.feature_kind.to_dict(), **extra,
        )

    def write_last(self, state: TrainingState) -> None:
        """Writes `last.pt`, from which `restore` continues."""
        self.write("last.pt", state.epoch, state.best["combined"], training_state=vars(state),
                   random_state=random_state(), versions=versions())

    def restore(self, checkpoint: Mapping[str, Any], most_batches: int) -> TrainingState:
        """Restores network, optimiser and random state from the content of a `last.pt`.

        Args:
            checkpoint: its content.
            most_batches: how many batches an epoch has.

        Raises:
            DataError: the data are not those that the run was trained on.
            CheckpointError: an entry has an impossible value.
        """
        self._refuse_other_data(checkpoint)
        path = self.folder / "last.pt"
        tasks = list(self.data.train.tasks)
        try:
            state = TrainingState.of(checkpoint["training_state"])
            if state.epoch != checkpoint["epoch"] or state.batch > most_batches:
                raise CheckpointError(
                    f"training_state stands at epoch {state.epoch}, batch {state.batch}; expected epoch "
                    f"{checkpoint['epoch']} and at most {most_batches} batches"
                )
            by_action = self.config["PROGRESS_LOSS"]["level"] == "action"
            paths = state.mean_paths
            if paths and (set(paths) != set(tasks) or any(isinstance(of, dict) != by_action for of in paths.values())):
                raise CheckpointError(
                    f"training_state holds the mean paths {shown(paths)}; expected one of each of the tasks "
                    f"{shown(tasks)}{' and actions' if by_action else ''}"
                )
            compare_shapes(checkpoint["model_state_dict"], self.model.state_dict())
            load_moments(checkpoint.get("optimizer_state_dict"), self.optimizer, self.model)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        self.model.load_state_dict(checkpoint["model_state_dict"])
        try:
            check_random_state(checkpoint["random_state"])
            restore_random_state(checkpoint["random_state"])
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"{path}: random_state is invalid ({first_line(error)})") from error
        before = checkpoint.get("versions")
        if before is not None and before != versions():
            logger.warning(
                "the run was trained by %s, this is %s: it continues, but results may differ in the last bits",
                shown(before), versions(),
            )
        return state

    def _refuse_other_data(self, checkpoint: Mapping[str, Any]) -> None:
        """Refuses other data: with the same settings, the files may still have changed."""
        given, expected = self.data.feature_width, checkpoint["feature_width"]
        if given != expected:
            raise DataError(f"features have width {given}; expected {expected}, which the run was trained on")
        tasks = list(self.data.train.tasks)
        if tasks != checkpoint["tasks"]:
            raise DataError(f"the data have the tasks {tasks}; expected {checkpoint['tasks']}, as in the run so far")
        before, now = checkpoint.get("data_fingerprint"), self.data_fingerprint
        if isinstance(before, dict):
            before = {"features": now["features"], **before}  # older runs didn't store this digest
            changed = [name for name, digest in now.items() if before.get(name) != digest]
            if splits := [name for name in changed if name != "features"]:
                raise DataError(
                    f"the videos of {', '.join(splits)}, their lengths or their annotation are not those that the run "
                    f"was trained on; expected the same data, or start a new run"
                )
            if changed:
                raise DataError("the features hold other values than those that the run was trained on; expected "
                                "the same features, or start a new run")
        old, new = checkpoint.get("standardization"), self.data.standardization
        # Compared with a tolerance, because another processor may round differently.
        same = (old is None) == (new is None) and (
            old is None or all(torch.allclose(old[key], new[key], rtol=1e-3, atol=1e-6) for key in ("mean", "std"))
        )
        if not same:
            raise DataError("the training features have another mean or deviation than those that the run was "
                            "trained on; expected the same features, or start a new run")

    def dump_bad_step(
        self, state: TrainingState, sequences: Sequence[Tensor], times: Sequence[Mapping[str, Any]],
        losses: Mapping[str, Tensor],
    ) -> None:
        """Writes `bad_step.pt`, the latest step that was not finite, for inspection; it replaces an earlier one."""
        self.write(
            "bad_step.pt", state.epoch, float(losses["total_loss"].detach()), batch=state.batch,
            sequences=[sequence.cpu() for sequence in sequences], times=[dict(time_dict) for time_dict in times],
            losses={name: float(value.detach()) for name, value in losses.items()},
        )

    def load_best(self, kind: str) -> LoadedCheckpoint | None:
        """The best checkpoint of a kind with its network, on the device of training; None if there is none.

        The network is a copy of the one in training with the checkpoint's weights; nothing is built from a
        configuration here.

        Raises:
            CheckpointError: it can't be read, or its weights are not those of the network in training.
        """
        path = self.folder / f"best_model_{kind}.pt"
        if not path.is_file():
            return None
        checkpoint = load_checkpoint(path)
        compare_shapes(checkpoint["model_state_dict"], self.model.state_dict(), f"{path}: the weights")
        network = copy.deepcopy(self.model).requires_grad_(False).eval()
        network.load_state_dict(checkpoint["model_state_dict"])
        return LoadedCheckpoint(network, checkpoint, path)

    def rewrite(self, loaded: LoadedCheckpoint, **entries: Any) -> None:
        """Writes a checkpoint of the run again, with some entries replaced and the current configuration."""
        save_content({**loaded.checkpoint, "config": self.config, **entries}, loaded.path)

    def add_progress_normalizers(self, device: torch.device) -> None:
        """Adds each task's mean path length over the training videos to the best checkpoints.

        Online progress divides by it, and it may depend on the training videos alone. Done once, at the end of
        training, because it embeds every training video. Both checkpoints may come from the same epoch.
        """
        of_epoch: dict[int, dict[str, float]] = {}
        for kind in CHECKPOINT_TYPES:
            loaded = self.load_best(kind)
            if loaded is None or "progress_normalizers" in loaded.checkpoint:
                continue
            epoch = loaded.checkpoint["epoch"]
            if epoch not in of_epoch:
                of_epoch[epoch] = mean_path_lengths(loaded.model, self.data.train, device)
            self.rewrite(loaded, progress_normalizers=of_epoch[epoch])


def versions() -> dict[str, str]:
    """What must be the same, besides the machine, for a resumed run to end with identical bits."""
    threads = str(torch.get_num_threads())
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__,
            "threads": threads}
