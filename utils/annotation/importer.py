"""Imports annotations of other programs and public data sets: writes this project's files.

    python -m utils.annotation.importer SOURCE data/tea --format elan --tier Steps --features data/tea/features \\
        --frame-rate 10 --unlabelled background

SOURCE is a file or a folder. The command writes OUT/NAME.json, OUT/split.json if the source has a split, and a
configuration file; NAME is the name of OUT. First it prints how it interprets the source. Missing, doubtful or
contradictory information is an error that names the option to give; then nothing is written. docs/importing.md
shows every format.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from utils.annotation.importing import ImportOptions, import_annotation
from utils.annotation.lerobot_features import write_features
from utils.annotation.readers import READERS, ReadOptions
from utils.annotation.recording import EXCLUSIVE, INCLUSIVE
from utils.annotation.timeline import OUTSIDE_RULES, OVERLAP_RULES, UNLABELLED_RULES, WITHOUT_END_RULES, Rules
from utils.annotation.times import UNITS, parse_rate
from utils.annotation.understood import describe
from utils.annotation.writing import write_import
from utils.command import leave, run_command
from utils.errors import ConfigError, DataError

logger = logging.getLogger(__name__)


def _columns(text: str) -> dict[str, str]:
    """'video=clip,label=action' as a dictionary."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    if any(not key or not separator or not value for key, separator, value in pairs):
        raise argparse.ArgumentTypeError(f"{text!r}; expected video=NAME,label=NAME,start=NAME,end=NAME")
    return {key: value for key, _, value in pairs}


