"""`dcipher completion`: the script that makes a shell complete what is typed."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import PurePath
from typing import Annotated

import typer

from dcipher.cli.app import App, invocation
from dcipher.cli.exit_codes import ExitCode
from dcipher.cli.failures import CommandError

__all__ = ["app"]

app = App(single=True)


class Shell(str, Enum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


# Each calls dcipher itself with the words up to the cursor: the last is the one to be completed.
# Where nothing is answered, the names of files are what fits.
_SCRIPTS = {
    Shell.BASH: r"""
_dcipher_complete() {
    local IFS=$'\n'
    COMPREPLY=($(_DCIPHER_COMPLETE=bash dcipher "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _dcipher_complete dcipher
""",
    Shell.ZSH: r"""
#compdef dcipher
_dcipher() {
    local -a found
    found=("${(@f)$(_DCIPHER_COMPLETE=zsh dcipher "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        compadd -- "${found[@]}"
    else
        _files
    fi
}
compdef _dcipher dcipher
""",
    Shell.FISH: r"""
function __dcipher_complete
    set -l words (commandline -opc)[2..-1]
    set -l found (env _DCIPHER_COMPLETE=fish dcipher $words (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c dcipher -f -a '(__dcipher_complete)'
""",
    Shell.POWERSHELL: r"""
Register-ArgumentCompleter -Native -CommandName dcipher -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
    if ($wordToComplete) { $words = @($words | Select-Object -SkipLast 1) }
    $env:_DCIPHER_COMPLETE = 'powershell'
    $env:_DCIPHER_WORD = "$wordToComplete"
    try {
        & dcipher @words | ForEach-Object {
            [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
        }
    } finally {
        Remove-Item Env:_DCIPHER_COMPLETE, Env:_DCIPHER_WORD -ErrorAction SilentlyContinue
    }
}
""",
}


@app.command()
def completion(
    ctx: typer.Context,
    shell: Annotated[
        Shell | None,
        typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell; yours by default."),
    ] = None,
) -> None:
    """Print the script that completes commands and options. Nothing is installed.

    bash and zsh: put this line into .bashrc or .zshrc.

        eval "$(dcipher completion bash)"

    fish: dcipher completion fish > ~/.config/fish/completions/dcipher.fish
    """
    call = invocation(ctx)
    call.output.data(_SCRIPTS[shell or _own_shell()].strip())


def _own_shell() -> Shell:
    name = PurePath(os.environ.get("SHELL", "")).name
    try:
        return Shell(name)
    except ValueError:
        known = ", ".join(shell.value for shell in Shell)
        raise CommandError(
            f"Your shell is not known by SHELL ({name or 'not set'}).",
            ExitCode.USAGE,
            next_step=f"name it: dcipher completion SHELL, of {known}",
        ) from None
