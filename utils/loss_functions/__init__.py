"""The alignment losses. Each is a pure function of the embeddings of a batch of videos of one task.

`from utils.loss_functions import GTCC_loss` imports that loss alone.
"""

from typing import Any

from utils.registry import LOSSES, code_of

_CHOICES = {choice.code.partition(":")[2]: choice for choice in LOSSES.values()}


def __getattr__(name: str) -> Any:
    if name in _CHOICES:
        return code_of(_CHOICES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