def _rate(text: str):
    try:
        return parse_rate(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {error}") from error
    if groups != 1:
        raise argparse.ArgumentTypeError(f"{text!r} has {groups} groups (...); expected one")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 0")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    formats = "\n".join(f"  {name:<18}{reader.words}" for name, reader in READERS.items())
    parser = argparse.ArgumentParser(
        prog="python -m utils.annotation.importer", description=__doc__, epilog=f"formats:\n{formats}",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("source", type=Path, help="a file or a folder")
    parser.add_argument("output", type=Path, help="<DATASET_PATH>/<DATASET_NAME>")
    parser.add_argument("--format", required=True, metavar="NAME", help="see below")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file to write; by default OUT/NAME.py"
    )

    group = parser.add_argument_group("content of the source")
    group.add_argument("--columns", type=_columns, default={}, metavar="video=..,label=..,start=..,end=..")
    group.add_argument("--no-header", action="store_true", help="a table's columns are called 1, 2, 3, ...")
    group.add_argument("--unit", choices=UNITS, default="", help="unit of the times of a table; clock: hh:mm:ss.mmm")
    group.add_argument("--tier", default="", help="tier, or control of the annotation tool, that holds the steps")
    group.add_argument("--level", default="", help="level of nested steps")
    group.add_argument("--subject", default="", help="only the behaviour of this subject (BORIS)")
    group.add_argument("--name-by", default="", help="how recordings are named, if a format has two ways")
    group.add_argument(
        "--name-pattern", type=_pattern, metavar="REGEX",
        help="regular expression; its one group is the recording's name in the name that the source gives",
    )  # fmt: skip
    group.add_argument(
        "--lerobot-features", metavar="COLUMN", help="column of a LeRobot set to write as features, observation.state"
    )
    group.add_argument("--splits", type=Path, metavar="FILE", help='JSON {"train": [...], "test": [...]} of recordings')
    group.add_argument("--split", type=_count, metavar="N", help="number of the split")
    group.add_argument("--encoding", help="encoding of text files; by default UTF-8")

    group = parser.add_argument_group("how its times are counted")
    group.add_argument("--frame-rate", type=_rate, metavar="R", help="frames/s of the features: 25, 29.97, 30000/1001")
    group.add_argument("--annotation-rate", type=_rate, metavar="R", help="frames/s of the annotation's frame numbers")
    group.add_argument("--ends", choices=(EXCLUSIVE, INCLUSIVE), help="how segments end; by default the format's")
    group.add_argument(
        "--first-frame", type=int, choices=(0, 1), help="number of a first frame; by default the format's"
    )
    group.add_argument(
        "--offset", metavar="VALUE|FILE", help="frame or time of the annotation where the features begin"
    )
    group.add_argument(
        "--features", type=Path, metavar="FOLDER", help="folder of <recording>.npy; their headers give the lengths"
    )
    group.add_argument(
        "--videos", type=Path, metavar="FOLDER",
        help="folder of <recording>.mp4, of which features are to be made; 10 a second, or --frame-rate",
    )
    group.add_argument("--feature-layout", choices=("frames_first", "features_first"), help="by default detected")
    group.add_argument("--length", metavar="last|VALUE|FILE", help="last: recordings end with their last segment")
    group.add_argument("--only-with-features", action="store_true", help="leave out recordings without a feature file")

    group = parser.add_argument_group("tasks and labels")
    group.add_argument("--task", default="", help="task of recordings for which the source names none; by default NAME")
    group.add_argument(
        "--task-pattern", type=_pattern, metavar="REGEX", help="its one group is the task in a recording's name"
    )
    group.add_argument("--rename", type=Path, metavar="FILE", help="old,new labels, one pair per line; may merge")
    group.add_argument(
        "--names", type=Path, metavar="FILE", help="names of labels that are numbers, 'number name' lines"
    )
    group.add_argument("--number-labels", action="store_true", help="keep labels that are numbers")
    group.add_argument("--drop", nargs="+", default=(), metavar="LABEL", help="leave these segments out")
    group.add_argument("--background", nargs="+", default=(), metavar="LABEL", help="labels that mean background")

    group = parser.add_argument_group("frames that are not covered exactly once")
    group.add_argument("--overlap", choices=OVERLAP_RULES, default="refuse", help="of segments")
    group.add_argument("--unlabelled", choices=UNLABELLED_RULES, default="refuse", help="lead-in, gaps and tail")
    group.add_argument("--outside", choices=OUTSIDE_RULES, default="refuse", help="before or after the recording")
    group.add_argument("--without-end", choices=WITHOUT_END_RULES, default="refuse", help="point events")
    group.add_argument("--minimum-length", type=_count, default=0, metavar="FRAMES", help="drop shorter segments")
    group.add_argument(
        "--tolerance", type=_count, default=2, metavar="FRAMES",
        help="allowed between the last segment's end and the recording's end; by default 2",
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Imports, prints the interpretation, and writes the files."""
    given = _parser().parse_args(arguments)
    if not given.output.resolve().name:
        raise ConfigError(f"the output is {str(given.output)!r}; expected <DATASET_PATH>/<DATASET_NAME>")
    name = given.output.resolve().name
    options = ImportOptions(
        read=ReadOptions(
            given.columns, given.unit, given.tier, given.level, given.subject, given.name_by,
            not given.no_header, given.split, given.encoding,
        ),
        frame_rate=given.frame_rate, annotation_rate=given.annotation_rate, ends=given.ends,
        first_frame=given.first_frame, offset=given.offset, features=given.features,
        videos=given.videos,
        feature_layout=given.feature_layout, length=given.length,
        name_pattern=given.name_pattern or "", splits=given.splits,
        only_with_features=given.only_with_features,
        task=given.task, task_pattern=given.task_pattern or "", rename=given.rename, names=given.names,
        number_labels=given.number_labels, drop=tuple(given.drop), background=tuple(given.background),
        rules=Rules(
            given.overlap, given.unlabelled, given.outside, given.without_end, given.minimum_length, given.tolerance
        ),
    )  # fmt: skip
    if given.videos is not None and given.features is not None:
        raise ConfigError("--features and --videos both give the lengths; expected one of them")
    if given.lerobot_features is not None:
        if given.format != "lerobot" or given.features is not None:
            raise ConfigError("--lerobot-features writes the features of --format lerobot; expected no --features")
        import_annotation(
            given.source, given.format, name, options
        )  # checked first, so that no file is written that can't be read
        options = replace(options, features=given.output / "features")
        write_features(given.source, options.features, given.lerobot_features)
    imported = import_annotation(given.source, given.format, name, options)
    if imported.features is not None:
        options = replace(options, frame_rate=options.frame_rate or imported.features.frame_rate)
    config = given.config or given.output / f"{name}.py"
    written = write_import(imported, given.source, given.output, config, options)
    sys.stdout.write("\n".join([describe(imported, given.format, options), "", *written]) + "\n")
    return 0


if __name__ == "__main__":
    leave(run_command(main, sys.argv[1:]))
