"""The command `dcipher`: the groups of commands, and the commands without a group."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from dcipher._version import __version__
from dcipher.cli.app.commands import Group, argument
from dcipher.cli.app.options import PATH
from dcipher.cli.completion import SCRIPTS
from dcipher.cli.terminal.errors import UsageError

if TYPE_CHECKING:
    from dcipher.cli.app.invocation import Invocation

__all__ = ["app"]


@click.group(
    "dcipher",
    cls=Group,
    lazy={
        "flows": "dcipher.cli.runs.flow_commands",
        "runs": "dcipher.cli.runs.run_commands",
        "results": "dcipher.cli.results.commands",
        "journal": "dcipher.cli.batch.journal_commands",
        "emulator": "dcipher.cli.emulator.commands",
    },
    context_settings={"max_content_width": 100, "show_default": True},
)
@click.version_option(__version__, message="dcipher %(version)s", help="Print the version.")
def app() -> None:
    """Run Dcipher flows from the shell.

    The API key comes from DCIPHER_API_KEY, from a .env file (--env-file) or from a file or standard
    input (--api-key-file).
    """


@app.command()
def doctor(call: Invocation) -> None:
    """Check settings, permissions, network, certificates, clock and key, with advice.

    Each check is ok, warning, failed, or skipped because an earlier one failed. A failed check has a
    command to paste. One request is sent, for a flow that does not exist; nothing is started. Without
    a key, it has an invalid one. It takes less than 15 seconds.

    No key, proxy password or file content is printed, so the output can be pasted into a ticket.

    The exit code is 0, 4 if the key is missing or rejected, or 1 if another check failed.
    """
    from dcipher.cli.doctor.diagnosis import report

    report(call)


config: Group = Group("config", help="Show the settings.")
app.add_command(config)


@config.command()
def show(call: Invocation) -> None:
    """Show the value and the source of every setting and option.

    The source is an option, a variable of the environment, a line of the file of --env-file, or the
    default. Only the length of a secret is shown. Unknown variables that begin with DCIPHER_ are
    listed, too. The exit code is 2 if a value is invalid.

    Nothing is sent anywhere.
    """
    from dcipher.cli.doctor.settings import show as print_settings

    print_settings(call)


@app.command()
def whoami(call: Invocation) -> None:
    """Show which API key is used, where it is sent, and whether the service accepts it.

    It shows the length of the key, its source, and a fingerprint, from which the key cannot be
    found. The service has no operation for the account, so the command requests a flow that does
    not exist: the response tells whether the key is valid.

    The exit code is 4 if there is no key, or the service rejects it.
    """
    from dcipher.cli.doctor.diagnosis import print_key

    print_key(call)


@app.command()
@argument(
    "file FILE|-",
    "A text in UTF-8, with blank lines between paragraphs. - is standard input.",
    type=PATH,
    required=False,
)
def demo(call: Invocation, file: Path | None) -> None:
    """Run a sample flow on this machine, without account and network. Nothing is kept.

    It starts an emulator, whose flow "topics" groups the paragraphs of a text by topic, and prints
    the topics. On stderr, it prints its steps, and the same in Python and at the shell. Without
    FILE, it uses a built-in text.

    It needs the extra emulator.
    """
    from dcipher.cli.demo import demonstrate

    demonstrate(call, file)


@app.command()
@argument(
    "shell SHELL",
    "bash, zsh, fish or powershell. Default: yours.",
    type=click.Choice([*SCRIPTS]),
    required=False,
)
def completion(call: Invocation, shell: str | None) -> None:
    """Print the completion script for commands and options. Nothing is installed.

    bash and zsh: add this line to .bashrc or .zshrc.

        eval "$(dcipher completion bash)"

    fish: dcipher completion fish > ~/.config/fish/completions/dcipher.fish
    """
    shell = shell or PurePath(os.environ.get("SHELL", "")).name
    if shell not in SCRIPTS:
        raise UsageError(
            f"The variable SHELL names no supported shell ({shell or 'not set'}).",
            next_step=f"dcipher completion SHELL, with one of {', '.join(SCRIPTS)}",
        )
    call.output.data(SCRIPTS[shell])


@app.command()
def version(call: Invocation) -> None:
    """Print the versions of dcipher and of Python."""
    import platform

    record = {"dcipher": __version__, "python": platform.python_version()}
    call.output.data(record, key="dcipher")
