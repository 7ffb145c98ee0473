"""Makes features of videos, one file for each recording, that training and predict.py read.

    python -m utils.video.extract data/tea/videos data/tea/features --frame-rate 10
    python -m utils.video.extract VIDEOS OUT --encoder timm:resnet18 --motion --cameras left right
    python -m utils.video.extract VIDEOS OUT --shard 3/16                  # one of 16 jobs of a cluster

VIDEOS is a folder of <recording>.mp4 (or any other container), or one video; with --cameras, a folder of
<camera>/<recording>.mp4, whose features are concatenated. Writes OUT/<recording>.npy, float32 (frames, width), and
OUT/<recording>.origin.json, which says how. Features that are there already stay, and are not computed again. A video
that can't be used leaves the others alone; the exit code is then 1. docs/video.md lists the encoders.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.command import frames_a_second, run_command
from utils.errors import FAILED
from utils.registry import DEFAULT_ENCODER

logger = logging.getLogger("extract")

DEFAULT_RATE = 10.0


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r}; expected NUMBER/COUNT, from 1/COUNT to COUNT/COUNT")
    return int(found[1]), int(found[2])


def _processes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 1")
    return int(text)


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.video.extract", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("videos", type=Path, help="a folder of videos, or one")
    parser.add_argument("output", type=Path, help="folder to write to")
    parser.add_argument("--encoder", default=DEFAULT_ENCODER, help=f"by default {DEFAULT_ENCODER}; see docs/video.md")
    parser.add_argument(
        "--frame-rate", type=frames_a_second, default=DEFAULT_RATE, help=f"frames a second; by default {DEFAULT_RATE:g}"
    )
    parser.add_argument("--motion", action="store_true", help="also the difference of each frame's features")
    parser.add_argument("--cameras", nargs="+", default=[], metavar="FOLDER", help="folders in VIDEOS, one a camera")
    parser.add_argument(
        "--processes", type=_processes,
        help="of one thread each; by default one for each processor where there is enough to do",
    )
    parser.add_argument("--shard", type=_shard, metavar="NUMBER/COUNT", help="only this part of the recordings")
    parser.add_argument(
        "--overwrite", action="store_true", help="also replace features of another encoder, rate or origin"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    options = argument_parser().parse_args(arguments[1:])

    # Imported here, so that --help and a wrong option are answered at once: torch alone takes a second.
    from utils.video.extraction import Extraction, extract_all
    from utils.video.recordings import find_videos, shard_of

    problems: list[str] = []
    recordings = find_videos(options.videos, options.cameras, problems)
    for problem in problems:
        logger.error("not extracted: %s", problem)
    if options.shard:
        recordings = shard_of(recordings, *options.shard)
    extraction = Extraction(options.encoder, options.frame_rate, options.motion, tuple(options.cameras))
    done = extract_all(recordings, options.output, extraction, options.processes, options.overwrite)
    logger.info(
        "%d recordings written to %s, %d were there, %d could not be extracted", len(done.written), options.output,
        len(done.there), len(done.failures) + len(problems),
    )  # fmt: skip
    return FAILED if done.failures or problems else 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv))
