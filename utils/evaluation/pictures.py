"""The pictures of an evaluation: which videos are drawn, and from what."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from utils.data.frame_segments import action_frames
from utils.errors import DataError, Interrupted, first_line, nearest_name, shown
from utils.evaluation.played import Recorded, write_played
from utils.evaluation.progress import Curves
from utils.evaluation.results import Result
from utils.evaluation.variants import CLOCK
from utils.figures.embedding_map import plot_embedding_map
from utils.figures.progress_curve import ProgressPanel, plot_progress
from utils.figures.similarity_matrix import plot_similarity
from utils.files import safe_name
from utils.metrics.table import METRICS, Metric, Needs, metrics_that_need
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, EmbeddedVideo

logger = logging.getLogger(__name__)

DRAWN = (TRAINED, RAW, CLOCK)  # the estimators whose predicted progress is drawn
BEST, MEDIAN, WORST = "best", "median", "worst"
PLAYED = "played"  # the kind of a video


@dataclass(frozen=True)
class Picture:
    """A picture of an evaluation.

    Attributes:
        file: its name in the folder of the evaluation; a PNG, or an MP4.
        kind: 'progress', 'similarity', 'map', or PLAYED.
        task: the task that it is about.
        videos: the handles of the videos that it names.
        role: why its video was chosen: see `Shown`.
        source: whose embedding it shows, where that isn't the trained network's.
        other_files: the same in other formats, beside it; with a video, what is known of it.
    """

    file: str
    kind: str
    task: str
    videos: tuple[str, ...] = ()
    role: str = ""
    source: str = ""
    other_files: tuple[str, ...] = ()

    def as_description(self) -> dict[str, Any]:
        """Plain values for `metrics.json`, key `pictures`; `Picture(**values)` reads them."""
        return {**asdict(self), "videos": list(self.videos), "other_files": list(self.other_files)}


@dataclass(frozen=True)
class Shown:
    """A test video that is drawn.

    Attributes:
        video: its number among the test videos.
        curves: its predicted progress.
        role: its place by online error of the trained network: 'best', 'median', 'worst', or 'number-4', counted from
            the best; '' for one that was asked for by name.
    """

    video: int
    curves: Curves
    role: str = ""


def videos_to_draw(
    test: Sequence[EmbeddedVideo],
    curves: Sequence[Curves],
    results: Sequence[Result],
    number: int,
    names: Sequence[str] = (),
    metrics: Mapping[str, Metric] = METRICS,
) -> list[Shown]:
    """The videos to draw: evenly spread from best to worst, so that neither luck nor choice decides; and those named.

    Args:
        test: the test videos of a task.
        curves: their predicted progress.
        results: the figures of the task. The first metric of online progress of the trained network ranks the videos;
            without one they stay in their order, and have no role.
        number: how many: 3 are the best, the median and the worst, 1 is the median.
        names: handles of others to draw besides; those of other tasks are passed over.
        metrics: the table of metrics.
    """
    handles = [video.handle for video in test]
    metric = next(iter(metrics_that_need(Needs.VIDEO_ONLINE, metrics)), None)
    errors = next(
        (r.values for r in results if metric and (r.metric, r.variant) == (metric.name, TRAINED) and r.values), None
    )
    if errors is None:
        ranked, roles = list(range(len(test))), {}
    else:
        sign = 1 if metric.better == "lower" else -1
        ranked = sorted((v for v, h in enumerate(handles) if h in errors), key=lambda v: sign * errors[handles[v]])
        roles = {place: f"number-{place + 1}" for place in range(len(ranked))}
        roles |= {(len(ranked) - 1) // 2: MEDIAN, len(ranked) - 1: WORST, 0: BEST} if len(ranked) > 1 else {0: ""}
    last = len(ranked) - 1
    places = [last // 2] if number == 1 else [k * last // (number - 1) for k in range(number)]
    chosen = {ranked[place]: roles.get(place, "") for place in places if ranked}
    chosen |= {video: "" for video, handle in enumerate(handles) if handle in names and video not in chosen}
    return [Shown(video, curves[video], role) for video, role in chosen.items()]


def check_names(names: Iterable[str], handles: Iterable[str]) -> None:
    """Says which of the videos to draw there are not.

    Raises:
        DataError: names each, and the nearest one that there is.
    """
    known = list(handles)
    problems = []
    for name in names:
        if name not in known:
            nearest = nearest_name(name, known)
            hint = f"did you mean {nearest!r}?" if nearest else f"it has {shown(known)}"
            problems.append(f"--video {name!r}: the split that is evaluated has no such video; {hint}")
    if problems:
        raise DataError(problems)


def draw_task(
    folder: Path,
    task: str,
    test: Sequence[EmbeddedVideo],
    drawn: Sequence[Shown],
    spare: Sequence[EmbeddedVideo],
    map_method: str = "pca",
    formats: Sequence[str] = ("png",),
    padded: tuple[float, float] = (0, 0),
    recorded: Recorded | None = None,
) -> list[Picture]:
    """Draws progress curves and similarity matrices of some test videos, and the map of the frames of all.

    Where the data set has videos, those whose progress is drawn can be played in the report.

    There are matrices of the first two videos that were chosen by error, the best and the median, and of every two of
    the others in their order: of the trained network and, where they were kept, of the raw features.

    Args:
        folder: where to write.
        task: its name.
        test: the test videos.
        drawn: which of them, see `videos_to_draw`.
        spare: a training video, which a lone test video is held against.
        map_method: 'pca' or 'tsne'.
        formats: of png, pdf and svg; a PNG is always written, for the report.
        padded: how many frames at the start and at the end of a video see what lies beyond; the map leaves them out.
        recorded: the videos, if there are any.

    Returns:
        The pictures that were written. Whatever goes wrong with one is a warning that names it: a picture is no
        reason to lose the figures.
    """
    suffixes = dict.fromkeys(("png", *formats))
    wanted = []

    def want(kind: str, parts: Sequence[str], plot: Callable[[list[Path]], None], **of_picture: Any) -> None:
        files = [f"{safe_name(kind, task, *parts)}.{suffix}" for suffix in suffixes]
        picture = Picture(files[0], kind, task, other_files=tuple(files[1:]), **of_picture)
        wanted.append((picture, partial(plot, [folder / file for file in files])))

    for each in drawn:
        video = test[each.video]
        parts = [each.role, video.handle] if each.role else [video.handle]
        plot = partial(_draw_progress, task, video, each)
        want("progress", parts, plot, videos=(video.handle,), role=each.role)
        if recorded is not None and video.handle in recorded.videos:
            name = safe_name(PLAYED, task, *parts)
            files = [f"{name}.mp4", f"{name}.json"]
            picture = Picture(files[0], PLAYED, task, (video.handle,), each.role, other_files=(files[1],))
            wanted.append((picture, partial(
                write_played, [folder / file for file in files], recorded.videos[video.handle], recorded.frame_rate,
                video, each.curves[Needs.VIDEO_ONLINE],
            )))  # fmt: skip
    for pair in _pairs(test, drawn, spare):
        handles = tuple(video.handle for video in pair)
        for source in (TRAINED, RAW):
            if all(source in video.embeddings for video in pair):
                parts = handles if source == TRAINED else (*handles, source.replace(" ", "-"))
                plot = partial(_draw_similarity, task, source, *pair)
                want("similarity", parts, plot, videos=handles, source="" if source == TRAINED else source)
    want("map", [], partial(_draw_map, task, test, map_method, padded))
    return [picture for picture, plot in wanted if _is_drawn(folder / picture.file, plot)]


def _pairs(
    test: Sequence[EmbeddedVideo], drawn: Sequence[Shown], spare: Sequence[EmbeddedVideo]
) -> list[tuple[EmbeddedVideo, EmbeddedVideo]]:
    """The videos to hold against each other; a lone one is held against another test video, else the spare one."""
    by_error, by_name = ([test[each.video] for each in drawn if bool(each.role) == has] for has in (True, False))
    pairs = [*pairwise(by_error[:2]), *pairwise(by_name)]
    if not pairs and drawn:
        first = (by_error or by_name)[0]
        others = [*by_name[:1], *(video for video in test if video is not first), *spare]
        pairs = [(first, other) for other in others if other is not first][:1]
    return pairs


def _is_drawn(path: Path, plot: Callable[[], None]) -> bool:
    try:
        with matplotlib.rc_context({"text.parse_math": False}):  # a name may hold dollar signs
            plot()
    except Interrupted:
        raise
    except Exception as error:
        logger.warning("%s is not drawn: %s (%s)", path, first_line(error), type(error).__name__)
        return False
    return True


def _draw_progress(task: str, video: EmbeddedVideo, drawn: Shown, paths: Sequence[Path]) -> None:
    over_video, in_actions = drawn.curves[Needs.VIDEO_ONLINE], drawn.curves[Needs.ACTION_ONLINE]
    panels = [
        ProgressPanel(
            "whole video, online", video.progress, over_video[TRAINED], over_video[CLOCK], TRAINED,
            other=over_video.get(RAW), other_name=RAW,
        )
    ]
    inside = action_frames(video.time_dict)
    if inside.any():
        truth, found, clock, raw = (
            None if values is None else np.where(inside, values, np.nan)
            for values in (video.action_progress, in_actions[TRAINED], in_actions[CLOCK], in_actions.get(RAW))
        )
        title = "inside each action, online; start and label of the action are given"
        restarts = video.time_dict["start_frame"][1:]
        panels.append(ProgressPanel(title, truth, found, clock, TRAINED, restarts, other=raw, other_name=RAW))
    chosen = f" · {drawn.role.replace('-', ' ')} by online error" if drawn.role else ""
    plot_progress(paths, panels, video.time_dict, f"{task} · {video.handle}{chosen}")


def _draw_similarity(
    task: str, source: str, first: EmbeddedVideo, second: EmbeddedVideo, paths: Sequence[Path]
) -> None:
    embeddings, times = (first.embeddings[source], second.embeddings[source]), (first.time_dict, second.time_dict)
    plot_similarity(paths, *embeddings, *times, first.handle, second.handle, f"{source} · {task}")


def _draw_map(
    task: str, test: Sequence[EmbeddedVideo], method: str, padded: tuple[float, float], paths: Sequence[Path]
) -> None:
    """Of the trained and of an untrained network, and of the raw features where they were kept, beside each other."""
    networks = {
        name: [video.embeddings[name] for video in test]
        for name in (TRAINED, UNTRAINED, RAW)
        if all(name in video.embeddings for video in test)
    }
    plot_embedding_map(paths, networks, [video.progress for video in test], task, method, *padded)
