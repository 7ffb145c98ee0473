"""Small networks and checkpoints for the tests of prediction."""

import torch

from configs.generic_config import get_generic_config
from models.build_model import build_model
from utils.checkpoints.fingerprint import Fingerprint
from utils.ckpt_save import ckpt_save
from utils.prediction.training_embeddings import TrainingVideos, save_training_embeddings

WIDTH = 5
TASKS = ("cook", "serve")


def small_config(architecture="temporal_stacking", crosstask=True, causal=True, **settings):
    config = get_generic_config()
    config.CAUSAL, config.OUTPUT_DIMENSIONALITY = causal, 4
    config.BASEARCH.ARCHITECTURE = architecture
    config.BASEARCH.TEMPORAL_STACKING_ARCH.conv_num_channels = 8
    config.BASEARCH.NAIVE_ARCH.layers = (8,)
    config.BASEARCH.Resnet50_ARCH.conv_num_channels = 4
    config.BASEARCH.Resnet50_ARCH.fc_layers = (8,)
    config.ARCHITECTURE.MCN = crosstask
    for group in ("head_layers", "attn_layers", "drop_layers"):
        config.ARCHITECTURE[group] = (8,)
    config = config.to_dict()
    return {**config, **settings}


def small_model(config, seed=0):
    torch.manual_seed(seed)
    return build_model(config, WIDTH, len(TASKS)).eval()


def recording(seed, frames, architecture="temporal_stacking"):
    generator = torch.Generator().manual_seed(seed)
    if architecture == "resnet50":
        return torch.randn(frames, WIDTH, 3, 3, generator=generator)
    return torch.randn(frames, WIDTH, generator=generator).cumsum(dim=0) / 3


def embedded_training_videos(model, architecture="temporal_stacking", first_seed=100):
    with torch.inference_mode():
        embeddings = [
            model([recording(first_seed + i, 30 + 5 * i, architecture)])["outputs"][0] for i in range(3)
        ]
    return TrainingVideos(embeddings, [torch.linspace(0, 1, len(e)) for e in embeddings])


def write_checkpoint(folder, config=None, embeddings=True, **content):
    """A checkpoint of untrained weights as the end of a training leaves it, and its training embeddings."""
    config = small_config() if config is None else config
    model = small_model(config)
    path = folder / "ckpt" / "best_model_combined.pt"
    entries = {
        "feature_width": WIDTH,
        "tasks": list(TASKS),
        "standardization": {"mean": torch.full((WIDTH,), 0.5), "std": torch.full((WIDTH,), 2.0)},
        "progress_normalizers": {"cook": 20.0, "serve": 40.0},
        **content,
    }
    ckpt_save(model, None, 3, 0.5, path, config, **entries)
    if embeddings:
        checkpoint = torch.load(path, weights_only=True)
        tasks = {
            task: embedded_training_videos(model, first_seed=100 * (i + 1)) for i, task in enumerate(TASKS)
        }
        save_training_embeddings(path, tasks, Fingerprint.of(checkpoint, checkpoint["config"], {}))
    return path
