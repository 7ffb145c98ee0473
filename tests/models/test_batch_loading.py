"""The network on a batch, in the precision asked for."""

import multiprocessing
import signal
from multiprocessing.reduction import ForkingPickler

import pytest
import torch

from configs.entry_config import read_command_line
from configs.generic_config import get_generic_config
from models.batch_loading import _signals_held_back, make_loader, run_network, step_generator
from models.build_model import build_model
from tests.conftest import training_arguments
from utils.data.dataset import load_data

CPU = torch.device("cpu")


def make_model(crosstask, architecture):
    config = get_generic_config()
    config.BASEARCH.ARCHITECTURE = architecture
    config.BASEARCH.TEMPORAL_STACKING_ARCH.conv_num_channels = 32
    config.BASEARCH.Resnet50_ARCH = {"conv_num_channels": 8, "fc_layers": (16,)}
    config.ARCHITECTURE.MCN = crosstask
    torch.manual_seed(0)
    return build_model(config.to_dict(), 16, 2)


def make_videos(architecture):
    generator = torch.Generator().manual_seed(1)
    shape = (16, 6, 6) if architecture == "resnet50" else (16,)
    return [torch.randn(length, *shape, generator=generator) for length in (12, 20)]


@pytest.mark.parametrize("crosstask", [True, False])
@pytest.mark.parametrize("architecture", ["temporal_stacking", "naive", "resnet50"])
def test_bfloat16_rounds_the_products_and_gives_float32_back(crosstask, architecture):
    model, videos = make_model(crosstask, architecture), make_videos(architecture)
    exact = run_network(model, videos, CPU)
    rounded = run_network(model, videos, CPU, "bfloat16")
    assert exact.keys() == rounded.keys()
    for name, values in exact.items():
        for expected, found in zip(values, rounded[name], strict=True):
            assert found.dtype == torch.float32
            # Eight bits of mantissa over a few layers, relative to the largest entry.
            assert (expected - found).abs().max() <= 0.05 * expected.abs().max()
    assert not torch.equal(exact["outputs"][0], rounded["outputs"][0])


def test_gradients_reach_float32_weights():
    model, videos = make_model(True, "temporal_stacking"), make_videos("temporal_stacking")
    gradients = []
    for precision in ("float32", "bfloat16"):
        model.zero_grad(set_to_none=True)
        sum(output.square().mean() for output in run_network(model, videos, CPU, precision)["outputs"]).backward()
        parts = [each.grad for each in model.parameters() if each.grad is not None]
        assert all(part.dtype == torch.float32 for part in parts)
        gradients.append(torch.cat([part.flatten() for part in parts]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99


def test_every_step_has_random_numbers_of_its_own():
    steps = [(seed, epoch, batch) for seed in range(3) for epoch in range(3) for batch in range(3)]
    drawn = {step: float(torch.rand((), generator=step_generator(*step))) for step in steps}
    assert len(set(drawn.values())) == len(steps)
    assert all(float(torch.rand((), generator=step_generator(*step))) == value for step, value in drawn.items())


def small_training(data_root, tmp_path, *overrides):
    arguments = ["train", *training_arguments(data_root, tmp_path, *overrides)]
    config = read_command_line(arguments).config
    return config, load_data(config.to_dict()).train


def test_a_loading_process_needs_no_shared_memory(data_root, tmp_path, monkeypatch):
    """If it is full, torch fails in a thread of the loading process, and training would never stop waiting."""

    def full(tensor):
        raise OSError(28, "unable to allocate shared memory")

    def too_late(number, frame):
        raise TimeoutError("still waiting for a batch")

    config, videos = small_training(data_root, tmp_path, "--config.NUM_WORKERS=2")
    batches = [[0, 1], [2, 3], [1, 3]]
    monkeypatch.setitem(ForkingPickler._extra_reducers, torch.Tensor, full)
    monkeypatch.setattr(torch.multiprocessing.reductions, "reduce_tensor", full)
    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(60)
    try:
        loaded = list(make_loader(videos, batches, config))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    for batch, (sequences, times) in zip(batches, loaded, strict=True):
        for index, sequence, time_dict in zip(batch, sequences, times, strict=True):
            assert torch.equal(sequence, videos[index][0])
            assert time_dict == videos[index][1]


def mask_of_a_process():
    """The signals that are blocked in a process started now, before it does anything about them."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sending.send(set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))))
    process.start()
    assert receiving.poll(30)
    mask = receiving.recv()
    process.join()
    return mask


def test_loading_processes_start_with_signals_held_back():
    """A scheduler's signal to the whole group would end one that has no handlers yet, and the epoch with it."""
    both = {signal.SIGTERM, signal.SIGINT}
    with _signals_held_back():
        assert both <= mask_of_a_process()
    assert not both & mask_of_a_process()
