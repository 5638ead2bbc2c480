# SPDX-License-Identifier: Apache-2.0
"""A Containerfile's stages, carried out in a bare system where there is no builder of images.

Of the instructions there are those that ours has. All that a stage makes is below /opt.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.systems import DebianSystem

MADE = "/opt"


@dataclass(slots=True)
class Stage:
    """What a stage is made from, by what instructions, and what it leaves to who runs it."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def stages_of(text: str) -> dict[str, Stage]:
    """Return the stages of a Containerfile by their names."""
    lines = re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    stages: dict[str, Stage] = {}
    stage = Stage("")
    for line in filter(None, lines):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = stages[name] = Stage(base)
        elif instruction == "ENV":
            stage.environment |= dict(word.split("=", 1) for word in rest.split())
        else:
            stage.steps.append((instruction, rest))
    return stages


class BareBuild:
    """Stages as they come to be, each in a directory of its own below ``work``."""

    def __init__(
        self,
        stages: Mapping[str, Stage],
        system: DebianSystem,
        sources: Path,
        work: Path,
        shared: Mapping[str, Path],
        environment: Mapping[str, str],
    ) -> None:
        """Files come from ``sources``; steps have the ``shared`` directories besides."""
        self._stages = stages
        self._system = system
        self._sources = sources
        self._work = work
        self._shared = shared
        self._environment = environment

    def make(self, name: str) -> Path:
        """Return what the stage has in /opt, made when it is first asked for."""
        made = self._work / name
        if made.exists():
            return made
        stage = self._stages[name]
        if stage.base in self._stages:
            shutil.copytree(self.make(stage.base), made, symlinks=True)
        else:
            made.mkdir()
        for instruction, rest in stage.steps:
            if instruction == "COPY":
                self._copy(rest.split(), made)
            elif instruction == "RUN":
                ran = self._run(["sh", "-c", rest], made, self._environment)
                assert ran.returncode == 0, f"{rest}\n{ran.stdout}{ran.stderr}"
        return made

    def run(self, name: str, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in what the stage came to, with the stage's environment."""
        return self._run(words, self.make(name), self._stages[name].environment)

    def _run(
        self, words: Sequence[str], made: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        places = {MADE: made, **self._shared}
        return self._system.run(words, places, environment=environment)

    def _copy(self, words: list[str], made: Path) -> None:
        *options, target = words
        place = made / Path(target).relative_to(MADE)
        sources = [word for word in options if not word.startswith("--from=")]
        if options[0].startswith("--from="):
            other = self.make(options[0].removeprefix("--from="))
            shutil.copytree(other / Path(sources[0]).relative_to(MADE), place, symlinks=True)
        elif target.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            for source in sources:
                shutil.copy(self._sources / source, place)
        else:
            left = shutil.ignore_patterns("__pycache__")
            shutil.copytree(self._sources / sources[0], place, ignore=left)
