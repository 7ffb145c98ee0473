"""Losses are computed in the precision of the embeddings, even if the network ran in half precision."""

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device: torch.device) -> AbstractContextManager:
    """A context in which nothing is rounded to the half precision of a surrounding `torch.autocast`."""
    # Not every device supports autocast; on the others, even turning it off raises an error.
    available = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if available else nullcontext()
