"""The alignment losses that a configuration turns on, each called with the arguments that its signature names.

A loss is any function whose first argument is the list of embeddings, (T_i, D) each, of the videos of a batch. It
also gets those of the following arguments that its signature names:

    dropouts            one context (D + 1,) for each video, from the drop network
    epoch, global_step  number of the epoch, from 0
    times               the videos' time_dicts, or None where there is no annotation
    generator           CPU generator of the step's random choices

and its other parameters from its group of settings. It returns a scalar tensor with a gradient, even if the batch has
nothing to compare. `tests/contracts/losses.py` checks everything that a loss must do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from utils.errors import ConfigError, shown, unknown_key_message
from utils.registry import LOSSES, DropoutsWhile, Loss, choice_of, code_of, no_drop_network

SUPPLIED = ("dropouts", "epoch", "global_step", "times", "generator")
CUSTOM_LOSSES, CUSTOM_LOSS_PARAMS = "CUSTOM_LOSSES", "CUSTOM_LOSS_PARAMS"


class AlignmentTerm:
    """A loss with its settings.

    Args:
        name: its name in LOSS_TYPE.
        function: the loss.
        parameters: its settings, by name.
        group: their key in the configuration, for messages.
        dropouts_while: with which settings it uses its argument `dropouts`; None: always.

    Attributes:
        asked_for: the arguments of SUPPLIED that its signature names.
        reads_dropouts: whether it needs the contexts of the drop network.

    Raises:
        ConfigError: it can't be called with these settings.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Tensor],
        parameters: Mapping[str, Any],
        group: str = "",
        dropouts_while: DropoutsWhile | None = None,
    ):
        self.name, self.function, self.parameters = name, function, dict(parameters)
        known, open_ended = _keyword_parameters(name, function)
        self.asked_for = [each for each in SUPPLIED if each in known]
        own = [each for each in known if each not in SUPPLIED]
        prefix = f"{group}." if group else ""
        for given in parameters:
            if given in SUPPLIED or not (open_ended or given in own):
                raise ConfigError(f"{unknown_key_message(given, own, prefix)}, the parameters of {name}")
        for each in own:
            if known[each].default is inspect.Parameter.empty and each not in parameters:
                raise ConfigError(f"{prefix}{each} is missing; {name} has no default for it")
        self.reads_dropouts = "dropouts" in known and (dropouts_while is None or dropouts_while.holds(parameters))

    def __call__(
        self,
        outputs: Sequence[Tensor],
        dropouts: Sequence[Tensor] = (),
        epoch: int = 0,
        times: Sequence[Mapping[str, Any]] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The loss of a batch, a scalar.

        Raises:
            ConfigError: the function returns something else, or a value without a gradient.
        """
        supplied = {
            "dropouts": dropouts, "epoch": epoch, "global_step": epoch, "times": times, "generator": generator,
        }  # fmt: skip
        value = self.function(outputs, **{each: supplied[each] for each in self.asked_for}, **self.parameters)
        if not isinstance(value, Tensor):
            raise ConfigError(f"the loss {self.name} returns {shown(value)}; expected a scalar tensor")
        if value.dim() or not value.is_floating_point():
            raise ConfigError(
                f"the loss {self.name} returns a {value.dtype} tensor of shape {tuple(value.shape)}; "
                f"expected a scalar of real numbers"
            )
        if torch.is_grad_enabled() and not value.requires_grad and any(output.requires_grad for output in outputs):
            raise ConfigError(
                f"the loss {self.name} returns a value without a gradient; expected one that is computed from the "
                f"embeddings, also where there is nothing to compare (such as sum(e.sum() for e in embeddings) * 0)"
            )
        return value


def alignment_terms(config: Any, in_validation: bool = False) -> dict[str, AlignmentTerm]:
    """The losses that LOSS_TYPE turns on, by name; only these are imported.

    Args:
        config: LOSS_TYPE, the group of settings of each loss that is on, and CUSTOM_LOSSES, the location of losses
            from outside the repository.
        in_validation: with the settings with which a loss chooses the best checkpoint (`Loss.in_validation`).

    Raises:
        ConfigError: no loss is on, one is unknown or can't be loaded, its settings aren't its parameters, or it uses
            dropouts and there is no drop network.
    """
    custom = _setting(config, CUSTOM_LOSSES, {})
    table = {**LOSSES, **{name: Loss(code, f"{CUSTOM_LOSS_PARAMS}.{name}") for name, code in custom.items()}}
    switches = _setting(config, "LOSS_TYPE")
    for name in switches:
        choice_of(table, name, "a loss in LOSS_TYPE")
    chosen = [name for name in table if switches.get(name, False)]
    if not chosen:
        raise ConfigError(f"LOSS_TYPE turns every loss off; expected at least one of {', '.join(table)}")
    terms = {}
    for name in chosen:
        choice = table[name]
        function = code_of(choice, f"{CUSTOM_LOSSES}.{name}" if name in custom else "")
        parameters = _setting(config, choice.settings, {} if name in custom else None)
        if in_validation:
            parameters = {**parameters, **choice.in_validation}
        terms[name] = AlignmentTerm(name, function, parameters, choice.settings, choice.dropouts_while)
        if terms[name].reads_dropouts and not _setting(config, "ARCHITECTURE.dropping", True):
            raise ConfigError(no_drop_network(name, choice.dropouts_while))
    return terms


def _setting(config: Any, key: str, default: Any = None) -> Any:
    """The setting at a dotted key of a mapping or an object with attributes."""
    for part in key.split("."):
        config = config.get(part) if hasattr(config, "keys") else getattr(config, part, None)
        if config is None:
            break
    if config is None and default is None:
        raise ConfigError(f"{key} is missing from the configuration")
    return default if config is None else config


def _keyword_parameters(name: str, function: Any) -> tuple[dict[str, inspect.Parameter], bool]:
    """The parameters of a loss after the embeddings, and whether it accepts any other name too."""
    if not callable(function):
        raise ConfigError(f"the loss {name} is {shown(function)}; expected a function of the embeddings")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError as error:
        raise ConfigError(f"the loss {name} doesn't say which parameters it takes; wrap it in a function") from error
    kinds = inspect.Parameter
    if not parameters or parameters[0].kind in (kinds.KEYWORD_ONLY, kinds.VAR_KEYWORD):
        raise ConfigError(f"the loss {name} takes no argument; expected a function of the embeddings")
    after = parameters if parameters[0].kind is kinds.VAR_POSITIONAL else parameters[1:]
    if any(each.kind is kinds.POSITIONAL_ONLY and each.default is kinds.empty for each in after):
        raise ConfigError(f"the loss {name} takes a second argument that has no name; wrap it in a function")
    by_name = {each.name: each for each in after if each.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)}
    return by_name, any(each.kind is kinds.VAR_KEYWORD for each in after)
