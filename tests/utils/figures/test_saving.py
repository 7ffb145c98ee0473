import os
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from tests.utils.metrics.annotations import annotation
from utils.figures.embedding_map import plot_embedding_map
from utils.figures.loss_curves import plot_loss_curves
from utils.figures.palette import BACKGROUND, CLOCK, PREDICTION
from utils.figures.prediction_curve import plot_prediction
from utils.figures.progress_curve import ProgressPanel, plot_progress
from utils.figures.saving import save_figure
from utils.figures.similarity_matrix import plot_similarity
from utils.figures.style import WIDTH, shown_name

FORMATS = ("png", "svg", "pdf")
HOSTILE = (
    "$x_{$ \\frac{1} %s {0} {name} <script>&amp;\"'",
    "двойной 実験 تجربة " + "e\u0301" * 20,
    "a\x00b\x1b[31m two\nlines \ud800.npy \u202egnp.exe \ufffe",
    "_" + "x" * 5000,
    " ",
)


def every_figure(name, path, frames=40):
    """Draws each kind of figure with this name wherever one can stand; returns the paths."""
    times = annotation((name, frames // 2), ("SIL", 5), (f"{name} 2", frames - frames // 2 - 5))
    embedding = torch.sin(torch.arange(frames * 3).reshape(frames, 3) * 0.7)
    truth = np.linspace(0, 1, frames)
    panel = ProgressPanel(
        name, truth, truth**2, truth, name, other=truth**3, other_name=name, band=(truth / 2, truth), band_name=name
    )
    figures = {
        "similarity": lambda to: plot_similarity(to, embedding, embedding.flip(0), times, times, name, name, name),
        "progress": lambda to: plot_progress(to, [panel], times, name, 25.0),
        "map": lambda to: plot_embedding_map(to, {name: [embedding]}, [truth], name, "pca", 2),
        "prediction": lambda to: plot_prediction(to, truth, name, 25.0, (truth / 2, truth), name),
        "loss": lambda to: plot_loss_curves(
            [{"epoch": 0, "train_total_loss": 1.0, "val_total_loss": 2.0}], to, {"combined": "total_loss"}
        ),
    }
    for kind, draw in figures.items():
        draw([path / f"{kind}.{suffix}" for suffix in FORMATS])
    return [path / f"{kind}.{suffix}" for kind in figures for suffix in FORMATS]


@pytest.mark.filterwarnings("error:constrained_layout not applied")
@pytest.mark.parametrize("name", HOSTILE, ids=("mathematics", "alphabets", "no characters", "long", "blank"))
def test_no_name_breaks_a_figure(tmp_path, name):
    for path in every_figure(name, tmp_path):
        if path.suffix == ".svg":
            ElementTree.parse(path)
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
                assert image.width <= 1.3 * WIDTH * 120
        else:
            assert path.read_bytes().startswith(b"%PDF")
            assert path.read_bytes().rstrip().endswith(b"%%EOF")


def test_the_same_figure_gives_the_same_bytes(tmp_path, monkeypatch):
    first = every_figure("stir milk", tmp_path / "first")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")  # another day
    second = every_figure("stir milk", tmp_path / "second")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_text_stays_text_in_svg_and_is_escaped(tmp_path):
    every_figure("pour <b>&milk $1", tmp_path)
    for kind in ("progress", "similarity"):
        text = " ".join(ElementTree.parse(tmp_path / f"{kind}.svg").getroot().itertext())
        assert "pour <b>&milk $1" in text


def test_text_stays_text_in_pdf(tmp_path):
    every_figure("stir", tmp_path)
    content = (tmp_path / "progress.pdf").read_bytes()
    assert b"/Subtype /CIDFontType2" in content or b"/Subtype /TrueType" in content or b"/FontFile2" in content
    assert b"/CreationDate" not in content


def test_colours_of_curves_marks_and_paper_are_kept_in_a_small_png(tmp_path):
    figure = Figure(figsize=(9, 5))
    axes = figure.subplots()
    axes.imshow(np.random.default_rng(0).random((300, 300)), cmap="viridis", aspect="auto")
    axes.plot([0, 299], [0, 299], color=CLOCK, linewidth=3)
    axes.plot([0, 299], [299, 0], color=PREDICTION, linewidth=3)
    axes.axhspan(0, 20, color=BACKGROUND)
    axes.axhspan(20, 60, color="#EBEBEB")  # as good as the same, and there is more of it
    save_figure(figure, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    wanted = {tuple(bytes.fromhex(code[1:])) for code in (CLOCK, PREDICTION, BACKGROUND, "#000000", "#ffffff")}
    assert wanted <= colours
    assert len(colours) <= 128


def test_pictures_are_small(tmp_path):
    """A report holds dozens of them."""
    for path in every_figure("stir", tmp_path, frames=150):
        if path.suffix == ".png":
            assert 5_000 < path.stat().st_size < 110_000, path.name


def test_another_format_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"x\.gif: expected a name that ends in \.png, \.svg or \.pdf"):
        save_figure(Figure(), [tmp_path / "x.png", tmp_path / "x.gif"])
    assert os.listdir(tmp_path) == []


def test_a_figure_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(b"old")

    def broken(*_, **__):
        raise RuntimeError("in mid-drawing")

    monkeypatch.setattr(Figure, "savefig", broken)
    with pytest.raises(RuntimeError, match="in mid-drawing"):
        save_figure(Figure(), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.png"]


def test_names_are_made_fit_to_be_drawn():
    assert shown_name("  a\tb\n\nc ") == "a b c"
    assert shown_name("a\x00\ud800b") == "a\ufffd\ufffdb"
    assert shown_name("\u202eabc\u2066") == "abc"
    assert shown_name("x" * 30 + "y" * 30 + "z", 21) == "x" * 10 + "…" + "y" * 9 + "z"
    assert shown_name("実験 $é$") == "実験 $é$"
