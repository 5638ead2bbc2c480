# SPDX-License-Identifier: Apache-2.0
"""The fuzzers: their corpus is taken as it should be, and a fault that is planted is found."""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fuzz.fuzzer import NAMES, corpus_of, fuzzer_of
from tests.support.require import require
from tests.support.sources import PROJECT

RUNS = "20000"
"""Inputs after which a fuzzer has not found a fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to plant: what to write in a file in place of what stands there once."""

    file: str
    good: str
    bad: str


FAULTS = {
    "front-wire": Fault(
        "kmodd/front/wire.py", "except (struct.error, UnicodeDecodeError)", "except struct.error"
    ),
    "guest-wire": Fault(
        "kmodd/kernel/vm/wire.py",
        "if len(body) != _END.size:",
        "if not body:",
    ),
    "http2": Fault(
        "kmodd/service/fronted.py",
        "over = self._calls.pop(frame.stream, None)",
        "over = self._calls.get(frame.stream)",
    ),
    "kernel-image": Fault(
        "kmodd/kernelimage/btf/reading.py",
        "if not 0 <= index < len(self._offsets):",
        "if index < 0:",
    ),
    "kernel-wire": Fault(
        "kmodd/kernel/emulated/process/wire.py",
        "except (ValueError, RecursionError)",
        "except RecursionError",
    ),
    "modprobe-d": Fault("kmodd/config/modprobe.py", "except RequestError:", "except KeyError:"),
    "module": Fault("kmodd/modulefile/symbols.py", "except ValueError:", "except KeyError:"),
    "requests": Fault(
        "kmodd/service/interceptor.py",
        "        except DecodeError as error:",
        "        except KeyError as error:",
    ),
    "settings": Fault(
        "kmodd/settings/toml.py",
        "except ValueError as error:  # TOML's",
        "except tomllib.TOMLDecodeError as error:  # TOML's",
    ),
}
"""A fault for each fuzzer, of the sort that is made."""


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_and_the_corpus_are_taken_as_they_should_be(name: str, tmp_path: Path) -> None:
    inputs = corpus_of(name)
    for number, data in enumerate(fuzzer_of(name).seeds()):
        inputs.append(tmp_path / f"seed-{number}")
        inputs[-1].write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, "--replay", *map(str, inputs)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_is_found_and_what_found_it_can_be_repeated(name: str, tmp_path: Path) -> None:
    require(importlib.util.find_spec("atheris") is not None, "fuzzing needs atheris")
    fault = FAULTS[name]
    for folder in ("kmodctl", "kmodd", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", ".cache", "corpus")
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=ignored)
    file = tmp_path / fault.file
    text = file.read_text()
    assert text.count(fault.good) == 1
    file.write_text(text.replace(fault.good, fault.bad))

    found = tmp_path / "found"
    run = fuzz(
        tmp_path, name, "--seed", "1", "--runs", RUNS, "--seconds", "0", "--found", str(found)
    )
    findings = list((found / name).iterdir())
    assert (run.returncode, len(findings)) == (1, 1), run.stdout + run.stderr
    assert f"--replay {findings[0]}" in run.stdout
    if name != "http2":  # whose fault needs many calls
        assert fuzz(tmp_path, name, "--replay", str(findings[0])).returncode == 1
    assert fuzz(PROJECT, name, "--replay", str(findings[0])).returncode == 0


def fuzz(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the fuzzers of a project on its own code."""
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("work", "error"),
    [("while True: pass", "CostError"), ("bytearray(1 << 28)", "MemoryError")],
)
def test_what_costs_too_much_is_found(work: str, error: str) -> None:
    script = f"""
from contextlib import nullcontext
from tests.fuzz.fuzzer import Fuzzer
from tests.fuzz.guard import guarded

def target(data):
    {work}

fuzzer = Fuzzer(opened=lambda: nullcontext(target), seeds=list, memory=1 << 27, seconds=0.2)
guarded(fuzzer, target)(b"")
"""
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert run.stderr.splitlines()[-1].partition(":")[0].endswith(error)
