# SPDX-License-Identifier: Apache-2.0
"""What shells make of a command line, asked of the real ones."""

import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.daemon import START
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


BASHRC = """\
PS1=ready
tell() { printf '%s' "$READLINE_LINE" >"$HOME/told"; exit; }
bind -x '"\\C-x": tell'
"""

FISHRC = """\
function fish_prompt; echo -n ready; end
set -g fish_greeting
set -g fish_autosuggestion_enabled 0
bind \\cx 'commandline >$HOME/told; exit'
"""


def bash_completes(before: str, line: str, directory: Path, keys: str = "\t") -> str:
    """Return what an interactive bash makes of a line on which ``keys`` are hit."""
    bash = require("bash", "the completion is for bash")
    (directory / "rc").write_text(f"{before}\n{BASHRC}")
    return _typed([bash, "--noprofile", "--rcfile", str(directory / "rc")], line, directory, keys)


def fish_completes(before: str, line: str, directory: Path, keys: str = "\t") -> str:
    """Return what an interactive fish makes of a line on which ``keys`` are hit."""
    fish = require("fish", "the completion is for fish")
    return _typed([fish, "-N", "-C", f"{before}\n{FISHRC}"], line, directory, keys)


def _typed(words: list[str], line: str, directory: Path, keys: str) -> str:
    """Type a line into a shell at a terminal of its own; returns what the shell told of it.

    ``directory`` is its home.
    """
    path = "/usr/local/bin:/usr/bin:/bin"
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["setsid", "--ctty", *words],
        env={"PATH": path, "HOME": str(directory), "TERM": "vt100", "LC_ALL": "C.UTF-8"},
        cwd=directory,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    typed = False
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # EIO: the shell has ended
            break
        seen += part
        if not typed and b"ready" in seen:
            typed = True
            os.write(ours, f"{line}{keys}\x18".encode())
    os.close(ours)
    shell.wait(START)
    told = directory / "told"
    assert told.exists(), seen.decode(errors="replace")
    return told.read_text().removesuffix("\n")


def _run(words: list[str], environment: Mapping[str, str]) -> str:
    """Run a shell in an environment of ours; returns what it printed."""
    path = "/usr/local/bin:/usr/bin:/bin"
    ran = subprocess.run(
        words, env={"PATH": path, **environment}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
