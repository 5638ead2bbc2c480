# SPDX-License-Identifier: Apache-2.0
"""The manual pages and the completion are those of the parsers, and can be used."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kmodctl.cli import command_parser
from kmodctl.commands import COMMANDS, command_module, description, summary
from kmodctl.commands.completion import SHELLS
from kmodctl.share.json_schemas import FORMS
from kmodctl.share.methods import with_methods
from kmodd.access.policy import METHODS
from kmodd.desired.document import read_document
from kmodd.settings import Settings
from kmodd.settings.toml import read_settings
from tests.support.here import run_here
from tests.support.require import require
from tests.support.shells import bash_offers, fish_offers, zsh_completes

SHARE = Path(__file__).parents[2] / "kmodctl" / "share"
COMPLETIONS = SHARE / "completions"
PAGES = sorted((SHARE / "man").iterdir())


def test_what_is_checked_in_is_what_the_parsers_generate(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SHARE / "generate.py"), str(tmp_path)], check=True)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.*")}
    assert len(made) == 5 + len(FORMS)
    for path, text in made.items():
        assert (SHARE / path).read_text() == text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_finds_nothing_wrong_with_a_page(page: Path) -> None:
    man = require("man", "looking at manual pages needs man-db")
    shown = subprocess.run(
        [man, "--warnings", "-E", "UTF-8", "-l", str(page)],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert page.stem.upper() in shown.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_refers_to_all_others(page: Path) -> None:
    also = page.read_text().partition(".SH SEE ALSO\n")[2].splitlines()
    others = {each for each in PAGES if each != page}
    assert {f"{each.stem} ({each.suffix[1:]})" for each in others} <= {
        line.removeprefix(".BR ").rstrip(",").replace("\\-", "-") for line in also
    }


def test_a_page_is_given_the_least_roles_of_all_methods() -> None:
    page = '.TS\n.\\" methods: begin\nOld/Method\tadmin\n.\\" methods: end\n.TE\n'
    lines = with_methods(page).splitlines()
    assert lines[:2] + lines[-2:] == [line for line in page.splitlines() if "Old" not in line]
    rows = dict(line.split("\t", 1) for line in lines[2:-2])
    assert rows.keys() == {path.rpartition(".")[2] for path in METHODS}
    assert rows["ModuleService/LoadModules"] == "loader"
    assert rows["KernelLogService/ReadLog"] == "observer\tadmin"


def test_a_page_without_room_for_the_methods_is_not_taken() -> None:
    with pytest.raises(ValueError, match="methods: begin"):
        with_methods(".TS\n.TE\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_is_and_what_each_option_does(name: str) -> None:
    command = command_module(name)
    assert (command.__doc__ or "").startswith(f"{name}: ")
    assert summary(command)
    assert description(command)
    for action in command_parser(name).options():
        assert action.help, action.option_strings


CALLED = f"env PYTHONPATH={SHARE.parents[1]} {sys.executable} -m kmodctl"
"""kmodctl for a shell that runs beside the tests."""

OFFERS = """\
good
$(touch${IFS}@/run)
`touch${IFS}@/run`
-rf
${x:=good}
a b;touch @/run
"""
"""Lines of a kmodctl that offers what it should not."""


def bash(*words: str) -> list[str]:
    script = f"kmodctl() {{ {CALLED} \"$@\"; }}; source '{COMPLETIONS}/kmodctl.bash'"
    return bash_offers(script, *words)


def fish(line: str, directory: Path) -> list[str]:
    script = f"function kmodctl; {CALLED} $argv; end; source '{COMPLETIONS}/kmodctl.fish'"
    return fish_offers(script, line, {"HOME": str(directory)})


def test_bash_completes_commands_options_choices_and_files(tmp_path: Path) -> None:
    assert bash("kmodctl", "mod") == ["modprobe", "modinfo"]
    assert "--kmod-exact" in bash("kmodctl", "--")
    assert bash("kmodctl", "--socket", "x", "--json", "lsm") == ["lsmod"]
    assert bash("kmodctl", "modprobe", "--show-e") == ["--show-exports"]
    assert "--set-version" in bash("kmodctl", "--timeout", "3", "modinfo", "--")
    assert bash("kmodctl", "completion", "") == ["bash", "zsh", "fish"]
    assert bash("kmodctl", "static-nodes", "--format", "=", "t") == ["tmpfiles"]
    assert bash("kmodd", "serve", "--log-level", "w") == ["warning"]
    (tmp_path / "some.ko").touch()
    (tmp_path / "some.txt").touch()
    assert bash("kmodctl", "insmod", f"{tmp_path}/so") == [f"{tmp_path}/some.ko"]


def test_bash_offers_a_file_by_its_name_whatever_that_is(tmp_path: Path) -> None:
    for name in ("a b.ko", "a*.ko", "a$(touch run).ko"):
        (tmp_path / name).touch()
    script = f"kmodctl() {{ echo :files; }}; source '{COMPLETIONS}/kmodctl.bash'; cd {tmp_path}"
    offers = bash_offers(script, "kmodctl", "insmod", "a")
    assert sorted(offers) == ["a b.ko", "a$(touch run).ko", "a*.ko"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_no_shell_evaluates_what_it_is_offered(shell: str, tmp_path: Path) -> None:
    (tmp_path / "offers").write_text(OFFERS.replace("@", str(tmp_path)))
    offering = f"cat {tmp_path}/offers"
    source = f"source '{COMPLETIONS / SHELLS[shell]}'"
    if shell == "bash":
        script = f"kmodctl() {{ {offering}; }}; {source}"
        assert "good" in bash_offers(script, "kmodctl", "rmmod", "")
    elif shell == "fish":
        script = f"function kmodctl; {offering}; end; {source}"
        assert "good" in fish_offers(script, "kmodctl rmmod ", {"HOME": str(tmp_path)})
    else:
        script = f"autoload -U compinit; compinit -D -u; kmodctl() {{ {offering} }}; {source}"
        assert zsh_completes(script, "kmodctl rmmod go", tmp_path) == "kmodctl rmmod good "
        assert "touch" in zsh_completes(script, "kmodctl rmmod a", tmp_path)
    assert not (tmp_path / "run").exists()


def test_zsh_evaluates_no_files_name(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some/$(touch run).ko").touch()
    read = f"kmodctl() {{ echo :modules }}; fpath=('{COMPLETIONS}' $fpath); cd {tmp_path}"
    completed = zsh_completes(read, "kmodctl insmod some/", tmp_path)
    assert completed == r"kmodctl insmod some/\$\(touch\ run\).ko "
    assert not (tmp_path / "run").exists()


def test_fish_completes_commands_options_choices_and_files(tmp_path: Path) -> None:
    assert fish("kmodctl mod", tmp_path) == ["modinfo", "modprobe"]
    assert "--kmod-exact" in fish("kmodctl --", tmp_path)
    assert fish("kmodctl --socket x --json lsm", tmp_path) == ["lsmod"]
    assert "--set-version" in fish("kmodctl --timeout 3 modinfo --", tmp_path)
    assert fish("kmodctl completion ", tmp_path) == ["bash", "fish", "zsh"]
    (tmp_path / "some.ko").touch()
    (tmp_path / "some.txt").touch()
    assert fish(f"kmodctl insmod {tmp_path}/so", tmp_path) == [f"{tmp_path}/some.ko"]


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("kmodctl --socket x --json lsm", "kmodctl --socket x --json lsmod "),
        ("kmodctl apply /dev/nul", "kmodctl apply /dev/null "),
    ],
)
def test_zsh_finds_its_function_and_completes(line: str, completed: str, tmp_path: Path) -> None:
    read = f"kmodctl() {{ {CALLED} \"$@\" }}; fpath=('{COMPLETIONS}' $fpath)"
    assert zsh_completes(read, line, tmp_path) == completed


def test_bash_and_fish_find_kmodds_completion_by_its_name(tmp_path: Path) -> None:
    for name in ("kmodctl.bash", "kmodd.bash", "kmodctl.fish", "kmodd.fish"):
        installed = tmp_path / name.removesuffix(".bash")
        installed.write_text((COMPLETIONS / name).read_text())
    called = f'kmodctl() {{ {CALLED} "$@"; }}'
    script = f"{called}; source {tmp_path}/kmodd; complete -p kmodd >&2"
    assert bash_offers(script, "kmodd", "check") == ["check-config"]
    script = f"function kmodctl; {CALLED} $argv; end; source {tmp_path}/kmodd.fish"
    assert fish_offers(script, "kmodd check", {"HOME": str(tmp_path)}) == ["check-config"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_kmodctl_prints_the_completion_for_a_shell_without_a_daemon(shell: str) -> None:
    ran = run_here(Path("/nowhere"), "completion", shell)
    assert (ran.status, ran.errors) == (0, "")
    assert ran.output.endswith((COMPLETIONS / SHELLS[shell]).read_text())
    assert f"for {shell}: kmodctl knows what there is to offer.\n" in ran.output
    ran = run_here(Path("/nowhere"), "--json", "completion", shell)
    assert json.loads(ran.output)["shell"] == shell


def test_kmodctl_has_no_completion_for_another_shell() -> None:
    ran = run_here(None, "completion", "csh")
    assert (ran.status, ran.output) == (1, "")
    wrong = "bash|zsh|fish: 'csh' is none of bash, zsh, fish. Did you mean zsh?"
    assert ran.errors == f"kmodctl completion: {wrong}\n"


def test_the_example_of_the_settings_is_right(tmp_path: Path) -> None:
    page = (SHARE / "man/kmodd.toml.5").read_text()
    example = page.partition(".SH EXAMPLE\n.nf\n")[2].partition(".fi")[0]
    file = tmp_path / "kmodd.toml"
    file.write_text(example.replace("\\&", "").replace("\\-", "-"))
    settings = read_settings(file, Settings())
    roles = [(each.role, each.grants) for each in settings.sockets]
    assert roles == [("admin", False), ("observer", False), ("loader", False), ("loader", True)]
    assert [each.role for each in settings.grants] == ["none", "loader", "loader"]


def test_the_example_of_the_readme_is_right_beside_an_admins_socket(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    example, _ = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    file = tmp_path / "kmodd.toml"
    file.write_text(f'{example}[[socket]]\npath = "/run/kmodd/admin/kmodd.sock"\n')
    settings = read_settings(file, Settings())
    assert [(each.grants, each.default) for each in settings.sockets] == [
        (True, "observer"),
        (False, "none"),
    ]
    assert [each.groups for each in settings.grants] == [("netops",)]


def test_the_wishes_of_the_readme_and_of_the_manual_are_right() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    _, example = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    page = next(each for each in PAGES if each.stem == "kmodd-state").read_text()
    shown = page.partition(".nf\n")[2].partition(".fi\n")[0]
    for text, states in (
        (example, ["loaded", "held", "absent"]),
        (shown.replace("\\-", "-"), ["loaded", "held", "denied"]),
    ):
        document = read_document(text, "example")
        assert document.problems == ()
        assert [wish.state.value for wish in document.wishes] == states
