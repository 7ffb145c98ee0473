"""The page that plays a video with its curve, also in a browser."""

import base64
import json
import re

import numpy as np
import pytest
from matplotlib.image import imread

from tests.utils.report.browser import Browser, needs_browser
from tests.utils.report.test_page import HOSTILE, Page
from tests.utils.video.videos import moving_square, write_clip
from utils.errors import DataError
from utils.report import player
from utils.report.player import played, write_player
from utils.video.overlay import ProgressTrack

FRAMES = 20


def track(frames=FRAMES, steps=("", "reach", "grasp", "reach"), reason="unlike training"):
    progress = np.linspace(0, 1, frames)
    names = [steps[len(steps) * k // frames] for k in range(frames)]
    doubt = [reason if k >= frames // 2 else "" for k in range(frames)]
    return ProgressTrack(
        np.arange(frames) / 10, progress, progress * 0.8, progress, names, progress, 10 - 10 * progress, doubt
    )


@pytest.fixture
def video(tmp_path):
    return write_clip(tmp_path / "source.avi", moving_square(FRAMES, 64, 48))


def page_of(path):
    text = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    return Page(text), json.loads(found[1])


def test_a_small_video_is_in_the_page_as_browsers_play_it(tmp_path, video):
    assert write_player(tmp_path / "page.html", video, track(), "tea 1", "80 % interval") == [tmp_path / "page.html"]
    page, known = page_of(tmp_path / "page.html")
    (element,) = page.all("video")
    kind, content = element["src"].split(",")
    assert kind == "data:video/mp4;base64"
    assert b"avc1" in base64.b64decode(content)
    assert known["times"] == [k / 10 for k in range(FRAMES)]
    assert known["duration"] == FRAMES / 10
    assert known["labels"] == ["reach", "grasp"]
    assert known["steps"] == [-1] * 5 + [0] * 5 + [1] * 5 + [0] * 5
    assert known["remaining"][0] == "about 10 s left"
    assert known["reasons"] == [""] * 10 + ["unlike training"] * 10
    assert "80 % interval" in page.text
    assert [float(button["data-time"]) for button in page.all("button")] == [0.5, 1.0, 1.5]


def test_a_large_video_lies_beside_the_page(tmp_path, video, monkeypatch):
    monkeypatch.setattr(player, "MOST_EMBEDDED", 10)
    written = write_player(tmp_path / "pages" / "tea.html", video, track(), "tea")
    assert written == [tmp_path / "pages" / "tea.html", tmp_path / "pages" / "tea.mp4"]
    page, _ = page_of(written[0])
    assert page.all("video")[0]["src"] == "tea.mp4"
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {"tea.html", "tea.mp4"}


def test_a_video_that_cannot_be_read_leaves_nothing(tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"bad\.mp4"):
        write_player(tmp_path / "page.html", tmp_path / "bad.mp4", track(), "tea")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.mp4"]


def test_progress_alone_has_no_steps_and_no_interval():
    found = played("x.mp4", ProgressTrack(np.arange(3) / 10, np.array([0, 0.5, 1.0])), "tea")
    assert found["curve"] == "M0.0 100.00L333.3 50.00L666.7 0.00"
    assert found["spans"] == found["doubted"] == []
    assert found["band"] is None
    assert found["track"]["steps"] is found["track"]["reasons"] is found["track"]["remaining"] is None


def test_a_long_recording_is_thinned_and_a_single_frame_is_legal():
    found = played("x.mp4", track(3 * player.MOST_POINTS - 1), "tea")
    assert len(found["track"]["times"]) == len(found["track"]["steps"]) == player.MOST_POINTS
    assert found["spans"][-1]["end"] == found["duration"] == pytest.approx((3 * player.MOST_POINTS - 1) / 10)
    assert played("x.mp4", track(1), "tea")["track"]["times"] == [0.0]


def test_what_is_not_finite_leaves_a_gap():
    found = played("x.mp4", ProgressTrack(np.arange(4) / 10, np.array([0, np.nan, 0.5, 1.0])), "tea")
    assert found["curve"] == "M0.0 100.00M500.0 50.00L750.0 0.00"
    assert found["track"]["progress"] == [0.0, None, 0.5, 1.0]


QUESTION = """
const video = document.querySelector("video"), cursor = document.querySelector(".cursor");
const until = event => new Promise(done => video.addEventListener(event, done, {once: true}));
if (video.readyState < 2) await until("loadeddata");
const said = () => [cursor.style.left, document.querySelector(".now").textContent.replace(/\\s+/g, " ").trim()];
const seen = [said()];
video.currentTime = 1.2; await until("seeked"); seen.push(said());
const plot = document.querySelector(".plot"), box = plot.getBoundingClientRect();
plot.dispatchEvent(new MouseEvent("click", {clientX: box.left + box.width / 4, bubbles: true}));
await until("seeked"); seen.push([video.currentTime, ...said()]);
document.querySelectorAll(".ribbon button")[2].click(); await until("seeked"); seen.push(video.currentTime);
return {seen, title: document.title, width: video.videoWidth, content: document.documentElement.scrollWidth,
  window: innerWidth, outside: [...document.querySelectorAll("body *")].filter(
    e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName)}
"""


@needs_browser
@pytest.mark.parametrize(("width", "embedded"), [(360, True), (1280, False)])
def test_in_a_browser_the_cursor_moves_and_a_click_seeks(tmp_path, video, width, embedded, monkeypatch):
    if not embedded:
        monkeypatch.setattr(player, "MOST_EMBEDDED", 10)
    write_player(tmp_path / "page.html", video, track(steps=("", *HOSTILE), reason=HOSTILE[2]), HOSTILE[0])
    with Browser(tmp_path, width) as browser:
        browser.open((tmp_path / "page.html").as_uri())
        found = browser.tell(QUESTION)
        browser.picture(tmp_path / "window.png")
    (start, first), (later, second), (time, third, _), last = found["seen"]
    assert (start, later) == ("0%", "60%")
    assert float(third.removesuffix("%")) == pytest.approx(25, abs=0.6)  # a click is at whole pixels
    assert "0 % 0 to 0 % no step yet" in first
    assert "63 % 51 to 63 %" in second
    assert "out of range" not in first
    assert "out of range" in second
    assert time == pytest.approx(FRAMES / 10 / 4, rel=0.03)
    assert last == pytest.approx(1.5)
    assert found["title"] == HOSTILE[0]  # no script of a name has run
    assert found["width"] == 64
    assert found["content"] <= found["window"] == width
    assert found["outside"] == []
    pixels = imread(tmp_path / "window.png")[..., :3]
    assert pixels.shape[1] == width
    assert (np.abs(pixels - pixels[0, 0]) > 0.2).any(axis=(1, 2)).mean() > 0.2  # lines with ink


@needs_browser
def test_an_address_may_name_the_time(tmp_path, video):
    write_player(tmp_path / "page.html", video, track(), "tea")
    with Browser(tmp_path, 360) as browser:
        browser.open((tmp_path / "page.html").as_uri() + "#t=1.5")
        assert browser.tell("""const video = document.querySelector("video");
          if (!video.currentTime) await new Promise(done => video.addEventListener("seeked", done, {once: true}));
          return document.querySelector(".player").dataset.time""") == "1.500"
