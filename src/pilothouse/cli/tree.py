"""The command tree. A command's module is imported when the command runs, so that ``--help`` costs next to nothing.

Commands come from here and from the capabilities; a capability cannot take the name of another command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Final, NoReturn

import click

from pilothouse import __version__
from pilothouse.kit.capability import LazyCommand, capabilities
from pilothouse.kit.config import ENV_DEBUG
from pilothouse.kit.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_OK, ConfigError, PilothouseError, UsageError

#: The house's own commands, in the order of the help.
COMMANDS: Final[Mapping[str, LazyCommand]] = {
    "up": LazyCommand("pilothouse.server.command:up", "Start Pilothouse."),
    "status": LazyCommand("pilothouse.cli.status:status", "Show how the running server is."),
    "sql": LazyCommand("pilothouse.cli.sql:sql", "Ask the running server in SQL (read-only)."),
    "config": LazyCommand("pilothouse.cli.config:config", "Show the effective configuration."),
}


class LazyGroup(click.Group):
    """A group whose commands are import strings until one is called."""

    def lazy(self) -> dict[str, LazyCommand]:
        """Every command by name, the house's first."""
        found = dict(COMMANDS)
        for capability in capabilities():
            for name, command in capability.commands.items():
                if found.setdefault(name, command) is not command:
                    raise ConfigError(
                        f"capability '{capability.name}' defines the command '{name}', which exists already"
                    )
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, the house's first."""
        return list(self.lazy())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns the command."""
        lazy = COMMANDS.get(cmd_name) or self.lazy().get(cmd_name)
        if lazy is None:
            return None
        module, _, attribute = lazy.target.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{lazy.target} is not a click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command, or says which one was probably meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and args[0] not in self.lazy():
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.lazy(), n=1)
            remedy = f"Did you mean '{near[0]}'?" if near else "`pilothouse --help` lists the commands."
            raise UsageError(f"there is no command '{args[0]}'", remedy=remedy)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists commands with the help text of their import string."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in self.lazy().items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Traces and more for a cloud-native platform, from one process. Start with: pilothouse up",
    epilog="Settings: flag, then PILOTHOUSE_SECTION__KEY, then pilothouse.toml. See: pilothouse config show",
)
@click.version_option(__version__, prog_name="pilothouse")
def root() -> None:
    """The root of the tree."""


def run(arguments: list[str] | None = None) -> NoReturn:
    """Runs a command line and exits with the documented code. Every error is one sentence, never a traceback."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        result = root.main(arguments, prog_name="pilothouse", standalone_mode=False)
        sys.stdout.flush()
    except PilothouseError as error:
        return _fail(error.sentence(), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return EXIT_OK
    except click.ClickException as error:
        where = (
            f" `{error.ctx.command_path} --help` explains." if isinstance(error, click.UsageError) and error.ctx else ""
        )
        return _fail(f"{error.format_message().rstrip('.')}.{where}", UsageError.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our answer has seen enough; keep the interpreter from complaining on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exception as error:
        if os.environ.get(ENV_DEBUG):
            raise
        text = f"this is a defect in Pilothouse ({type(error).__name__}: {error})"
        return _fail(f"{text}. Run it again with {ENV_DEBUG}=1 and report what it prints.", EXIT_BUG)
    return result if isinstance(result, int) else EXIT_OK


def _fail(sentence: str, code: int) -> int:
    if os.environ.get(ENV_DEBUG):
        import traceback

        traceback.print_exc()
    click.echo(f"pilothouse: {sentence}", err=True)
    return code
