"""What was run: the settings, data and versions behind an evaluation, as plain values for `metrics.json`."""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs.generic_config import get_generic_config
from utils.data.dataset import VideoData
from utils.data.splits import SPLITS
from utils.registry import LOSSES

DIGITS_OF_FINGERPRINT = 12
PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def describe_run(checkpoint: Mapping[str, Any], path: Path, data: VideoData, date: datetime) -> dict[str, Any]:
    """The training that a checkpoint is of, the data it is evaluated on, and when and with what that is done.

    Args:
        checkpoint: its content.
        path: its file.
        data: what is evaluated on.
        date: of the evaluation.

    Returns:
        Plain values, for the key `run` of `metrics.json`; None where the configuration doesn't say.
    """
    config = checkpoint["config"]
    architecture = config.get("ARCHITECTURE") or {}
    return {
        "experiment": config.get("EXPERIMENTNAME"),
        "losses": _losses(config),
        "progress_loss": _progress_loss(config.get("PROGRESS_LOSS") or {}),
        "seed": config.get("SEED"),
        "epochs": config.get("NUM_EPOCHS"),
        "causal": config.get("CAUSAL"),
        "encoder": (config.get("BASEARCH") or {}).get("ARCHITECTURE"),
        "crosstask": architecture.get("MCN"),
        "recordings": {
            split: dict(Counter(video.task for video in getattr(data, split).videos)) for split in SPLITS
        },
        "data_fingerprint": {part: digest[:DIGITS_OF_FINGERPRINT] for part, digest in data.fingerprint().items()},
        "versions": {
            "project": project_version(),
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
        "date": date.isoformat(" ", "minutes"),
        "checkpoint_date": datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "minutes"),
    }


def project_version() -> str | None:
    """The version in the checkout that the code runs from, which an installed one may lag behind."""
    if not PROJECT.is_file():
        return None
    found = re.search(r'^version = "(.+)"$', PROJECT.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else None


def _losses(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The losses that are on, each with its parameters that differ from the default."""
    switches = config.get("LOSS_TYPE") or {}
    defaults = get_generic_config().to_dict()
    losses = {}
    for name in (name for name, is_on in switches.items() if is_on):
        if name in LOSSES:
            group = LOSSES[name].settings
            own, default = config.get(group) or {}, defaults[group]
        else:
            own, default = (config.get("CUSTOM_LOSS_PARAMS") or {}).get(name) or {}, {}
        losses[name] = {key: value for key, value in own.items() if key not in default or value != default[key]}
    return losses


def _progress_loss(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Level, frames, and the weight or where it goes from and to; None if there is none."""
    if not settings.get("enabled"):
        return None
    curriculum = settings.get("lambda_curriculum") or {}
    weight: Any = settings.get("lambda_fixed")
    if curriculum.get("enabled"):
        weight = {"start": curriculum.get("start"), "end": curriculum.get("end")}
    return {"level": settings.get("level"), "frames": settings.get("frames"), "lambda": weight}
