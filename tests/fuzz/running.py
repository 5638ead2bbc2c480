# SPDX-License-Identifier: Apache-2.0
"""Runs a fuzzer in a process of its own, and keeps what it finds."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.fuzzer import CORPUS, corpus_of, fuzzer_of
from tests.fuzz.guard import guarded

HANGS = 120
"""Seconds of a clock after which an input hangs, whatever it waits for."""

PATIENCE = 600
"""Seconds that a fuzzer may take beyond its time: it starts, and ends with an input."""

KEPT = 40
"""Inputs of a corpus: that of a run grows from there, and a clone has them all to take."""

_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: how many inputs there were, what was found, and the end of the report."""

    inputs: int
    findings: tuple[Path, ...]
    report: str

    @property
    def is_good(self) -> bool:
        """Whether it ran as long as it was to, and found nothing."""
        return self.inputs > 0 and not self.findings


def run(
    name: str, *, seconds: int = 0, runs: int = -1, seed: int = 0, found: Path, kept: Path | None
) -> Outcome:
    """Run a fuzzer until it finds something.

    At most ``seconds``, 0 for no end, and at most ``runs`` inputs, -1 for no end; ``seed`` 0 is
    one by chance. What it finds goes into ``found``, inputs that reach more code into ``kept``.
    """
    found.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    with tempfile.TemporaryDirectory(prefix="kmodd-fuzz-") as directory:
        work = Path(directory)
        report = work / "report"
        good = kept or work / "kept"
        good.mkdir(parents=True, exist_ok=True)
        status = _run(_command(name, work, good, found, seconds, runs, seed), report, seconds)
        text = report.read_text(errors="replace")
    executed = _EXECUTED.search(text)
    findings = tuple(sorted(set(found.iterdir()) - before))
    if status != 0 and not findings:
        raise RuntimeError(f"the fuzzer {name} does not run:\n{text[-4000:]}")
    return Outcome(int(executed[1]) if executed else 0, findings, text[-4000:])


def replay(name: str, files: list[Path]) -> None:
    """Do with each input what the fuzzer does; raises what comes of it."""
    fuzzer = fuzzer_of(name)
    with fuzzer.opened() as target:
        bounded = guarded(fuzzer, target)
        for file in files:
            bounded(file.read_bytes())


def shrink(name: str, kept: Path) -> None:
    """Write into the corpus of the fewest inputs that reach what it and ``kept`` do a sample."""
    with tempfile.TemporaryDirectory(prefix="kmodd-fuzz-") as directory:
        work = Path(directory)
        fewest = work / "fewest"
        fewest.mkdir()
        seeds = _seeds(name, work)
        arguments = ["-merge=1", str(fewest), str(kept), str(seeds)]
        report = work / "report"
        if _run([sys.executable, "-m", "tests.fuzz.one", name, directory, *arguments], report, 0):
            raise RuntimeError(report.read_text(errors="replace"))
        shutil.rmtree(CORPUS / name, ignore_errors=True)
        (CORPUS / name).mkdir(parents=True)
        # Their names are hashes, so the first ones are a sample.
        for file in sorted(fewest.iterdir())[:KEPT]:
            shutil.copy(file, CORPUS / name)


def _command(
    name: str, work: Path, good: Path, found: Path, seconds: int, runs: int, seed: int
) -> list[str]:
    fuzzer = fuzzer_of(name)
    dictionary = []
    if fuzzer.words:
        words = work / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in fuzzer.words))
        dictionary = [f"-dict={words}"]
    return [
        *(sys.executable, "-m", "tests.fuzz.one", name, str(found.resolve())),
        *(f"-max_total_time={seconds}", f"-runs={runs}", f"-seed={seed}"),
        *(f"-max_len={fuzzer.longest}", f"-timeout={HANGS}", "-rss_limit_mb=0"),
        *(*dictionary, "-print_final_stats=1"),
        *("-verbosity=1", "-reload=0", str(good), str(_seeds(name, work))),
    ]


def _seeds(name: str, work: Path) -> Path:
    """Return a directory with the corpus and the seeds."""
    seeds = work / "seeds"
    seeds.mkdir()
    for number, data in enumerate(fuzzer_of(name).seeds()):
        (seeds / f"seed-{number}").write_bytes(data)
    for file in corpus_of(name):
        shutil.copy(file, seeds)
    return seeds


def _run(command: list[str], report: Path, seconds: int) -> int:
    """Run a command with all that it starts, and return its exit status."""
    environment = {**os.environ, "TMPDIR": str(report.parent)}
    with report.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            return process.wait(seconds + PATIENCE if seconds else None)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _escaped(word: str) -> str:
    """Return a word as libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in word.encode())
