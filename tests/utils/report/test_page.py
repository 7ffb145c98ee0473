import json
import logging
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from tests.utils.metrics.annotations import annotation
from utils.evaluation.notes import Note, NoteKind
from utils.evaluation.pictures import Picture, draw_task
from utils.evaluation.results import ALL_TASKS, Result, mean_over_tasks, save_results
from utils.evaluation.task import evaluate_task_with_curves
from utils.prediction.embedding import RAW, TRAINED, UNTRAINED, EmbeddedVideo, path_length
from utils.report.page import report_page, write_reports
from utils.tensorops import get_trueprogress, get_trueprogress_per_action

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--allow-file-access-from-files",
]
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


def evaluation(folder, tasks, checkpoint="best_model_combined.pt"):
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
    _, curves = evaluate_task_with_curves(task, videos[:1], videos[1:], kept=2)
    pictures = draw_task(tmp_path, task, videos[1:], curves, videos[:1])
    assert [picture.kind for picture in pictures] == ["progress", "progress", "similarity", "map"]
    assert {picture.file for picture in pictures} == {path.name for path in tmp_path.iterdir()}
    assert all(picture.task == task for picture in pictures)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to look with")
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_it_without_scrolling_sideways(tmp_path, width):
    report = write_reports(evaluation(tmp_path / "x", HOSTILE))
    # A frame is as narrow as it is told to be, and a window need not be.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"""<body style="margin:0"><iframe id="f" width="{width}" height="2400" style="border:0"
        src="{report.as_uri()}"></iframe><pre id="found"></pre><script>f.onload = () => {{
        const page = f.contentDocument; found.textContent = JSON.stringify({{
        title: page.title, content: page.documentElement.scrollWidth, window: f.contentWindow.innerWidth,
        images: [...page.images].map(image => image.naturalWidth),
        outside: [...page.querySelectorAll("body *")].filter(e => !e.closest(".scroll") &&
          e.getBoundingClientRect().right > f.contentWindow.innerWidth + 1).map(e => e.tagName)
        }}) }}</script>"""
    )
    run = {"check": True, "timeout": 60, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
    dumped = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()], **run
    ).stdout.decode()
    found = json.loads(dumped.split('<pre id="found">')[1].split("</pre>")[0].replace("&amp;", "&"))
    assert found["title"].startswith("data &lt;set&gt;: best_model")
    assert found["content"] <= found["window"] == width
    assert found["outside"] == []
    assert len(found["images"]) == 9
    assert min(found["images"]) > 0

    picture = tmp_path / "screenshot.png"
    subprocess.run([*command, f"--window-size={width},2400", f"--screenshot={picture}", frame.as_uri()], **run)
    pixels = imread(picture)[..., :3]
    assert pixels.shape[1] >= width
    lines_with_ink = (np.abs(pixels - pixels[0, 0]) > 0.2).any(axis=(1, 2))
    assert lines_with_ink.mean() > 0.2
