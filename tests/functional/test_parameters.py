# SPDX-License-Identifier: Apache-2.0
"""Loaded modules and their parameters, as users of kmodctl see them."""

import json

from tests.support.daemon import Daemon

LISTED = """\
loud=N  (bool, can be set) Whether to end with an exclamation mark
numbers=1,2  (array of int, read only) Up to four numbers to tell, separated by commas
times=1  (int, can be set) How many times to greet (1 unless told otherwise)
whom=world  (charp, read only) Whom to greet
"""


def test_parameters_are_shown_and_set(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "greet", "numbers=1,2")
    assert daemon.kmodctl("param", "greet").stdout == LISTED
    answer = daemon.kmodctl("param", "greet", "times", "times=7", "loud=on", "times", "loud")
    assert (answer.stdout, answer.stderr, answer.returncode) == ("1\n7\nY\n", "", 0)
    (shown,) = json.loads(daemon.kmodctl("--json", "param", "greet", "times").stdout)
    assert (shown["name"], shown["value"], shown["mode"]) == ("times", "7", 0o644)
    with daemon.client() as client:
        assert client.set_parameter("greet", "times", "8").value == "8"
        assert [each.name for each in client.get_parameters("greet")][-1] == "whom"


def test_what_is_wrong_with_a_parameter_is_said(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "greet")
    for words, message in (
        (("greet", "times=often"), "`often' invalid for parameter `times' of greet"),
        (("greet", "whom=me"), "parameter whom of greet cannot be set (mode 0444)"),
        (("greet", "nosuch=1"), "module greet shows no parameter 'nosuch'"),
        (("greet", "nosuch"), "module greet shows no parameter 'nosuch'"),
        (("world",), "module world is not loaded"),
    ):
        answer = daemon.kmodctl("param", *words)
        assert (answer.stdout, answer.returncode) == ("", 1)
        assert answer.stderr == f"kmodctl param: ERROR: {message}\n"


def test_the_status_of_a_module_is_what_the_kernel_has_of_it(daemon: Daemon) -> None:
    daemon.kmodctl("modprobe", "world")
    lines = daemon.kmodctl("status", "greet").stdout.splitlines()
    facts = [[part.strip() for part in line.split(":", 1)] for line in lines]
    several = ("parameter", "section", "note")
    assert {name: value for name, value in facts if name not in several} == {
        "module": "greet",
        "state": "live",
        "init": "ran",
        "size": "16384 bytes (16384 core, 0 init)",
        "used by": "1 world",
        "origin": "dependency",
        "holds": "0",
        "taints": "O",
        "version": "1.2",
        "srcversion": "F2602300136998F41BB54BA",
    }
    shown = [value for name, value in facts if name == "parameter"]
    assert shown == ["loud=N", "numbers=", "times=1", "whom=world"]
    sections = dict(value.split(" ") for name, value in facts if name == "section")
    assert sections[".text"] == "0xffffffffc0000000"
    assert {".data", ".init.text", ".symtab", "__param"} < set(sections)
    notes = dict(value.split(" ") for name, value in facts if name == "note")
    assert set(notes) == {".note.gnu.build-id", ".note.Linux"} & set(sections)
    (greet, world) = json.loads(daemon.kmodctl("--json", "status", "greet", "world").stdout)
    assert {each["name"]: each["address"] for each in greet["sections"]} == sections
    assert (greet["module"]["name"], greet["core_size_bytes"]) == ("greet", 16384)
    assert "version" not in world
    absent = daemon.kmodctl("status", "nosuch")
    assert (absent.stderr, absent.returncode) == (
        "kmodctl status: ERROR: module nosuch is not loaded\n",
        1,
    )
