"""Evaluates a checkpoint, or embeddings: figures per task with intervals beside naive guesses, tables and pictures.

    python eval.py --checkpoint best_model_combined.pt
    python eval.py --checkpoint best_model_alignment.pt --folder output/demo/run-001 --split val
    python eval.py --checkpoint best_model_combined.pt --video tea_07 --formats pdf svg
    python eval.py --checkpoint best_model_combined.pt --compare output/demo/run-001 output/demo/run-002
    python eval.py --checkpoint best_model_combined.pt --format latex --output table.tex \\
        --compare TCC=output/tcc/run-001,output/tcc/run-002 GTCC=output/gtcc/run-001,output/gtcc/run-002
    python eval.py --embeddings FOLDER --config configs/salads50.py

Writes to RUN/EVAL/<checkpoint>/ (with --task to a folder of its own): a CSV file a metric, metrics.json,
progress+*.png, similarity+*.png, map+*.png, and report.html, which holds them all. RUN/report.html holds all
evaluations of the run, its checkpoints side by side. --compare prints, and evaluates only those of which there are no
figures yet, or figures of other weights, settings or data.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.command import run_command
from utils.errors import import_extra
from utils.registry import PUBLISHED_KEY_STEPS, SEGMENTATIONS

logger = logging.getLogger("eval")

FORMATS = ("png", "pdf", "svg")  # what `utils.figures.saving` writes


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", help="a path, a run, or the name of a file in the ckpt folder of the run")
    parser.add_argument("-f", "--folder", help="the run; by default the newest one")
    parser.add_argument(
        "--embeddings", type=Path, metavar="FOLDER",
        help="instead of a checkpoint: <recording>.npy, (frames, dimensions), that any other code made",
    )
    parser.add_argument("--config", metavar="FILE", help="the experiment file that says what data set they are of")
    parser.add_argument(
        "--frames-ahead", type=_count,
        help="how many later frames an embedding of --embeddings depends on; 0 if none, by default nobody knows",
    )
    parser.add_argument("--split", choices=("test", "val"), default="test")
    parser.add_argument("--task", nargs="+", default=[], help="only these tasks")
    parser.add_argument("--dataset-path", default="", help="folder of the data sets, if not that of the training")
    parser.add_argument("--features-folder", default="", help="FEATURES_FOLDER, if not that of the training")
    parser.add_argument(
        "--output", help="folder to write to instead of RUN/EVAL/<checkpoint>; with --compare a file for the table"
    )
    parser.add_argument(
        "--compare", nargs="+", default=[], metavar="RUN",
        help="two or more runs, checkpoint files or folders of evaluations to compare, or groups of them (seeds), "
        "NAME=RUN,RUN,...; the first is the base",
    )
    parser.add_argument("--format", choices=("text", "csv", "latex"), default="text", help="of the comparison")
    parser.add_argument(
        "--figures", type=_count, default=3, metavar="N",
        help="recordings a task to draw, evenly spread from best to worst online error; by default 3: best, median and "
        "worst; 0 draws none",
    )
    parser.add_argument(
        "--video", action="append", default=[], metavar="NAME", help="draw this recording too; may be repeated"
    )
    parser.add_argument(
        "--formats", nargs="+", choices=FORMATS, default=["png"],
        help="of the pictures; a PNG is always written, for the report",
    )
    parser.add_argument("--tsne", action="store_true", help="map the frames by t-SNE instead of PCA")
    parser.add_argument("--no-classifier", action="store_true", help="leave out PC")
    parser.add_argument(
        "--published-definitions", action="store_true",
        help="KT, PC and PHP as the literature's programs define them, too; PC so takes minutes and scikit-learn",
    )
    parser.add_argument(
        "--key-steps", type=_at_least_one, nargs="?", const=PUBLISHED_KEY_STEPS, default=0, metavar="K",
        help="find K key steps without labels, by default 7, and match them with the actions: F1 and IoU; needs "
        "scikit-learn",
    )
    parser.add_argument(
        "--segmentation", choices=SEGMENTATIONS, default=SEGMENTATIONS[0],
        help="how key steps are found: by transport, which knows the order of frames, or by k-means alone",
    )
    parser.add_argument("--device", default="auto")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = argument_parser()
    options = parser.parse_args(arguments[1:])
    if len(options.compare) == 1:
        parser.error("--compare needs at least two runs, or groups of them")
    if options.compare and options.folder:
        parser.error("--compare names its runs itself: leave out --folder")
    if options.format != "text" and not options.compare:
        parser.error("--format is that of a comparison: it goes with --compare")
    try:
        groups, are_named = _groups(options.compare)
    except ValueError as error:
        parser.error(f"--compare: {error}")
    if options.embeddings is None:
        if options.config or options.frames_ahead is not None:
            parser.error("--config and --frames-ahead go with --embeddings; a checkpoint holds its own")
        if not options.checkpoint and not options.compare:
            parser.error("give --checkpoint, or --embeddings and --config")
    elif not options.config:
        parser.error("--embeddings needs --config, the experiment file that says what data set they are of")
    elif options.checkpoint or options.folder or options.compare:
        parser.error("--embeddings stands instead of --checkpoint, and goes without --folder and --compare")

    # Imported here, so that --help and a wrong option are answered at once: torch alone takes a second.
    from configs.entry_config import validated_experiment
    from utils.ckpt_save import find_checkpoint
    from utils.evaluation.checkpoint import (
        EvaluationRequest,
        evaluate_checkpoint,
        evaluation_folder,
        fingerprints_of_figures,
        stored_results,
    )
    from utils.evaluation.comparison import comparison_table, refuse_other_truths
    from utils.evaluation.external_embeddings import evaluate_embeddings
    from utils.evaluation.group_comparison import compare_groups, read_evaluation_folder
    from utils.evaluation.group_tables import TABLES, explanation
    from utils.evaluation.notes import VALIDATION_CHOSE
    from utils.evaluation.results import ALL_TASKS, METRICS_FILE, Result
    from utils.evaluation.tables import results_table
    from utils.files import write_text
    from utils.prediction.embedding import TRAINED
    from utils.report.page import REPORT, write_reports
    from utils.training.reproducibility import choose_device

    if options.tsne:
        import_extra("sklearn.manifold", "evaluation", "--tsne")  # not after minutes of evaluation
    if options.key_steps:
        import_extra("sklearn.cluster", "evaluation", "--key-steps")
    try:
        device = str(choose_device(options.device))
    except (ValueError, RuntimeError) as error:
        parser.error(f"--device: {error}")
    request = EvaluationRequest(
        options.split, tuple(options.task), options.dataset_path, not options.no_classifier, options.figures, device,
        "tsne" if options.tsne else "pca", options.features_folder, options.published_definitions,
        tuple(options.video), tuple(options.formats), key_steps=options.key_steps, segmentation=options.segmentation,
    )

    def evaluate(path: Path, folder: Path) -> list[Result]:
        logger.info("evaluating %s", path)
        results = evaluate_checkpoint(path, request, folder)
        write_reports(folder)
        return results

    def find(source: str) -> Path:
        if Path(source).is_file() or (Path(source) / METRICS_FILE).is_file():
            return Path(source)
        if not options.checkpoint:
            parser.error(f"--compare names {source}, no file: --checkpoint says which checkpoint of that run is meant")
        return find_checkpoint(options.checkpoint, source)

    said = f"\n{VALIDATION_CHOSE}" if options.split == "val" else ""

    if options.compare:
        groups = {name: [find(source) for source in sources] for name, sources in groups.items()}
        paths = [path for members in groups.values() for path in members]
        if len({path.resolve() for path in paths}) < len(paths):
            parser.error(f"--compare means one checkpoint twice: {', '.join(map(str, paths))}")
        evaluations = {path: read_evaluation_folder(path, request) for path in paths if path.is_dir()}
        fingerprints = fingerprints_of_figures([path for path in paths if path not in evaluations], request)
        known = {**{path: found.fingerprint for path, found in evaluations.items()}, **fingerprints}
        refuse_other_truths({str(path): known[path] for path in paths}, options.split)
        figures = {path: found.results for path, found in evaluations.items()}
        for path, fingerprint in fingerprints.items():
            folder = evaluation_folder(path, options.split, options.task)
            # Figures on disk have a report beside them, written with them; a comparison adds nothing to it.
            figures[path] = stored_results(path, request, folder, fingerprint) or evaluate(path, folder)
        if options.format == "text" and not are_named:
            table = comparison_table({str(path): figures[path] for path in paths}, TRAINED) + said
        else:
            lines = explanation({name: list(map(str, members)) for name, members in groups.items()}, TRAINED)
            lines += [VALIDATION_CHOSE] if said else []
            runs = {name: [figures[path] for path in members] for name, members in groups.items()}
            table = TABLES[options.format](compare_groups(runs, TRAINED), lines)
        if options.output:
            write_text(Path(options.output), f"{table}\n")
            logger.info("written to %s", options.output)
        else:
            print(table)
        return 0

    external = options.embeddings is not None
    path = options.embeddings / "embeddings" if external else find_checkpoint(options.checkpoint, options.folder)
    folder = Path(options.output) if options.output else evaluation_folder(path, options.split, options.task)
    if external:
        config = validated_experiment(options.config).to_dict()
        results = evaluate_embeddings(options.embeddings, config, request, folder, options.frames_ahead)
        write_reports(folder)
    else:
        results = evaluate(path, folder)
    tasks = list(dict.fromkeys(result.task for result in results))
    print(results_table(results, tasks[0] if len(tasks) == 2 else ALL_TASKS) + said)
    print(f"\nwritten to {folder}, with {REPORT}")
    return 0


def _groups(given: Sequence[str]) -> tuple[dict[str, list[str]], bool]:
    """What --compare means: by name the runs of each group, and whether the names were given.

    A run by itself is a group of one, named by its letter. A path that exists is a run, whatever is in its name.

    Raises:
        ValueError: runs and groups are mixed, a group has no name or an empty run, or two have one name.
    """
    splits = [("", "", text) if Path(text).exists() else text.partition("=") for text in given]
    named = [bool(separator) for _, separator, _ in splits]
    if not any(named):
        return {_letter(number): [text] for number, text in enumerate(given)}, False
    if not all(named):
        raise ValueError(f"{given[named.index(False)]} is a run by itself; expected NAME=RUN,RUN,... of every group")
    groups = {name.strip(): runs.split(",") for name, _, runs in splits}
    if len(groups) < len(splits) or "" in groups or not all(map(all, groups.values())):
        raise ValueError("expected NAME=RUN,RUN,... of every group, with different names and no empty run")
    return groups, True


def _letter(number: int) -> str:
    """A to Z, then A1 to Z1 and so on."""
    turn, place = divmod(number, 26)
    return f"{chr(ord('A') + place)}{turn or ''}"


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv, "--output"))
