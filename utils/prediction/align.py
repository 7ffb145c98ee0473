"""Aligns two recordings: which frame of B belongs to each frame of A, as a table and a picture.

    python -m utils.prediction.align A.npy B.npy --checkpoint best_model_alignment.pt
    python -m utils.prediction.align A.npy B.npy --method time_warping --frame-rate 10

With a checkpoint the files are recordings, and frames are compared by its embedding of them. Without one they are
compared as they are: features, or embeddings such as predict.py --embeddings writes. Writes <A>+<B>.csv and
<A>+<B>.png. In the table a line says which frame of B belongs to a frame of A and how far apart their embeddings are,
by nearest neighbour (each frame for itself) and by time warping (never going back).
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.command import frames_a_second, run_command

logger = logging.getLogger("align")

METHODS = ("nearest", "time_warping")  # of utils.metrics.frame_alignment, which takes a second to import


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.prediction.align", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("first", type=Path, metavar="A.npy", help="the recording whose frames are looked for")
    parser.add_argument("second", type=Path, metavar="B.npy", help="the recording that they are looked for in")
    parser.add_argument(
        "--checkpoint", help="a path, a run, or the name of a file in the ckpt folder of the run; none compares the "
        "files' own numbers",
    )  # fmt: skip
    parser.add_argument("-f", "--folder", help="the run; by default the newest one")
    parser.add_argument("--method", choices=METHODS, help="only this one; by default both")
    parser.add_argument(
        "--frame-rate", type=frames_a_second, help="frames a second of both, to have seconds in the table too"
    )
    parser.add_argument("--output", default="alignments", help="folder to write to")
    parser.add_argument("--device", default="auto")
    return parser


def main(arguments: Sequence[str]) -> int:
    parser = argument_parser()
    options = parser.parse_args(arguments[1:])
    if options.folder and not options.checkpoint:
        parser.error("--folder names the run of a --checkpoint, and there is none")

    # Imported here, so that --help and a wrong option are answered at once: torch alone takes a second.
    from utils.prediction.recording_alignment import align_recordings, checkpoint_embeddings, file_embeddings
    from utils.training.reproducibility import choose_device

    files = options.first, options.second
    if options.checkpoint:
        try:
            device = choose_device(options.device)
        except (ValueError, RuntimeError) as error:
            parser.error(f"--device: {error}")
        embeddings, skip_rate = checkpoint_embeddings(files, options.checkpoint, options.folder, device)
    else:
        embeddings, skip_rate = file_embeddings(files), 1
    methods = (options.method,) if options.method else METHODS
    for path in align_recordings(files, embeddings, Path(options.output), methods, options.frame_rate, skip_rate):
        logger.info("written %s", path)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv))
