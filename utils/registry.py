"""The choices of settings and options, and for each choice its code as `module:name`.

This is the only list of all choices. Code is imported when it is first needed, so that reading a configuration or
printing `--help` imports none of it. A new loss, encoder or read-out is a new file and one line here;
`docs/extending.md` shows an example of each.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from utils.errors import ConfigError, first_line, nearest_name, shown


class DropoutsWhile(NamedTuple):
    """The condition on a loss's settings under which it uses its argument `dropouts`.

    Attributes:
        holds: a function of the loss's settings; True if the loss uses `dropouts`.
        words: the condition in words, for a message.
    """

    holds: Callable[[Mapping[str, Any]], bool]
    words: str


class Loss(NamedTuple):
    """An alignment loss: a function of the embeddings of a batch, see `utils.loss_functions.alignment_terms`.

    Attributes:
        code: where it is, as `module:name`.
        settings: the group of settings that are its parameters, as a dotted key of the configuration.
        dropouts_while: for a loss that uses its argument `dropouts` only with some settings.
        in_validation: values that replace settings where the best checkpoint is chosen.
    """

    code: str
    settings: str
    dropouts_while: DropoutsWhile | None = None
    in_validation: Mapping[str, Any] = MappingProxyType({})


class Encoder(NamedTuple):
    """A frame encoder: a class with `from_settings`, see `models.build_model`.

    Attributes:
        code, settings: as in `Loss`.
        reads_maps: the encoder reads maps (T, channels, height, width) instead of features (T, width).
    """

    code: str
    settings: str
    reads_maps: bool = False


class ImageEncoder(NamedTuple):
    """An encoder of pictures: a class of `utils.video.encoders.protocol.ImageEncoder`.

    Attributes:
        code: as in `Loss`.
        argument: what follows the name and a colon, such as 'FILE'; '' if nothing does.
    """

    code: str
    argument: str = ""


class Readout(NamedTuple):
    """A way to read progress from an embedding: a class, see `utils.prediction.readouts`.

    Attributes:
        code: as in `Loss`.
        of_training_videos: it compares with the embeddings of training videos; otherwise it needs only their mean path
            length.
    """

    code: str
    of_training_videos: bool = False


# LOSS_TYPE
LOSSES: dict[str, Loss] = {
    "GTCC": Loss(
        "utils.loss_functions.gtcc:GTCC_loss", "GTCC_PARAMS",
        DropoutsWhile(lambda parameters: parameters["gamma"] < 1, "GTCC_PARAMS.gamma < 1"),
        # All frames count: a dropped frame lowers the loss by aligning badly, so the best embedding would be a bad one.
        in_validation={"gamma": 1.0},
    ),
    "tcc": Loss("utils.loss_functions.tcc:TCC_loss", "TCC_ORIGINAL_PARAMS"),
    "LAV": Loss("utils.loss_functions.lav:LAV_loss", "LAV_PARAMS"),
    "VAVA": Loss("utils.loss_functions.vava:VAVA_loss", "VAVA_PARAMS"),
    "VAOT": Loss("utils.loss_functions.vaot:VAOT_loss", "VAOT_PARAMS"),
}  # fmt: skip

# BASEARCH.ARCHITECTURE
ENCODERS: dict[str, Encoder] = {
    "temporal_stacking": Encoder("models.model_singleprong:TemporalStackingEncoder", "BASEARCH.TEMPORAL_STACKING_ARCH"),
    "resnet50": Encoder("models.model_singleprong:Resnet50Encoder", "BASEARCH.Resnet50_ARCH", reads_maps=True),
    "naive": Encoder("models.model_singleprong:FramewiseEncoder", "BASEARCH.NAIVE_ARCH"),
}

# ENCODER, --encoder
IMAGE_ENCODERS: dict[str, ImageEncoder] = {
    "lite0": ImageEncoder("utils.video.encoders.lite0:Lite0Encoder"),
    "onnx": ImageEncoder("utils.video.encoders.onnx_file:OnnxFileEncoder", "FILE"),
    "torchscript": ImageEncoder("utils.video.encoders.torchscript_file:TorchScriptFileEncoder", "FILE"),
    "timm": ImageEncoder("utils.video.encoders.timm_model:TimmEncoder", "NAME"),
    "torchvision": ImageEncoder("utils.video.encoders.torchvision_model:TorchvisionEncoder", "NAME"),
    "conv4c": ImageEncoder("utils.video.encoders.conv4c:Conv4cEncoder"),
    "pixels": ImageEncoder("utils.video.encoders.pixels:PixelsEncoder"),
}

# Of videos whose features nobody has made in another way. docs/video.md says why it is this one.
DEFAULT_ENCODER = "lite0,layer=middle"

AUTO = "auto"  # the read-out that cross-validation chose, see utils.prediction.progress
# --readout, besides AUTO: ways to read progress from an embedding alone
READOUTS: dict[str, Readout] = {
    "path": Readout("utils.prediction.readouts.path:PathReadout"),
    "neighbours": Readout("utils.prediction.readouts.neighbours:NeighboursReadout", of_training_videos=True),
    "alignment": Readout("utils.prediction.readouts.alignment:AlignmentReadout", of_training_videos=True),
}

# Values of settings that select a branch of one function.
RESNET_VARIANTS = ("standard", "original")
ATTENTION_LAYOUTS = ("per_frame", "interleaved")
SIMILARITIES = ("squared", "squared_per_dimension", "euclidean")
SOFT_NEIGHBOURS = ("components", "responsibilities")
RECIPROCALS = ("frame", "chance")
NORMALIZATIONS = ("none", "unit")
SCALINGS = ("none", "proportional")
SEGMENT_ENDS = ("auto", "exclusive", "inclusive", "majority")  # 'majority' only for checkpoints from before the setting
UNLABELLED_TAILS = ("refuse", "background")
INTEGER_LABELS = ("refuse", "take")
LAYOUTS = ("frames_first", "features_first")

# --segmentation: how key steps are found without labels
SEGMENTATIONS = ("transport", "kmeans")
PUBLISHED_KEY_STEPS = 7  # in the programs of EgoProceL, OPEL and HiERO, for all tasks

Entry = TypeVar("Entry", Loss, Encoder, ImageEncoder, Readout)


def code_of(choice: Loss | Encoder | ImageEncoder | Readout, key: str = "") -> Any:
    """Imports and returns the class or function of a choice.

    Args:
        choice: an entry of one of the tables, or one that a setting describes.
        key: that setting. A fault in its code is then the user's error; without a key, a fault is a defect of this
            project.

    Raises:
        ConfigError: only if a setting names the code: it isn't module:name, importing the module fails, or the module
            has no such name.
    """
    module, _, name = choice.code.partition(":")
    if not key:
        return getattr(importlib.import_module(module), name)
    if not (module and name):
        raise ConfigError(f"{key} is {shown(choice.code)}; expected module:name, such as my_losses:my_loss")
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        raise ConfigError(f"{key} is {choice.code!r}, which can't be imported: {_described(error)}") from error
    if not hasattr(imported, name):
        nearest = nearest_name(name, vars(imported))
        hint = f"; did you mean {nearest!r}?" if nearest else ""
        file = getattr(imported, "__file__", module)
        raise ConfigError(f"{key} is {choice.code!r}, but {file} has no {name!r}{hint}")
    return getattr(imported, name)


def _described(error: BaseException) -> str:
    """The error's type and text, and the file and line if the module's own code raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if "importlib" in last.filename else f"{last.filename}, line {last.lineno}: "
    return f"{where}{type(error).__name__}: {first_line(error)}"


def choice_of(table: Mapping[str, Entry], name: str, what: str) -> Entry:
    """The entry of a table.

    Raises:
        ConfigError: there is no entry of this name; the message gives the nearest name, or all names.
    """
    if not isinstance(name, str) or name not in table:
        nearest = nearest_name(name, table)
        hint = f"did you mean {nearest!r}?" if nearest else f"expected one of {', '.join(table)}"
        raise ConfigError(f"{what} is {shown(name)}; {hint}")
    return table[name]


def no_drop_network(name: str, condition: DropoutsWhile | None) -> str:
    """The message for a loss that uses dropouts when there is no drop network to compute them."""
    words = f" while {condition.words}" if condition else ""
    return f"ARCHITECTURE.dropping is False; expected True{words}: {name} needs the drop network"


def reads_maps(config: Mapping[str, Any]) -> bool:
    """Whether the encoder of a configuration reads maps.

    Raises:
        ConfigError: there is no such encoder.
    """
    return choice_of(ENCODERS, config["BASEARCH"]["ARCHITECTURE"], "BASEARCH.ARCHITECTURE").reads_maps
