"""Reads what a training command asks for: an experiment file, changes on the command line, and two flags."""

from __future__ import annotations

import re
import sys
import traceback
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from configs.settings import Settings
from configs.validation import complete_config, validate_config
from utils.errors import ConfigError, shown, unknown_key_message

__all__ = ["CommandLine", "load_experiment", "read_command_line", "validate_config"]

LONGEST_ARGUMENT = 20_000  # characters; at about this length, Python's parser fails on deep nesting
SWITCH_VALUES = ("true", "false", "t", "f", "1", "0")
OVERRIDE = re.compile(r"--?(no)?config\.([^=]*)(=.*)?", re.DOTALL)


@dataclass(frozen=True)
class CommandLine:
    """What a training command asks for: the validated settings and the other flags."""

    config: Settings
    check: bool
    resume: str


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Reads `program --config FILE [--config.KEY=VALUE ...] [--check] [--resume RUN|auto]`.

    Args:
        arguments: the command line with the program's name first, as in `sys.argv`.

    Raises:
        ConfigError: for an unknown flag or key, a value of the wrong type, a file that cannot be loaded, or a
            setting that `validate_config` refuses.
    """
    config_file, arguments = _take_config_file(list(arguments))
    config = load_experiment(config_file)
    _check_overrides(arguments, config)
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=arguments)
        flags.DEFINE_boolean("check", False, "only check the data and print a summary", flag_values=values)
        flags.DEFINE_string("resume", "", "run folder to continue, or 'auto' for the latest", flag_values=values)
        rest = values(arguments)
    except Exception as error:  # the flags' parsers evaluate text, which can raise many types
        raise ConfigError(_one_line(error)) from error
    if rest[1:]:
        raise ConfigError(f"unexpected argument {shown(rest[1])}; settings are given as --config.KEY=VALUE")
    config = complete_config(config)
    validate_config(config)
    return CommandLine(config=config, check=values.check, resume=values.resume)


def validated_experiment(path: str) -> Settings:
    """The configuration of an experiment file as a training without further settings has it.

    Raises:
        ConfigError: see `load_experiment` and `validate_config`.
    """
    config = complete_config(load_experiment(path))
    validate_config(config)
    return config


def load_experiment(path: str) -> Settings:
    """The configuration that an experiment file's `get_config()` returns, over the defaults.

    Args:
        path: a Python file, such as those in `configs/`.

    Raises:
        ConfigError: naming the file, and the line where there is one: it does not exist, cannot be run,
            returns something else, or names an unknown key or a value of the wrong type.
    """
    if not Path(path).is_file():
        raise ConfigError(f"experiment file {path} does not exist")
    module = types.ModuleType("_experiment_file")
    module.__file__ = path
    try:
        # Compiled here, not imported: if a file was changed within the same second, an import would reuse the
        # old compiled version.
        code = compile(Path(path).read_bytes(), path, "exec")
        sys.modules[module.__name__] = module  # where dataclasses look for it
        exec(code, module.__dict__)
        get_config = module.__dict__.get("get_config")
        if not callable(get_config):
            raise ConfigError("it has no function get_config()")
        config = get_config()
        if not isinstance(config, (ConfigDict, Mapping)):
            raise ConfigError(f"its get_config() returns {shown(config)}; expected the configuration")
        return complete_config(config)
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        raise ConfigError(f"experiment file {path}{_line_in(path, error)}: {_described(error)}") from error
    finally:
        sys.modules.pop(module.__name__, None)


def _take_config_file(arguments: list[str]) -> tuple[str, list[str]]:
    """The experiment file, and the arguments without it."""
    found: list[str] = []
    rest: list[str] = []
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if re.fullmatch(r"--?config", argument) and position + 1 < len(arguments):
            position += 1
            found.append(arguments[position])
        elif match := re.fullmatch(r"--?config=(.*)", argument, re.DOTALL):
            found.append(match[1])
        else:
            rest.append(argument)
        position += 1
    if len(found) != 1 or not found[0] or "\0" in found[0]:
        given = "no experiment file" if not found else f"{len(found)} experiment files: {', '.join(map(shown, found))}"
        raise ConfigError(f"{given}; expected --config configs/NAME.py")
    return found[0], rest


def _check_overrides(arguments: Sequence[str], config: Settings) -> None:
    """Checks the overrides' names against the configuration before the flags parser sees them."""
    for argument in arguments[1:]:
        if len(argument) > LONGEST_ARGUMENT:
            raise ConfigError(f"the argument {shown(argument)} has {len(argument)} characters")
        if re.match(r"--?(flagfile|undefok)\b", argument):  # the flags parser would act on them
            raise ConfigError(f"unknown flag {shown(argument)}")
        if not (match := OVERRIDE.fullmatch(argument)):
            continue
        group: Any = config
        prefix = ""
        for part in match[2].split("."):
            if not isinstance(group, ConfigDict) or part not in group:
                known = group.keys() if isinstance(group, ConfigDict) else ()
                raise ConfigError(unknown_key_message(part, known, prefix))
            group, prefix = group[part], f"{prefix}{part}."
        if isinstance(group, ConfigDict):
            first = next(iter(group.keys()), None)
            hint = f", as in --config.{prefix}{first}=VALUE" if first else "; the experiment file gives it none"
            raise ConfigError(f"{match[2]} is a group of settings; expected one of them{hint}")
        if isinstance(group, bool) and match[3] and match[3][1:].lower() not in SWITCH_VALUES:
            raise ConfigError(f"{match[2]} is {shown(match[3][1:])}; expected True or False")


def _line_in(path: str, error: BaseException) -> str:
    """', line N' where the error came from that line of the file."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f", line {lines[-1]}" if lines else ""


def _described(error: BaseException) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    return f"{type(error).__name__}: {_one_line(error)}"


def _one_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error.args[0] if error.args else "")
    text = " ".join(text.split())
    return text[:500] or type(error).__name__
