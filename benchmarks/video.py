"""From a video to progress: how fast, in how much memory, and whether damaged files are survived.

    python -m benchmarks.video encoder decoding chain            # on one core and on two
    python -m benchmarks.video live                              # from a picture's arrival to its printed line
    python -m benchmarks.video memory --seconds 3600             # an hour of video, by looping
    python -m benchmarks.video fuzz --cases 2000

The video is made here: 1280 x 720, 30 frames/s, H.264, moving shapes and noise. Beside the frames a second of the
clock stands the time of the processor for a frame, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from utils.command import format_table, run_command
from utils.errors import import_extra
from utils.registry import DEFAULT_ENCODER

logger = logging.getLogger("video")

WIDTH, HEIGHT, RATE = 1280, 720, 30
CONTAINERS = {
    ".mp4": "libx264", ".mkv": "libx264", ".avi": "mpeg4", ".ts": "mpeg2video", ".webm": "libvpx-vp9",
}  # fmt: skip
FUZZ_SECONDS = 60  # after which a file counts as one that hangs


def argument_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=("encoder", "decoding", "chain", "live", "memory", "fuzz"))
    parser.add_argument("--frames", type=int, default=300, help="of the video, where speed is measured")
    parser.add_argument("--repeats", type=int, default=3, help="the best of them counts")
    parser.add_argument("--seconds", type=int, default=3600, help="of the video, where memory is measured")
    parser.add_argument("--cases", type=int, default=500, help="damaged files")
    return parser


def main(arguments: Sequence[str]) -> int:
    options = argument_parser().parse_args(arguments[1:])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = []
    with TemporaryDirectory() as folder:
        if {"decoding", "chain", "live"} & set(options.what):
            video = write_video(Path(folder) / "video.mp4", options.frames)
        if "encoder" in options.what:
            for encoder in (DEFAULT_ENCODER, "lite0"):
                rows += both(f"{encoder} alone", EncoderAlone(encoder), options.frames, options.repeats)
        if "decoding" in options.what:
            rows += both("decoding and resizing, 720p", lambda cores: decoding(video), options.frames, options.repeats)
        if "chain" in options.what:
            rows += both("720p file to progress", Chain(video), options.frames, options.repeats)
        if rows:
            print(format_table(["", "cores", "frames/s", "ms a frame", "ms of a processor"], rows))
        if "live" in options.what:
            print(live(video))
        if "memory" in options.what:
            print(prediction_memory(Path(folder), options.seconds))
            print(memory(Path(folder), options.seconds))
        if "fuzz" in options.what:
            print(fuzz(Path(folder), options.cases))
    return 0


def pictures(count: int) -> Iterator[np.ndarray]:
    """Moving shapes before a moving ground, with noise: (HEIGHT, WIDTH, 3) uint8."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    block = generator.integers(0, 255, (20, 25, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    for number in range(count):
        ground = [(columns / 5 + number) % 256, (rows / 3 + 2 * number) % 256, (rows + columns + number) / 8 % 256]
        picture = np.stack(ground, -1) + generator.integers(-6, 7, (HEIGHT, WIDTH, 1))
        picture = np.clip(picture, 0, 255).astype(np.uint8)
        x, y = int(600 + 400 * np.cos(number / 40)), int(300 + 200 * np.sin(number / 30))
        picture[y : y + block.shape[0], x : x + block.shape[1]] = block
        yield picture


def write_video(path: Path, frames: int, rate: int = RATE) -> Path:
    """Writes the video of `pictures`."""
    av = import_extra("av", "video", "this benchmark")

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """This process runs on so many processors meanwhile."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def both(name: str, measured: Callable[[int], int], frames: int, repeats: int) -> list[list[str]]:
    """Rows of the table: on one core and on two.

    Args:
        name: of what is measured.
        measured: of the number of cores; it returns how many frames it did.
    """
    rows = []
    for cores in (1, 2):
        with on_cores(cores):
            measured(cores)  # what is done once doesn't count
            found = []
            for _ in range(repeats):
                clock, processor = time.perf_counter(), time.process_time()
                count = measured(cores)
                found.append(((time.perf_counter() - clock) / count, (time.process_time() - processor) / count))
        clock, processor = min(found)
        processor = min(one[1] for one in found)
        rows.append([name, str(cores), f"{1 / clock:.0f}", f"{1000 * clock:.1f}", f"{1000 * processor:.1f}"])
    return rows


class EncoderAlone:
    """An encoder on pictures in memory, a thread a core."""

    def __init__(self, description: str):
        from utils.video.encoders import make_encoder

        self._encoder = make_encoder(description)
        self._given = np.random.default_rng(0).integers(0, 256, (64, 1, 224, 224, 3), dtype=np.uint8)

    def __call__(self, cores: int) -> int:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(cores) as pool:
            return len(list(pool.map(self._encoder.encode, self._given)))


def decoding(video: Path) -> int:
    """Pictures of the encoder's size, nothing done with them."""
    from utils.video.decoding import read_pictures

    return sum(1 for _ in read_pictures(video, RATE, (224, 224)))


