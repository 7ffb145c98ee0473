"""Damaged videos, as the benchmark makes them by the thousand; and what it loops."""

import numpy as np

from benchmarks.video import damaged, fuzz, looped, write_video
from utils.video.decoding import open_video


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path):
    said = fuzz(tmp_path, 40)
    assert said.startswith("40 damaged files: ")
    assert said.endswith(" 0 others"), said


def test_files_are_damaged():
    content = bytes(range(256)) * 20
    generator = np.random.default_rng(1)
    assert all(damaged(content, generator) != content for _ in range(50))


def test_a_looped_video_is_as_long_as_it_should_be(tmp_path):
    video = looped(write_video(tmp_path / "a.mp4", 5, rate=10), tmp_path / "b.mp4", 3, 10)
    found = open_video(video)
    assert found.frames == 30
    assert abs(found.duration - 3) < 0.01
