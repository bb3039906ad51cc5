"""Options from a TOML file: its keys are the options without their dashes."""

import argparse
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """`--config`."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE",
        help='options from a TOML file, such as device = "/dev/ttyUSB0"; what is given here goes before it',
    )  # fmt: skip


def with_config(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """The arguments, after those of the file that --config among them names. Of the file counts what they do
    not give; where options exclude one another, one of them is enough. A file that cannot be used ends the
    program, with one line that names the key."""
    finder = argparse.ArgumentParser(parser.prog, add_help=False, allow_abbrev=False)
    finder.add_argument("--config", type=Path)
    path = finder.parse_known_args(arguments)[0].config
    if path is None:
        return list(arguments)
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        parser.error(f"{path}: {error}")
    options = {
        action.dest: action for action in parser._actions if action.dest not in ("help", "config", "version")
    }
    given = {action.dest for action in options.values() if _is_given(action, arguments)}
    for group in parser._mutually_exclusive_groups:
        members = {action.dest for action in group._group_actions}
        given |= members if members & given else set()
    found: list[str] = []
    for key, value in table.items():
        action = options.get(key.replace("-", "_"))
        if action is None:
            near = get_close_matches(key, options, 1) or sorted(options)
            parser.error(f"{path}: no key {key!r}; there is {', '.join(near).replace('_', '-')}")
        words = _spelt(parser, f"{path}: {key}", action, value)
        found += words if action.dest not in given else []
    return [*found, *arguments]


def _is_given(action: argparse.Action, arguments: Sequence[str]) -> bool:
    """Whether an option is among the arguments."""
    return any(word.partition("=")[0] in action.option_strings for word in arguments)


def _spelt(parser: argparse.ArgumentParser, where: str, action: argparse.Action, value: object) -> list[str]:
    """A key and its value as on a command line."""
    option = action.option_strings[0]
    if action.nargs == 0:
        if not isinstance(value, bool):
            parser.error(f"{where} is true or false, not {value!r}")
        return [option] if value else []
    values = value if isinstance(value, list) else [value]
    if any(isinstance(one, (bool, dict, list)) for one in values):
        parser.error(f"{where} is text or a number, not {value!r}")
    if action.nargs == "+":
        return [option, *map(str, values)]
    if len(values) > 1 and not isinstance(action, argparse._AppendAction):
        parser.error(f"{where} is one value, not {len(values)}")
    return [f"{option}={one}" for one in values]
