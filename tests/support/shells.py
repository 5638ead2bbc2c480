# SPDX-License-Identifier: Apache-2.0
"""What shells make of a command line, asked of the real ones."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.require import require

ZSHRC = """\
autoload -U compinit
compinit -D -u
tell() { print -r -- $BUFFER >$ZDOTDIR/told; exit }
zle -N tell
bindkey '^X' tell
PS1=ready
"""

ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -d -i
zpty -r shell seen '*ready*'
zpty -w -n shell "$1"$'\t\x18'
while zpty -r shell seen; do :; done
"""
"""Types a line, a tab and ^X into a zsh that has a terminal, and waits for its end."""


def bash_offers(before: str, *words: str) -> list[str]:
    """Return what bash's function _kmodctl has for the last word, after the script ``before``."""
    bash = require("bash", "the completion is for bash")
    script = (
        f'{before}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kmodctl; '
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    offers = _run([bash, "-c", script, "bash", *words], {}).splitlines()
    return [each for each in offers if each]


def fish_offers(before: str, line: str, environment: Mapping[str, str]) -> list[str]:
    """Return what fish has for the end of a line, after the script ``before``."""
    fish = require("fish", "the completion is for fish")
    told = _run([fish, "-c", f"{before}\ncomplete -C $argv[1]", line], environment)
    return [offer.partition("\t")[0] for offer in told.splitlines()]


def zsh_completes(before: str, line: str, directory: Path) -> str:
    """Return what zsh makes of a line on which Tab is hit, after the script ``before``.

    ``before`` is run ahead of compinit; ``directory`` is an empty one for what zsh reads.
    """
    zsh = require("zsh", "the completion is for zsh")
    (directory / ".zshrc").write_text(f"{before}\n{ZSHRC}")
    _run([zsh, "-f", "-c", ZSH, "zsh", line], {"ZDOTDIR": str(directory)})
    return (directory / "told").read_text().removesuffix("\n")


def _run(words: list[str], environment: Mapping[str, str]) -> str:
    """Run a shell in an environment of ours; returns what it printed."""
    path = "/usr/local/bin:/usr/bin:/bin"
    ran = subprocess.run(
        words, env={"PATH": path, **environment}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
