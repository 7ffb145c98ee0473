"""Several processes train as one would on the same batches."""

import json
import os
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT, training_arguments
from tests.interrupted_runs import one_loss
from utils.ckpt_save import load_checkpoint


def torchrun(number, *arguments, timeout=300):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number),
         *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=timeout, check=False,
    )


GRADIENTS = '''
import sys, torch
from configs.entry_config import read_command_line
from models.alignment_training_loop import AlignmentTraining, make_loader
from models.build_model import build_model
from models.json_dataset import load_data
from utils.processes import join_processes
from pathlib import Path

config = read_command_line(sys.argv[1:]).config
data = load_data(config.to_dict())
torch.manual_seed(0)
model = build_model(config.to_dict(), data.feature_width, len(data.train.tasks))
with join_processes(torch.device("cpu")) as processes:
    training = AlignmentTraining(model, data, config, Path(config.OUTPUT_FOLDER), torch.device("cpu"), processes)
    batches = list(training.sampler)
    world = processes.world_size
    if world > 1:
        loader = make_loader(data.train, training._share(batches[:world]), config)
        (sequences, times), = loader
        training.config.unlock(); training.config.MAX_GRAD_NORM = 1e9
        training._forward_backward(sequences, times, number=processes.rank, weight=1.0)
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    else:
        world = int(Path(config.OUTPUT_FOLDER).name)
        training.config.unlock(); training.config.MAX_GRAD_NORM = 1e9
        gradients = {}
        for number, (sequences, times) in enumerate(make_loader(data.train, batches[:world], config)):
            training._forward_backward(sequences, times, number=number, weight=1.0)
            for name, p in model.named_parameters():
                if p.grad is not None:
                    gradients[name] = gradients.get(name, 0) + p.grad / world
    if processes.is_main:
        torch.save(gradients, Path(config.OUTPUT_FOLDER) / f"{processes.world_size}.pt")
'''


@pytest.mark.parametrize("number", [2, 3])
def test_gradients_equal_those_of_one_process_on_the_same_batches(data_root, tmp_path, number):
    output = tmp_path / str(number)
    output.mkdir()
    script = tmp_path / "gradients.py"
    script.write_text(GRADIENTS)
    arguments = ["train", *training_arguments(data_root, output)]
    several = torchrun(number, script, *arguments)
    assert several.returncode == 0, several.stderr
    one = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False,
                         env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})
    assert one.returncode == 0, one.stderr
    expected, got = torch.load(output / "1.pt"), torch.load(output / f"{number}.pt")
    assert any(gradient.abs().sum() > 0 for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-4, atol=1e-7)


def test_a_run_of_two_processes_finishes_and_resumes_with_one(data_root, tmp_path):
    arguments = training_arguments(data_root, tmp_path, *one_loss("tcc"))
    done = torchrun(2, ROOT / "multitask_train.py", *arguments)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "demo" / "run-001"
    assert len(list((tmp_path / "demo").iterdir())) == 1
    last = load_checkpoint(run / "ckpt" / "last.pt")
    assert [row["epoch"] for row in last["training_state"]["history"]] == [0, 1, 2]
    assert all(torch.isfinite(weight).all() for weight in last["model_state_dict"].values())
    resumed = torchrun(1, ROOT / "multitask_train.py", *arguments, "--resume", "auto", "--config.NUM_EPOCHS=4")
    assert resumed.returncode == 0, resumed.stderr
    assert load_checkpoint(run / "ckpt" / "last.pt")["training_state"]["epoch"] == 4


def test_an_error_in_the_data_ends_every_process_with_its_message(data_root, tmp_path):
    done = torchrun(2, ROOT / "multitask_train.py", *training_arguments(
        tmp_path / "absent", tmp_path / "output"), timeout=60)
    assert done.returncode != 0
    assert "synthetic.json" in done.stderr


def test_validation_is_shared_out_and_reduced(data_root, tmp_path):
    """One epoch, learning rate 1e-12: the network stays as it was, so both runs must report the same validation."""
    reports = []
    for number in (1, 2):
        done = torchrun(number, ROOT / "multitask_train.py", *training_arguments(
            data_root, tmp_path / str(number), "--config.NUM_EPOCHS=1", "--config.LEARNING_RATE=1e-12"))
        assert done.returncode == 0, done.stderr
        last = load_checkpoint(tmp_path / str(number) / "demo" / "run-001" / "ckpt" / "last.pt")
        row = last["training_state"]["history"][0]
        reports.append({name: value for name, value in row.items() if name.startswith("val_")})
    assert reports[0] == pytest.approx(reports[1], rel=1e-4)
    assert json.dumps(reports[0]) != "{}"
