"""A small data set of videos: what happens is seen in them, and nothing but videos and an annotation is there."""

import numpy as np

from tests.utils.data.builders import entry, write_annotation
from tests.utils.video.clips import write_clip

ENCODER = "pixels,size=2"
WIDTH = 8  # with the differences
LENGTHS = (24, 30, 22, 28, 32, 26)
RATE = 10


def film(seed, frames):
    """A picture that grows lighter, faster in its first half: (frames, 16, 16, 3)."""
    generator = np.random.default_rng(seed)
    values = np.interp(np.arange(frames), [0, frames // 2, frames - 1], [20, 160, 230])
    pictures = np.repeat(values, 16 * 16 * 3).reshape(frames, 16, 16, 3)
    pictures[:, :8, :8] = 255 - pictures[:, :8, :8]
    return np.clip(pictures + generator.normal(0, 4, (frames, 16, 16, 1)), 0, 255).astype(np.uint8)


def write_filmed(folder, lengths=LENGTHS):
    """Writes <folder>/videos/tea_<n>.mp4 and the annotation, in frames at RATE."""
    (folder / "videos").mkdir(parents=True)
    videos = []
    for number, frames in enumerate(lengths):
        write_clip(folder / "videos" / f"tea_{number}.mp4", film(number, frames), rate=RATE)
        videos.append((f"tea_{number}", ["pour", "stir"], [0, frames // 2], [frames // 2, frames - 1]))
    write_annotation(folder, {"tea": entry(*videos)})
    return folder


def features_of(folder):
    """The features that are there, by the names of their files, with the time of change."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.glob("*"))}
