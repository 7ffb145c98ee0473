"""Chooses how progress is read, and writes it for predict.py.

    python -m utils.prediction.fit_progress data/tea              # an annotation, and features or videos; no network
    python -m utils.prediction.fit_progress data/tea --frame-rate 10 --test --output tea.progress.pt
    python -m utils.prediction.fit_progress --config configs/demo.py
    python -m utils.prediction.fit_progress --checkpoint best_model_combined.pt

Every way to read progress is fitted to some of the training and validation recordings and judged on the others. The
command prints what each errs, beside the naive guesses; the best is fitted to all recordings and written: to
NAME.progress.pt, or beside the checkpoint. Then `predict.py --checkpoint NAME.progress.pt recording.npy` answers with
progress, an interval, the current step, what remains, and whether the recording is unlike those of the training.
docs/progress.md says how.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.command import frames_a_second, run_command

logger = logging.getLogger("fit_progress")


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.prediction.fit_progress", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "dataset", nargs="?", type=Path,
        help="folder of a data set, NAME, which holds NAME.json and features/ or videos/",
    )
    parser.add_argument("--config", help="an experiment file that says which data set, instead")
    parser.add_argument("--checkpoint", help="a trained network, whose data set and embedding are used, instead")
    parser.add_argument("-f", "--folder", help="the run of the checkpoint; by default the newest one")
    parser.add_argument("--dataset-path", default="", help="folder of the data sets, if it is not the configuration's")
    parser.add_argument("--features-folder", default="", help="folder of the feature files, likewise")
    parser.add_argument("--background", nargs="*", metavar="LABEL", help="labels in which progress doesn't rise")
    parser.add_argument(
        "--frame-rate", type=frames_a_second, help="frames of the features a second, for the time that remains"
    )
    parser.add_argument("--tasks", nargs="*", default=(), help="only these; by default all")
    parser.add_argument("--seed", type=int, help="of all random choices; by default the configuration's, or 0")
    parser.add_argument("--test", action="store_true", help="also judge what was chosen on the test recordings")
    parser.add_argument("--output", type=Path, help="file to write; by default NAME.progress.pt here")
    parser.add_argument("--device", default="auto", help="where a checkpoint's network computes")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = argument_parser()
    options = parser.parse_args(arguments[1:])
    if sum(bool(given) for given in (options.dataset, options.config, options.checkpoint)) != 1:
        parser.error("expected one of: the folder of a data set, --config, --checkpoint")
    if options.checkpoint and options.output:
        parser.error("--output is for a data set; the models of a checkpoint are written beside it")

    # Imported here, so that --help and a wrong option are answered at once: torch alone takes a second.
    from configs.entry_config import validated_experiment
    from configs.generic_config import get_generic_config
    from configs.settings import with_settings
    from utils.ckpt_save import find_checkpoint, load_checkpoint
    from utils.data.dataset import load_data
    from utils.errors import DataError
    from utils.prediction.progress.files import save_models
    from utils.prediction.progress.report import report_text
    from utils.prediction.progress_files import (
        fit_for_checkpoint,
        fit_to_features,
        judge_test,
        progress_path,
        seen_frame_rate,
    )
    from utils.training.reproducibility import choose_device
    from utils.video.data_set import make_missing_features

    path, checkpoint = None, None
    if options.checkpoint:
        path = find_checkpoint(options.checkpoint, options.folder)
        checkpoint = load_checkpoint(path)
        config = checkpoint["config"]
    elif options.config:
        config = validated_experiment(options.config).to_dict()
    else:
        folder = options.dataset.resolve()
        config = get_generic_config().to_dict()
        config.update(DATASET_PATH=str(folder.parent), DATASET_NAME=folder.name)
    changed: dict[str, Any] = {
        "DATASET_PATH": options.dataset_path, "FEATURES_FOLDER": options.features_folder,
        "TASKS": tuple(options.tasks), "FRAME_RATE": options.frame_rate,
    }  # fmt: skip
    config = with_settings(config, **changed)
    if options.background is not None:
        config["BACKGROUND_LABELS"] = tuple(options.background)
    if options.seed is not None:
        config["SEED"] = options.seed

    if checkpoint is not None:
        checkpoint = {**checkpoint, "config": config}
        data = load_data(config, standardization=checkpoint.get("standardization"))
        try:
            device = choose_device(options.device)
        except (ValueError, RuntimeError) as error:
            parser.error(f"--device: {error}")
        models = fit_for_checkpoint(path, checkpoint, data, device)
        written = progress_path(path)
    else:
        make_missing_features(config)
        # Read-outs scale the features themselves, and are then independent of the training split's scale.
        data = load_data({**config, "STANDARDIZE": False})
        kind = data.feature_kind
        if kind is not None:
            config["FRAME_RATE"] = kind.frame_rate
        models, _ = fit_to_features(data, config["SEED"], seen_frame_rate(config))
        written = options.output or Path(f"{config['DATASET_NAME']}.progress.pt")
        if models:
            save_models(
                models, written, layout=config["FEATURE_LAYOUT"], skip_rate=config["SKIP_RATE"],
                feature_kind=kind and kind.to_dict(),
            )  # fmt: skip
    if not models:
        raise DataError("no task has enough labelled recordings for a progress model; the warnings above say why")
    for task, model in models.items():
        print(report_text(task, model))
        if options.test:
            print(judge_test(model, data, task, checkpoint))
        print()
    logger.info("written %s", written)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv))
