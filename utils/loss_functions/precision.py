"""Losses are computed in the precision of the embeddings, whatever the network was run in."""

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device: torch.device) -> AbstractContextManager:
    """A context in which nothing is rounded to the half precision of a surrounding `torch.autocast`."""
    # Not every device knows autocast, and those that don't refuse even to turn it off.
    available = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if available else nullcontext()
