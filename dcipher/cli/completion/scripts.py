"""The scripts of `dcipher completion`, apart from it: a shell may ask for its one at every start."""

from __future__ import annotations

__all__ = ["SCRIPTS"]

# Each calls dcipher itself with the words up to the cursor: the last is the one to be completed.
# Where nothing is answered, the names of files are what fits.
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
