"""Aligns two recordings: which frame of B belongs to each frame of A, as a table and a picture.

    python -m utils.prediction.align A.npy B.npy --checkpoint best_model_alignment.pt
    python -m utils.prediction.align A.npy B.npy --method time_warping --frame-rate 10
    python -m utils.prediction.align A.mp4 B.mp4 --checkpoint best_model_alignment.pt --playback side_by_side.mp4

With a checkpoint the files are recordings, and frames are compared by its embedding of them. Without one they are
compared as they are: features, or embeddings such as predict.py --embeddings writes. Videos are read where the
checkpoint was trained on videos, or without one by the default encoder. Writes <A>+<B>.csv and
<A>+<B>.png. In the table a line says which frame of B belongs to a frame of A and how far apart their embeddings are,
by nearest neighbour (each frame for itself) and by time warping (never going back). --playback writes both videos side
by side, each frame of A beside the frame of B that belongs to it by the last of the methods: .mp4, .gif or .webp.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.command import frames_a_second, run_command
from utils.video.recordings import is_video

logger = logging.getLogger("align")

METHODS = ("nearest", "time_warping")  # of utils.metrics.frame_alignment, which takes a second to import


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.prediction.align", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("first", type=Path, metavar="A", help="the recording whose frames are looked for")
    parser.add_argument("second", type=Path, metavar="B", help="the recording that they are looked for in")
    parser.add_argument(
        "--checkpoint", help="a path, a run, or the name of a file in the ckpt folder of the run; none compares the "
        "files' own numbers",
    )  # fmt: skip
    parser.add_argument("-f", "--folder", help="the run; by default the newest one")
    parser.add_argument("--method", choices=METHODS, help="only this one; by default both")
    parser.add_argument(
        "--frame-rate", type=frames_a_second,
        help="frames a second of both, to have seconds in the table too; known where features are made of videos",
    )
    parser.add_argument(
        "--playback", type=Path, metavar="FILE", help="also write both videos side by side: .mp4, .gif or .webp"
    )
    parser.add_argument(
        "--videos", type=Path, nargs=2, metavar=("A", "B"), help="for --playback, where A and B are features"
    )
    parser.add_argument("--output", default="alignments", help="folder to write to")
    parser.add_argument("--device", default="auto")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = argument_parser()
    options = parser.parse_args(arguments[1:])
    if options.folder and not options.checkpoint:
        parser.error("--folder names the run of a --checkpoint, and there is none")

    files = options.first, options.second
    videos = options.videos or (files if all(map(is_video, files)) else None)
    if options.playback and videos is None:
        parser.error("--playback shows videos, and A and B are none: --videos names theirs")
    if options.videos and not options.playback:
        parser.error("--videos goes with --playback")

    # Imported here, so that --help and a wrong option are answered at once: torch alone takes a second.
    from utils.errors import DataError
    from utils.prediction.recording_alignment import (
        Playback,
        align_recordings,
        checkpoint_embeddings,
        file_embeddings,
    )
    from utils.training.reproducibility import choose_device
    from utils.video.writing import check_suffix

    if options.playback:
        check_suffix(options.playback)
    if options.checkpoint:
        try:
            device = choose_device(options.device)
        except (ValueError, RuntimeError) as error:
            parser.error(f"--device: {error}")
        embeddings, skip_rate, known = checkpoint_embeddings(files, options.checkpoint, options.folder, device)
    else:
        (embeddings, known), skip_rate = file_embeddings(files, options.frame_rate), 1
    methods = (options.method,) if options.method else METHODS
    frame_rate = options.frame_rate or known
    playback = None
    if options.playback:
        if frame_rate is None:
            raise DataError("--playback needs to know the frames a second of the features: --frame-rate gives them")
        playback = Playback(options.playback, tuple(videos))
    for path in align_recordings(
        files, embeddings, Path(options.output), methods, frame_rate, skip_rate, playback
    ):
        logger.info("written %s", path)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv))
