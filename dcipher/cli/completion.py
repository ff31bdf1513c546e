"""Shell completion: the scripts, and the completions that they request."""

from __future__ import annotations

import os

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SCRIPTS", "VARIABLE", "complete"]

VARIABLE = "_DCIPHER_COMPLETE"
"""The variable that the scripts set."""


def complete(words: Sequence[str]) -> list[str]:
    """Returns the completions of the last word, or of the variable that PowerShell sets."""
    from click.shell_completion import ShellComplete

    from dcipher.cli.root import app

    before, word = list(words), os.environ.get("_DCIPHER_WORD")
    if word is None:
        word = before.pop() if before else ""
    found = ShellComplete(app, {}, "dcipher", VARIABLE).get_completions(before, word)
    return [item.value for item in found if item.type == "plain"]


# Each script runs dcipher with the words up to the cursor, of which the last one is completed. Without
# completions, the shell completes file names. The scripts of click need bash 4.4, which macOS lacks.
SCRIPTS = {
    "bash": r"""
_dcipher_complete() {
    local IFS=$'\n'
    COMPREPLY=($(_DCIPHER_COMPLETE=bash dcipher "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _dcipher_complete dcipher
""".strip(),
    "zsh": r"""
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
""".strip(),
    "fish": r"""
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
""".strip(),
    "powershell": r"""
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
""".strip(),
}
"""Name of a shell → its script."""
