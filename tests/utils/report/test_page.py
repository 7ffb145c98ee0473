import base64
import json
import logging
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from tests.utils.metrics.annotations import annotation
from tests.utils.report.browser import look, needs_browser
from utils.evaluation.notes import Note, NoteKind
from utils.evaluation.pictures import DRAWN, Picture, draw_task, videos_to_draw
from utils.evaluation.results import ALL_TASKS, Result, mean_over_tasks, save_results
from utils.evaluation.task import evaluate_task_with_curves
from utils.metrics.table import METRICS
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, EmbeddedVideo
from utils.report import page as page_module
from utils.report.page import report_page, write_reports
from utils.report.side_by_side import best_naive_guess
from utils.tensorops import get_trueprogress, get_trueprogress_per_action, path_length

HOSTILE = [
    "</th><script>document.title = 'taken'</script>",
    "\"><img src=x onerror='document.title=1'> & <b>$title ${content} $x_{$",
    "\u202egnitirw thgir \x00\x1b[31m 茶を入れる " + "verylongword" * 20,
]
VOID = {"meta", "img", "br", "hr", "wbr"}


class Page(HTMLParser):
    """Elements of a page; refuses one whose tags don't match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def text(self):
        return " ".join(self.words)


RUN = {
    "experiment": "demo",
    "losses": {"GTCC": {"delta": 0.3}, "<mine>": {}},
    "progress_loss": {"level": "action", "frames": "all", "lambda": {"start": 0.0, "end": 1.0}},
    "seed": 11,
    "epochs": 20,
    "causal": True,
    "encoder": "temporal_stacking",
    "crosstask": True,
    "recordings": {"train": {"tea": 5, "toast": 4}, "val": {"tea": 2}, "test": {"tea": 2, "toast": 1}},
    "data_fingerprint": {"train": "abc123", "test": "def456"},
    "versions": {"project": "0.1.0", "torch": "2.10.0", "numpy": None},
    "date": "2024-02-29 12:30",
    "checkpoint_date": "2024-02-28 08:00",
}


def results_of(tasks):
    """Two metrics of three variants, one of them without a figure."""
    results = []
    for number, task in enumerate(tasks):
        for metric in ("OPE_video_online", "KT"):
            for variant, mean in ((TRAINED, 0.111), ("clock", 0.222), ("constant 0.5", None)):
                notes = (Note(NoteKind.NO_FIGURE, "no <figure> here"),) if mean is None else ()
                found = None if mean is None else mean + number / 100
                values = {} if mean is None else {f"{task} 1": found, f"{task} 2": found}
                low, high = (None, None) if mean is None else (found - 0.05, found + 0.05)
                results.append(
                    Result(metric, variant, task, found, low, high, len(values), notes, values)
                )
    return [*results, *mean_over_tasks(results)]


def evaluation(folder, tasks, checkpoint="best_model_combined.pt", **more):
    """An evaluation on disk as `evaluate_checkpoint` leaves it, with small pictures."""
    pictures = []
    for number, task in enumerate(tasks):
        for kind in ("progress", "similarity", "map"):
            videos = (f"{task} 1", f"{task} 2")[: ("map", "progress", "similarity").index(kind)]
            pictures.append(Picture(f"{kind}_{number}.png", kind, task, videos))
            folder.mkdir(parents=True, exist_ok=True)
            Figure(figsize=(10, 3)).savefig(folder / pictures[-1].file)
    description = {
        "checkpoint": checkpoint,
        "epoch": 6,
        "data_set": "data <set>",
        "frames_ahead": 3,
        "skipped_tasks": {"left <out>": "too few & short"},
        "request": {"split": "test"},
        "pictures": [picture.as_description() for picture in pictures],
        **more,
    }
    save_results(folder, results_of(tasks), description)
    return folder


def page_of(path):
    return Page(path.read_text(encoding="utf-8"))


def test_the_report_holds_every_figure_and_picture_and_needs_nothing_else(tmp_path):
    report = write_reports(evaluation(tmp_path / "x", ["tea", "toast"]))
    page = page_of(report)
    assert report == (tmp_path / "x" / "report.html").resolve()
    for text in ("0.111", "0.222", "0.121", "tea", "toast", ALL_TASKS, "3 later frames", "too few & short"):
        assert text in page.text
    assert ", after epoch 7" in page.text
    assert "OPE_video_online, KT: no <figure> here" in page.text
    assert "Kendall's tau" in page.text
    assert "nearest valid alignment" not in page.text
    images = page.all("img")
    assert len(images) == 6
    assert all(image["src"].startswith("data:image/png;base64,") for image in images)
    assert all(len(image["alt"]) > 40 for image in images)
    said = "Error of the trained network 0.111; error of the clock 0.222."
    assert sum(said in image["alt"] for image in images) == 1
    assert not page.all("script", "link", "iframe", "object", "embed", "base")
    assert all(link["href"].startswith("#") for link in page.all("a"))
    assert not (tmp_path / "report.html").exists()


def test_headings_descend_by_one_and_every_link_and_identifier_is_right(tmp_path):
    page = page_of(write_reports(evaluation(tmp_path / "x", ["tea", "toast"])))
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert {link["href"][1:] for link in page.all("a")} <= set(identifiers)
    assert len(page.all("caption")) == len(page.all("table")) > 0


def test_hostile_names_stay_text(tmp_path):
    page = page_of(write_reports(evaluation(tmp_path / "x", HOSTILE, checkpoint="<script>.pt")))
    assert not page.all("script")
    assert not page.all("b")
    assert all("onerror" not in attributes for _, attributes in page.elements)
    assert len(page.all("img")) == 9
    assert HOSTILE[0] in page.text
    assert HOSTILE[1] in page.text
    assert "\x00" not in page.text
    assert "\x1b" not in page.text


def test_escaping_leaves_what_html_and_utf8_can_hold():
    page = report_page("a\x00\ud800\n'\"<&>é茶", [])
    assert page.encode("utf-8")
    assert page.count("a\ufffd\ufffd\n&#39;&#34;&lt;&amp;&gt;é茶") == 2


def test_one_task_has_no_table_of_the_mean(tmp_path):
    page = page_of(write_reports(evaluation(tmp_path / "x", ["tea"])))
    assert ALL_TASKS not in page.text
    assert "0.111" in page.text


def test_the_report_of_a_run_holds_all_evaluations_and_the_loss_curves(tmp_path, caplog):
    run = tmp_path / "run-001"
    (run / "ckpt").mkdir(parents=True)
    write_reports(evaluation(run / "EVAL" / "best_model_alignment", ["tea"]))
    assert len(page_of(run / "report.html").all("img")) == 3
    Figure().savefig(run / "loss_curves.png")
    broken = run / "EVAL" / "broken"
    broken.mkdir()
    (broken / "metrics.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        write_reports(evaluation(run / "EVAL" / "best_model_combined", ["tea"]))
    assert "broken" in caplog.text
    page = page_of(run / "report.html")
    assert len(page.all("img")) == 7
    assert {link["href"] for link in page.all("a")} == {"#evaluation-0", "#evaluation-1"}
    assert len(page_of(run / "EVAL" / "best_model_combined" / "report.html").all("img")) == 3


def text_of_table(page, caption):
    """The words of the table with that caption, cells apart."""
    start = page.index("<caption>" + caption)
    return " ".join(" ".join(Page("<table>" + page[start : page.index("</table>", start)] + "</table>").words).split())


def run_with(folder, **evaluations):
    (folder / "ckpt").mkdir(parents=True)
    for kind, more in evaluations.items():
        write_reports(evaluation(folder / "EVAL" / f"best_model_{kind}", ["tea"], f"best_model_{kind}.pt", **more))
    return (folder / "report.html").read_text(encoding="utf-8")


def test_what_was_run_is_said_and_what_evaluations_share_once(tmp_path):
    other = {**RUN, "date": "2024-03-01 09:00"}
    page = run_with(tmp_path / "run-007", alignment={"run": RUN}, combined={"run": other, "epoch": 11})
    assert "<title>Experiment demo, run-007</title>" in page
    said = text_of_table(page, "Training, data and versions")
    for text in (
        "GTCC (delta 0.3) + <mine>, default parameters",
        "lambda from 0.0 in the first epoch to 1.0 in the last, level action, frames all",
        "temporal_stacking, causal, with the crosstask network",
        "seed 11", "epochs of the training 20",
        "checkpoint best_model_combined.pt, after epoch 12, written 2024-02-28 08:00 best_model_alignment.pt, after ",
        "9 train, 2 val, 3 test (tea 5 / 2 / 2; toast 4 / 0 / 1)",
        "train abc123, test def456", "project 0.1.0, torch 2.10.0, numpy –",
        "evaluated 2024-03-01 09:00 2024-02-29 12:30",
    ):
        assert text in said
    assert said.count("GTCC") == 1
    assert page_of(tmp_path / "run-007" / "EVAL" / "best_model_alignment" / "report.html").text.count("seed") == 1


def test_an_evaluation_that_does_not_know_what_was_run_has_no_such_table(tmp_path):
    assert "What was run" not in write_reports(evaluation(tmp_path / "x", ["tea"])).read_text(encoding="utf-8")


def test_the_best_checkpoints_stand_side_by_side_the_combined_one_first(tmp_path):
    page = run_with(tmp_path / "run-001", alignment={"epoch": 2}, combined={})
    said = text_of_table(page, "Trained networks side by side, test split, tea")
    heads = "metric best_model_combined.pt after epoch 7 best_model_alignment.pt after epoch 3 best naive guess"
    assert f"{heads} raw features untrained network" in said
    figures = "0.111 0.061 … 0.161 0.111 0.061 … 0.161 0.222 0.172 … 0.272 clock – –"
    assert f"progress error: video, online ↓ {figures}" in said
    assert page.index("side by side") < page.index("Does it beat")
    assert "same weights" not in page


def test_verdicts_stand_beside_the_checkpoints_and_under_the_tables(tmp_path, monkeypatch):
    original = page_module.task_tables

    def with_verdicts(*arguments):
        found = original(*arguments)
        tables = [
            replace(table, differences=[f"{table.name}: beats <it>"], spreads=["from seed to seed"])
            for table in found.tables
        ]
        return replace(found, headline="It beats <clock>.", tables=tables)

    monkeypatch.setattr(page_module, "task_tables", with_verdicts)
    run_with(tmp_path / "run-001", alignment={}, combined={})
    page = page_of(tmp_path / "run-001" / "report.html")
    text = " ".join(page.text.split())
    assert text.count("best_model_combined.pt : It beats <clock>.") == 1
    assert text.count("It beats <clock>.") == 2 + 2
    for said in ("progress error: beats <it>", "embedding: beats <it>"):
        assert text.count(said) == 2
    assert text.count("from seed to seed") == 4


def test_checkpoints_of_other_videos_do_not_stand_side_by_side(tmp_path):
    page = run_with(tmp_path / "run-001", alignment={"request": {"split": "val"}}, combined={})
    assert "side by side" not in page
    assert page.count("chose the best checkpoints") == 1


def test_two_best_checkpoints_of_the_same_weights_are_said_to_be(tmp_path):
    same = {"fingerprint": {"weights": "ab"}}
    page = run_with(tmp_path / "run-001", alignment=same, combined=same)
    assert "<bdi>best_model_combined</bdi> and <bdi>best_model_alignment</bdi> hold the same weights" in page


def test_the_best_naive_guess_sees_no_features():
    def result(variant, mean):
        return Result("KT", variant, "tea", mean, None, None, 1)

    found = [
        result(variant, mean)
        for variant, mean in {
            TRAINED: 0.9, UNTRAINED: 0.8, RAW: 0.7, "neighbours": 0.6, f"alignment, {RAW}": 0.5, "clock": 0.4,
            "random neighbours": 0.1, "chance": None,
        }.items()
    ]  # fmt: skip
    assert best_naive_guess(METRICS["KT"], found).variant == "clock"
    assert best_naive_guess(METRICS["EAE"], found).variant == "random neighbours"
    assert best_naive_guess(METRICS["KT"], found[:5]) is None


def test_the_report_of_a_run_leaves_out_what_tells_least_where_it_would_be_too_long(tmp_path, monkeypatch):
    run = tmp_path / "run-001"
    (run / "ckpt").mkdir(parents=True)
    folder = evaluation(run / "EVAL" / "best_model_combined", ["tea"])
    content = json.loads((folder / "metrics.json").read_text())
    for role in ("best", "median", "worst", ""):
        picture = Picture(f"progress+{role}.png", "progress", "tea", ("tea 1",), role)
        Figure(figsize=(10, 3)).savefig(folder / picture.file)
        content["pictures"].append(picture.as_description())
    (folder / "metrics.json").write_text(json.dumps(content))
    sizes = [len(base64.b64encode((folder / p["file"]).read_bytes())) for p in content["pictures"]]
    monkeypatch.setattr("utils.report.page.MOST_OF_PICTURES", 5 * max(sizes))
    write_reports(folder)
    page = page_of(run / "report.html")
    assert len(page.all("img")) == 5
    assert "EVAL/ best_model_combined" in " ".join(page.text.split())
    assert "its report: progress+best.png , progress+worst.png ." in " ".join(page.text.split())
    assert len(page_of(folder / "report.html").all("img")) == 7


def test_a_picture_says_why_its_video_was_chosen(tmp_path):
    folder = evaluation(tmp_path / "x", ["tea"])
    content = json.loads((folder / "metrics.json").read_text())
    content["pictures"][0]["role"] = "worst"
    content["pictures"][1]["source"] = "raw features"
    (folder / "metrics.json").write_text(json.dumps(content))
    text = " ".join(page_of(write_reports(folder)).text.split())
    assert "Worst of 2 recordings by online error of the trained network: tea 1" in text
    assert "By the raw features: tea 1 , tea 2" in text
    assert text.count("its start and its label are given") == 1


def test_a_page_beside_a_folder_that_happens_to_be_called_eval_stays(tmp_path):
    (tmp_path / "report.html").write_text("precious")
    write_reports(evaluation(tmp_path / "EVAL" / "x", ["tea"]))
    assert (tmp_path / "report.html").read_text() == "precious"


def test_an_evaluation_without_pictures_and_one_that_lost_a_picture(tmp_path):
    folder = evaluation(tmp_path / "x", ["tea"])
    (folder / "map_0.png").unlink()
    page = page_of(write_reports(folder))
    assert len(page.all("img")) == 2
    assert "no longer there" in page.text
    content = json.loads((folder / "metrics.json").read_text())
    del content["pictures"]
    (folder / "metrics.json").write_text(json.dumps(content))
    assert not page_of(write_reports(folder)).all("img")


def test_the_headline_is_sorted_and_says_which_row_is_the_trained_networks(tmp_path):
    text = write_reports(evaluation(tmp_path / "x", ["tea"])).read_text(encoding="utf-8")
    table = text[text.index("Does it beat") :]
    page = Page(table[table.index("<table>") : table.index("</table>") + len("</table>")])
    assert page.text.index(TRAINED) < page.text.index("clock")
    assert "constant" not in page.text
    assert [row.get("class") for row in page.all("tr")] == [None, "trained", None]
    bars = page.all("rect")
    assert len(bars) == 4
    for bar in bars:
        assert float(bar["x"]) >= 0
        assert 0 < float(bar["x"]) + float(bar["width"]) <= 100.01


def test_without_online_progress_there_is_no_headline(tmp_path):
    folder = evaluation(tmp_path / "x", ["tea", "toast"])
    content = json.loads((folder / "metrics.json").read_text())
    content["results"] = [row for row in content["results"] if row["metric"] == "KT"]
    (folder / "metrics.json").write_text(json.dumps(content))
    page = page_of(write_reports(folder))
    assert "beat the clock" not in page.text
    assert "0.111" in page.text


def test_the_trained_network_is_marked_and_every_metric_says_which_way_is_better(tmp_path):
    page = page_of(write_reports(evaluation(tmp_path / "x", ["tea"])))
    marked = [attributes for tag, attributes in page.elements if attributes.get("class") == "trained"]
    # Headline, progress errors: row and its head; embedding: head and cell of a column; each video: head and cells.
    assert len(marked) == 2 + 2 + 2 + 3
    ways = [attributes["title"] for attributes in page.all("span") if "title" in attributes]
    # In the meanings and in the tables, where the headline shows the error once more.
    assert sorted(ways) == ["higher is better"] * 2 + ["lower is better"] * 3


def test_meanings_come_before_the_figures_and_once(tmp_path):
    run = tmp_path / "run-001"
    (run / "ckpt").mkdir(parents=True)
    for kind in ("alignment", "combined"):
        write_reports(evaluation(run / "EVAL" / f"best_model_{kind}", ["tea"]))
    text = page_of(run / "report.html").text
    assert text.count("Kendall's tau: whether") == 1
    assert text.index("Kendall's tau: whether") < text.index("0.111")


def test_the_pictures_of_a_task_with_a_hostile_name_are_drawn_and_described(tmp_path):
    times = annotation(("$x_{$", 9), ("SIL", 2), ("b^{$$", 9))
    videos = []
    for number in range(3):
        embedding = torch.randn(20, 3, generator=torch.Generator().manual_seed(number))
        embeddings = {TRAINED: embedding, UNTRAINED: embedding * 2}
        videos.append(
            EmbeddedVideo(
                handle=f"{number}$y^{{$" + "x" * 300,
                time_dict=times,
                progress=get_trueprogress(times).double().numpy(),
                action_progress=get_trueprogress_per_action(times).double().numpy(),
                paths={name: path_length(embedding) for name in (TRAINED, UNTRAINED, RAW)},
                embeddings=embeddings,
            )
        )
    task = "a/../$b_{$ <i>" + "y" * 300
    results, curves = evaluate_task_with_curves(task, videos[:1], videos[1:], kept=DRAWN)
    drawn = videos_to_draw(videos[1:], curves, results, 3)
    pictures = draw_task(tmp_path, task, videos[1:], drawn, videos[:1])
    assert [picture.kind for picture in pictures] == ["progress", "progress", "similarity", "map"]
    assert {picture.file for picture in pictures} == {path.name for path in tmp_path.iterdir()}
    assert all(picture.task == task for picture in pictures)


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_it_without_scrolling_sideways(tmp_path, width):
    report = write_reports(evaluation(tmp_path / "x", HOSTILE))
    picture = tmp_path / "screenshot.png"
    found = look(
        report.as_uri(), width, tmp_path,
        """return {title: page.title, content: page.documentElement.scrollWidth, window: f.contentWindow.innerWidth,
        images: [...page.images].map(image => image.naturalWidth),
        outside: [...page.querySelectorAll("body *")].filter(e => !e.closest(".scroll") &&
          e.getBoundingClientRect().right > f.contentWindow.innerWidth + 1).map(e => e.tagName)}""",
        picture,
    )  # fmt: skip
    assert found["title"].startswith("data &lt;set&gt;: best_model")
    assert found["content"] <= found["window"] == width
    assert found["outside"] == []
    assert len(found["images"]) == 9
    assert min(found["images"]) > 0

    pixels = imread(picture)[..., :3]
    assert pixels.shape[1] >= width
    lines_with_ink = (np.abs(pixels - pixels[0, 0]) > 0.2).any(axis=(1, 2))
    assert lines_with_ink.mean() > 0.2
