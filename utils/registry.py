"""What a setting or an option can name: each choice, and the code behind it as `module:name`.

The one place that knows all of them. Code is imported when it is first asked for, so that reading a configuration or
printing `--help` loads none of it. A new loss, encoder or read-out is a file of its own and a line here;
`docs/extending.md` shows each.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from utils.errors import ConfigError, first_line, nearest_name, shown


class Choice(NamedTuple):
    """One thing that can be named.

    Attributes:
        code: where it is, as `module:name`.
        settings: the group of settings that it is called with, as a dotted key of the configuration; '' for none.
    """

    code: str
    settings: str = ""


# LOSS_TYPE: functions of the embeddings of a batch, see `utils.loss_entry`.
LOSSES: dict[str, Choice] = {
    "GTCC": Choice("utils.loss_functions.gtcc:GTCC_loss", "GTCC_PARAMS"),
    "tcc": Choice("utils.loss_functions.tcc:TCC_loss", "TCC_ORIGINAL_PARAMS"),
    "LAV": Choice("utils.loss_functions.lav:LAV_loss", "LAV_PARAMS"),
    "VAVA": Choice("utils.loss_functions.vava:VAVA_loss", "VAVA_PARAMS"),
}

# BASEARCH.ARCHITECTURE: classes of a frame encoder, see `models.build_model`.
ENCODERS: dict[str, Choice] = {
    "temporal_stacking": Choice("models.model_singleprong:TemporalStackingEncoder", "BASEARCH.TEMPORAL_STACKING_ARCH"),
    "resnet50": Choice("models.model_singleprong:Resnet50Encoder", "BASEARCH.Resnet50_ARCH"),
    "naive": Choice("models.model_singleprong:FramewiseEncoder", "BASEARCH.NAIVE_ARCH"),
}

# --readout: ways to read progress from an embedding, see `utils.prediction.readouts`.
READOUTS: dict[str, Choice] = {
    "path": Choice("utils.prediction.readouts.path:PathReadout"),
    "neighbours": Choice("utils.prediction.readouts.neighbours:NeighboursReadout"),
    "alignment": Choice("utils.prediction.readouts.alignment:AlignmentReadout"),
}

# Names that a setting may have and that stand for a branch of one function.
ATTENTION_LAYOUTS = ("per_frame", "interleaved")
SIMILARITIES = ("squared", "squared_per_dimension", "euclidean")
SOFT_NEIGHBOURS = ("components", "responsibilities")


def code_of(choice: Choice | str, key: str = "") -> Any:
    """The class or function that a choice stands for, imported now.

    Args:
        choice: an entry of one of the tables, or its `module:name`.
        key: the setting that named it, for the message.

    Raises:
        ConfigError: there is no such module or name in it, or importing it fails.
    """
    code = choice if isinstance(choice, str) else choice.code
    module, separator, name = code.partition(":")
    where = f"{key} names" if key else "the code is"
    if not (separator and module and name):
        raise ConfigError(f"{where} {shown(code)}; expected module:name, such as my_losses:my_loss")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{where} {code}, which can't be loaded: {first_line(error)}") from error


def choice_of(table: Mapping[str, Choice], name: str, what: str) -> Choice:
    """The entry of a table.

    Raises:
        ConfigError: there is none of this name; says which there are and which is nearest.
    """
    if name not in table:
        nearest = nearest_name(name, table)
        hint = f"did you mean {nearest!r}?" if nearest else f"expected one of {', '.join(table)}"
        raise ConfigError(f"{what} is {shown(name)}; {hint}")
    return table[name]
