"""docs/predicting.md: its commands about embeddings, alignment and comparison run as they stand, in their order."""

import re
import shlex
import shutil

import pytest
import torch

import eval as evaluate
import predict
from models.build_model import build_model
from tests.conftest import ROOT
from tests.prediction_runs import small_config
from utils.ckpt_save import ckpt_save
from utils.command import run_command
from utils.data.dataset import load_data
from utils.prediction import align

PAGE = (ROOT / "docs" / "predicting.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line) for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]


@pytest.fixture
def workplace(data_root, tmp_path, monkeypatch):
    """A folder with the demo's data and configuration, and four runs of it whose networks were never trained."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(data_root, "data")
    shutil.copytree(ROOT / "configs", "configs")
    config = small_config(DATASET_NAME="synthetic", DATASET_PATH="data")
    data = load_data(config)
    for number in range(1, 5):
        torch.manual_seed(number)
        network = build_model(config, data.feature_width, len(data.train.tasks))
        run = tmp_path / "output" / "demo" / f"run-{number:03d}"
        for kind in ("combined", "alignment"):
            ckpt_save(
                network, None, 1, 0.5, run / "ckpt" / f"best_model_{kind}.pt", config, tasks=list(data.train.tasks),
                feature_width=data.feature_width, standardization=data.standardization,
                progress_normalizers=dict.fromkeys(data.train.tasks, 1.0),
            )  # fmt: skip
        (run / "config.json").write_text("{}")
    return tmp_path


def test_every_command_runs_and_writes_what_the_page_says(workplace, capsys):
    assert len(COMMANDS) == 8
    mains = {"predict.py": predict.main, "eval.py": evaluate.main}
    printed = []
    for python, *rest in COMMANDS:
        assert python == "python"
        if rest[0] == "-m":
            assert rest[1] == "utils.prediction.align"
            main, arguments = align.main, rest[1:]
        else:
            main, arguments = mains[rest[0]], rest
        if rest[0] == "eval.py":
            arguments = [*arguments, "--figures", "0", "--no-classifier"]  # pictures and PC take most of the time
        assert run_command(main, arguments) == 0, rest
        printed.append(capsys.readouterr().out)
    recordings = {path.name for path in (workplace / "data" / "synthetic" / "features").iterdir()}
    assert {path.name for path in (workplace / "embeddings").glob("*.npy")} == recordings
    aligned = {path.name for path in (workplace / "alignments").iterdir()}
    assert aligned == {f"procedure1_subject01+procedure1_subject02.{suffix}" for suffix in ("csv", "png")}
    assert (workplace / "embeddings" / "EVAL" / "embeddings" / "report.html").is_file()
    plain, groups, table, latex = printed[-4:]
    assert "paired by video" in plain
    assert "B - A" in groups
    assert table.startswith("metric,better,group,")
    assert latex == ""
    assert r"\begin{tabular}" in (workplace / "table.tex").read_text()