class Chain:
    """Features of the file and progress read from them."""

    def __init__(self, video: Path, encoder: str = DEFAULT_ENCODER):
        from utils.prediction.predictor import ProgressPredictor
        from utils.prediction.progress.candidates import EVIDENCE_AND_FILTER
        from utils.prediction.progress.cross_validation import NAIVE
        from utils.prediction.progress.model import fit_progress
        from utils.prediction.readouts.recording import LabelledRecording
        from utils.video.encoders import make_encoder
        from utils.video.features import feature_shape

        generator = np.random.default_rng(0)
        self._video, self.encoder = video, make_encoder(encoder)
        steps = {"step": ["first", "second"], "start_frame": [0, 50], "end_frame": [49, 99]}
        walks = generator.normal(size=(6, 100, *feature_shape(self.encoder))).cumsum(axis=1).astype(np.float32)
        recordings = [LabelledRecording(str(number), walk, steps) for number, walk in enumerate(walks)]
        # One of the slower read-outs, without comparing all.
        names, name = (*NAIVE, EVIDENCE_AND_FILTER), EVIDENCE_AND_FILTER
        model = fit_progress(recordings, frame_rate=RATE, names=names, name=name)
        self.predictor = ProgressPredictor.of_features(model)

    def __call__(self, cores: int) -> int:
        from utils.video.features import feature_rows

        features = np.stack(list(feature_rows([self._video], self.encoder, RATE, threads=cores)))
        return len(self.predictor.predict_answers(features))


def live(video: Path) -> str:
    """Latency and dropped pictures where the video is played at its own rate: at 10 of its frames a second, and at all.

    From a packet's arrival: decoding, resizing, encoder, read-out, and a line of text.
    """
    import torch

    from utils.prediction.live import stream_pictures
    from utils.video.decoding import PictureConverter
    from utils.video.features import FeatureMaker
    from utils.video.live import Latencies, NewestFrame, due_frames, frames_of

    torch.set_num_threads(1)  # as predict.py does
    chain, found = Chain(video), []
    for rate in (10, RATE):
        convert = PictureConverter(chain.encoder.size, chain.encoder.resize)
        maker, latencies, processor = FeatureMaker(chain.encoder), Latencies(), time.process_time()
        with NewestFrame(due_frames(frames_of(f"file:{video}"), rate)) as newest:
            for _ in stream_pictures(
                chain.predictor, newest, lambda frame, m=maker, c=convert: m.add(c(frame)), rate, latencies
            ):
                pass
        processor = 1000 * (time.process_time() - processor) / latencies.count
        found.append(
            f"live, 720p at {RATE}/s, {rate} frames/s used: {latencies.in_words()}, {newest.dropped} dropped, "
            f"{processor:.1f} ms of a processor for each"
        )
    return "\n".join(found)


