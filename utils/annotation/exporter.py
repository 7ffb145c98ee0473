"""Exports steps and progress as files of annotation tools, to correct them there and import them again.

    python -m utils.annotation.exporter data/tea/tea.json corrected --format elan --frame-rate 10
    python -m utils.annotation.exporter output/tea/predictions corrected --format lerobot --frame-rate 30

SOURCE is an annotation of this project (NAME.json), or a folder of files <recording>.csv of predict.py. With
--progress, the progress in such a folder is added to the steps of an annotation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from utils.annotation.exporters import EXPORTERS, ExportOptions, exporter_of
from utils.annotation.exporting import outlines_of_annotation, outlines_of_predictions, with_progress
from utils.annotation.times import parse_rate
from utils.command import leave, run_command
from utils.errors import DataError
from utils.registry import SEGMENT_ENDS


def _rate(text: str) -> Fraction:
    try:
        return parse_rate(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    formats = "\n".join(f"  {name:<14}{exporter.words}" for name, exporter in EXPORTERS.items())
    parser = argparse.ArgumentParser(
        prog="python -m utils.annotation.exporter", description=__doc__, epilog=f"formats:\n{formats}",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("source", type=Path, help="NAME.json, or a folder of predictions")
    parser.add_argument("output", type=Path, help="folder to write to")
    parser.add_argument("--format", required=True, metavar="NAME", help="see below")
    parser.add_argument("--frame-rate", required=True, type=_rate, metavar="R", help="frames/s of the features")
    parser.add_argument("--video-rate", type=_rate, metavar="R", help="frames/s of the videos; by default the same")
    parser.add_argument("--progress", type=Path, metavar="FOLDER", help="predictions whose progress is added")
    parser.add_argument("--task", nargs="+", default=(), metavar="TASK", help="only these tasks of an annotation")
    parser.add_argument(
        "--segment-ends", choices=SEGMENT_ENDS[:3], default=SEGMENT_ENDS[0], help="SEGMENT_ENDS of an annotation"
    )
    parser.add_argument("--media-suffix", default=".mp4", help="suffix of the media files; by default .mp4")
    parser.add_argument("--model", default="", help="name of the model that made the steps, for formats that store it")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Exports, and prints which files were written."""
    given = _parser().parse_args(arguments)
    write = exporter_of(given.format)
    if given.source.is_dir():
        outlines = outlines_of_predictions(given.source)
    else:
        outlines = outlines_of_annotation(given.source, given.task, given.segment_ends)
    if given.progress is not None:
        outlines = with_progress(outlines, outlines_of_predictions(given.progress))
    options = ExportOptions(given.frame_rate, given.video_rate or given.frame_rate, given.media_suffix, given.model)
    paths = write(outlines, given.output, options)
    sys.stdout.write("".join(f"wrote {path}\n" for path in paths))
    return 0


if __name__ == "__main__":
    leave(run_command(main, sys.argv[1:]))
