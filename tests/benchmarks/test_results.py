"""The command that makes the tables of docs/results.md trains and evaluates no more than it must."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from itertools import product

import pytest

from benchmarks import results
from tests.tiny_training import one_pixel, only, small_config, train
from utils.data.synthetic import write_synthetic_dataset
from utils.evaluation.checkpoint import EvaluationRequest, evaluate_checkpoint
from utils.evaluation.variants import VARIANTS, Kind

LOSSES, PROGRESS, SEEDS = ["tcc", "GTCC"], ["on", "off"], [0, 1]


@pytest.fixture
def options(tmp_path, monkeypatch):
    write_synthetic_dataset(tmp_path / "data" / "synthetic", seed=0, tasks=1, videos=10, frames=(40, 50), width=4)
    monkeypatch.setattr("utils.training.log.plot_loss_curves", one_pixel)
    made = {}

    def tiny(experiment, loss, progress, seed, options):
        if (loss, progress, seed) not in made:
            config = small_config(
                {
                    "DATASET_PATH": str(tmp_path / "data"), "DATASET_NAME": "synthetic", "TASKS": (), "SEED": seed,
                    "OUTPUT_FOLDER": str(tmp_path / "output"), "EXPERIMENTNAME": f"{loss}-{progress}-{seed}",
                    "TRAIN_SPLIT": (0.6, 0.5), "NUM_EPOCHS": 2, "PROGRESS_LOSS.enabled": progress == "on", **only(loss),
                }
            )  # fmt: skip
            made[loss, progress, seed] = train(config, tmp_path)
        return made[loss, progress, seed]

    monkeypatch.setattr(results, "train", tiny)
    return Namespace(losses=LOSSES, progress=PROGRESS, seeds=SEEDS, train=tiny)


def test_every_setting_has_the_figures_that_an_evaluation_of_its_own_gives(options, tmp_path):
    settings = results.evaluate_settings("tiny", options)
    assert set(settings) == {
        results.Setting(*names) for names in product(LOSSES, PROGRESS, results.CHECKPOINTS)
    }
    for (loss, progress, kind), found in settings.items():
        for seed, figures in zip(SEEDS, found.test, strict=True):
            path = options.train("tiny", loss, progress, seed, options) / "ckpt" / f"best_model_{kind}.pt"
            whole = evaluate_checkpoint(path, EvaluationRequest(figures=0), tmp_path / "alone")
            assert by_row(figures) == by_row(whole), "the competitors of a seed are the same for every setting"
        for figures in found.val:
            assert {VARIANTS[result.variant].kind for result in figures} <= {Kind.TRAINED, Kind.NAIVE}


def test_the_tables_of_an_experiment_have_a_row_for_every_loss_and_read_out(options):
    lines = results.experiment_tables("tiny", options)
    headings = [line for line in lines if line.startswith("#")]
    assert headings == [
        "## tiny", "### Progress", "### Alignment", "### Progress by read-out",
        "### With the progress term minus without it", "### Every setting",
    ]  # fmt: skip
    first = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    readouts = ["path", "neighbours", "alignment"]
    assert [name for name in first if name in readouts] == readouts
    assert first.count("tcc") == first.count("GTCC") == 2 + 1 + 4
    assert not any("nan" in line for line in lines)


def test_the_progress_term_is_judged_by_its_own_differences(options):
    settings = results.evaluate_settings("tiny", options)
    metric = results.CHOOSING["Progress"]
    on, off = (settings[results.Setting("tcc", progress, "combined")].test for progress in PROGRESS)
    difference = results.difference_of_groups(on, off, metric)
    means = [results.mean_figure(seeds, metric) for seeds in (on, off)]
    assert difference.difference.mean == pytest.approx(means[0] - means[1])
    heads, _, *rows = results.progress_term_table(settings, LOSSES)
    assert heads == "| loss | OPE_video_online | KTW |"
    assert results.verdict(difference, metric) in rows[0]


def by_row(figures):
    return {(r.metric, r.variant, r.task): replace(r, differences=()) for r in figures}


def test_nothing_is_evaluated_twice(options, monkeypatch):
    calls = []

    def counted(path, request, folder):
        calls.append((path, request))
        return evaluate_checkpoint(path, request, folder)

    monkeypatch.setattr(results, "evaluate_checkpoint", counted)
    first = results.evaluate_settings("tiny", options)
    assert sum(request.competitors for _, request in calls) == len(SEEDS)
    assert all(request.split == "test" for _, request in calls if request.competitors)
    assert len({(path, request.split) for path, request in calls}) == len(calls)
    calls.clear()
    assert results.evaluate_settings("tiny", options) == first
    assert not calls, "all figures are on disk"


def test_the_same_weights_are_evaluated_once(options, monkeypatch):
    run = options.train("tiny", "tcc", "on", 0, options)
    one, other = (run / "ckpt" / f"best_model_{kind}.pt" for kind in results.CHECKPOINTS)
    other.write_bytes(one.read_bytes())
    calls = []
    monkeypatch.setattr(results, "evaluate_checkpoint", lambda path, *_: calls.append(path) or [path])
    assert results.evaluate([one, other], "test", competitors=False) == {one: [one], other: [one]}
    assert calls == [one]


def test_the_tables_of_an_experiment_replace_its_own_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- one: begin -->\nold\n<!-- one: end -->\n\nText.\n")
    results.insert(page, "two", r"| \1 |")
    results.insert(page, "one", "new")
    assert page.read_text() == (
        "# Title\n\n<!-- one: begin -->\n\nnew\n<!-- one: end -->\n\nText.\n\n"
        "<!-- two: begin -->\n\n| \\1 |\n<!-- two: end -->\n"
    )
    results.insert(tmp_path / "new.md", "one", "first")
    assert (tmp_path / "new.md").read_text() == "<!-- one: begin -->\n\nfirst\n<!-- one: end -->\n"