def looped(source: Path, path: Path, seconds: int, rate: int) -> Path:
    """The packets of a video again and again, so that nothing is encoded a second time."""
    av = import_extra("av", "video", "this benchmark")

    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        stream = given.streams.video[0]
        out = container.add_stream_from_template(stream)
        packets = [(packet.dts, packet.pts, bytes(packet), packet.is_keyframe) for packet in given.demux(stream)
                   if packet.dts is not None]  # fmt: skip
        ticks = round(Fraction(1, rate) / stream.time_base)
        length = ticks * len(packets)
        for turn in range(-(-seconds * rate // len(packets))):
            for dts, pts, content, is_key in packets:
                packet = av.Packet(content)
                packet.dts, packet.pts, packet.time_base = dts + turn * length, pts + turn * length, stream.time_base
                packet.duration, packet.stream, packet.is_keyframe = ticks, out, is_key
                container.mux(packet)
    return path


def prediction_memory(folder: Path, seconds: int) -> str:
    """The memory in use while a small video of 10 frames/s is decoded, encoded by `pixels`, and its progress read.

    Nothing takes long here, so that as many frames can be seen as an hour has.
    """
    from utils.video.features import feature_rows

    small = [picture[::4, ::4] for picture in pictures(100)]
    source = _write_small(folder / "small.mp4", small, "libx264", rate=10)
    video = looped(source, folder / "hour.mp4", seconds, 10)
    chain = Chain(source, "pixels")
    stream, frames, used = chain.predictor.stream(), 0, []
    for row in feature_rows([video], chain.encoder, 10):
        stream.update_answers(row[None])
        frames += 1
        if frames % (seconds * 10 // 6) == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            used.append(f"{pages * resource.getpagesize() / 2**20:.0f}")
    return f"{frames} frames of 320 x 180 to progress, by pixels: {', '.join(used)} MB in use at each sixth"


def memory(folder: Path, seconds: int) -> str:
    """The most memory that an extraction takes, of a video of 10 frames/s at 2 frames/s, and after a tenth of it."""
    from utils.video.encoders import make_encoder
    from utils.video.extraction import Extraction, extract_recording
    from utils.video.recordings import VideoRecording

    source = write_video(folder / "source.mp4", 100, rate=10)
    encoder, found = make_encoder(DEFAULT_ENCODER), []
    for name, length in (("short", max(10, seconds // 10)), ("long", seconds)):
        video = looped(source, folder / f"{name}.mp4", length, 10)
        frames = extract_recording(
            VideoRecording(name, (video,)), folder / "features", Extraction(frame_rate=2), encoder, threads=2
        )
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found.append(f"{length} s of 720p, {frames} frames encoded: at most {most:.0f} MB")
        logger.info("%s", found[-1])
    return "\n".join(found)


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """A file that was cut, or of which some bits, bytes or a whole part are others."""
    changed = bytearray(content)
    kind = generator.integers(5)
    if kind == 0:
        return content[: generator.integers(len(content))]
    if kind == 1:
        start, length = generator.integers(len(content)), generator.integers(1, 1 + len(content) // 4)
        return content[:start] + content[start + length :]
    # Half of the changes are in the first or last part, which says what the rest is.
    few = min(len(content), 2000)
    for _ in range(generator.integers(1, 40)):
        ends = generator.integers(few), -1 - generator.integers(few)
        place = generator.choice([*ends, generator.integers(len(content))])
        changed[place] = changed[place] ^ (1 << generator.integers(8)) if kind < 4 else generator.integers(256)
    return bytes(changed)


def _read(paths: Sequence[str], results: multiprocessing.Queue) -> None:
    """Reads files in a process of its own, which a defect may end."""
    from utils.errors import ProjectError
    from utils.video.decoding import read_pictures

    for path in paths:
        results.put((path, "begun"))
        try:
            count = sum(1 for _ in read_pictures(path, 10, (16, 16)))
            results.put((path, f"{count} pictures"))
        except ProjectError as error:
            results.put((path, "refused" if "\n" not in str(error) else f"more than one line: {error}"))
        except Exception as error:
            results.put((path, f"defect: {type(error).__name__}: {error}"))


def fuzz(folder: Path, cases: int) -> str:
    """Reads damaged files; says how many were read or refused, and every other end with the file's number."""
    import queue

    generator = np.random.default_rng(0)
    small = [picture[::8, ::8] for picture in pictures(20)]
    sources = [_write_small(folder / f"source{suffix}", small, codec) for suffix, codec in CONTAINERS.items()]
    paths = []
    for number in range(cases):
        source = sources[number % len(sources)]
        path = folder / f"case-{number}{source.suffix}"
        path.write_bytes(damaged(source.read_bytes(), generator))
        paths.append(str(path))
    context = multiprocessing.get_context("spawn")
    ends: dict[str, str] = {}
    while len(ends) < len(paths):
        results = context.Queue()
        process = context.Process(target=_read, args=([path for path in paths if path not in ends], results))
        process.start()
        current = None
        while len(ends) < len(paths):
            try:
                current, end = results.get(timeout=FUZZ_SECONDS)
            except queue.Empty:
                ends[current or paths[len(ends)]] = "hangs" if process.is_alive() else f"ended by {process.exitcode}"
                process.kill()
                break
            if end != "begun":
                ends[current] = end
        process.join()
    read = sum(end.endswith(" pictures") for end in ends.values())
    refused = sum(end == "refused" for end in ends.values())
    others = [f"{Path(path).name}: {end}" for path, end in ends.items() if not end.endswith(("refused", " pictures"))]
    return "\n".join([f"{cases} damaged files: {read} read, {refused} refused, {len(others)} others", *others])


def _write_small(path: Path, frames: Sequence[np.ndarray], codec: str, rate: int = 25) -> Path:
    av = import_extra("av", "video", "this benchmark")

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv))
