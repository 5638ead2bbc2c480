# SPDX-License-Identifier: Apache-2.0
"""kmodd.toml: what it sets, and what is said of what is wrong in it."""

from pathlib import Path

import pytest

from kmodd.access.caller import Role
from kmodd.access.grants import Grant
from kmodd.errors import RequestError
from kmodd.settings import Limits, Settings, SocketSettings, Timing
from kmodd.settings.toml import MAX_FILE, SETTINGS, read_settings

WHOLE = """
kernel = "linux"
root = "/srv/root"
release = "6.1.0"
kernel_command_line = "module_blacklist=floppy"
run_code = false
kernel_image = "/srv/vmlinuz"
vm_accel = "tcg"
vm_memory = 1024
vm_processors = 2
state = "/srv/state"
runtime = "/run/srv"
publish = false
watch = false
modprobe_config = ["/srv/a.conf", "/srv/b.d"]
run_commands = true
kmod_exact = true
log_level = "debug"

[[deny]]
modules = ["nouveau", "radeon*"]
reason = "no display here"

[[deny]]
modules = ["floppy"]

[[socket]]
path = "/run/kmodd/admin/kmodd.sock"
role = "admin"
mode = 0o660
group = "wheel"

[[socket]]
path = "/run/kmodd/net/kmodd.sock"
role = "loader"
owner = 1000
allow = ["br_netfilter"]
deny = ["ipv6"]
parameters = true

[limits]
streams = 16
upload_idle = 2.5

[timing]
debounce = 1
"""

PUBLIC = "[[socket]]\npath = '/a/s'\ngrants = true\n"
"""A file that has its only socket go by the grants."""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def problems(path: Path) -> list[str]:
    """Return what is wrong with the file, each with its line and without its name."""
    with pytest.raises(RequestError) as caught:
        read_settings(path, Settings())
    lines = caught.value.message.splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def test_every_setting_is_read(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path / "kmodd.toml", WHOLE), Settings())
    assert settings == Settings(
        kernel="linux",
        root=Path("/srv/root"),
        release="6.1.0",
        kernel_command_line="module_blacklist=floppy",
        run_code=False,
        kernel_image=Path("/srv/vmlinuz"),
        vm_accel="tcg",
        vm_memory=1024,
        vm_processors=2,
        state=Path("/srv/state"),
        runtime=Path("/run/srv"),
        publish=False,
        watch=False,
        modprobe_config=(Path("/srv/a.conf"), Path("/srv/b.d")),
        run_commands=True,
        kmod_exact=True,
        log_level="debug",
        deny=(("nouveau", "no display here"), ("radeon*", "no display here"), ("floppy", "")),
        sockets=(
            SocketSettings(path=Path("/run/kmodd/admin/kmodd.sock"), mode=0o660, group="wheel"),
            SocketSettings(
                path=Path("/run/kmodd/net/kmodd.sock"),
                role=Role.LOADER,
                owner=1000,
                allow=("br_netfilter",),
                deny=("ipv6",),
                parameters=True,
            ),
        ),
        limits=Limits(streams=16, upload_idle=2.5),
        timing=Timing(debounce=1.0),
    )


def test_the_settings_of_the_file_are_those_that_there_are() -> None:
    elsewhere = {"sockets", "deny_builds", "grants"}
    names = {name for name in Settings.__slots__ if name not in elsewhere} | {"socket", "grant"}
    assert set(SETTINGS) == names


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    assert read_settings(write(tmp_path / "kmodd.toml", ""), Settings()) == Settings()


def test_drop_ins_come_after_the_file_by_name(tmp_path: Path) -> None:
    file = write(tmp_path / "kmodd.toml", 'release = "1"\nroot = "/a"\n[limits]\nstreams = 9\n')
    write(tmp_path / "kmodd.toml.d/20.toml", 'release = "3"\n[[deny]]\nmodules = ["b"]\n')
    write(tmp_path / "kmodd.toml.d/10.toml", 'release = "2"\n[[deny]]\nmodules = ["a"]\n')
    write(tmp_path / "kmodd.toml.d/30.conf", "nonsense")
    write(tmp_path / "kmodd.toml.d/40.toml", "[limits]\nreaders = 3\n")
    settings = read_settings(file, Settings())
    assert (settings.release, settings.root) == ("3", Path("/a"))
    assert settings.deny == (("a", ""), ("b", ""))
    assert settings.limits == Limits(streams=9, readers=3)


@pytest.mark.parametrize("spelling", ["00ff1a", "00FF1A", "00:ff:1A"])
def test_a_build_is_denied_by_its_id_alone(tmp_path: Path, spelling: str) -> None:
    text = f"[[deny]]\nbuild_id = '{spelling}'\nreason = 'CVE'\n[[deny]]\nmodules = ['a']\n"
    write(tmp_path / "kmodd.toml", text)
    settings = read_settings(tmp_path / "kmodd.toml", Settings())
    assert settings.deny_builds == (("00ff1a", "CVE"),)
    assert settings.deny == (("a", ""),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nkernal = 'linux'\n", "2: kernal is not a setting"),
        ("kernel = 'solaris'\n", "1: kernel is one of emulated, vm, linux, not 'solaris'"),
        ("kernel = 3\n", "1: kernel is one of emulated, vm, linux, not 3"),
        ("publish = 1\n", "1: publish is true or false"),
        ("root = 'a/b'\n", "1: root is an absolute path, not 'a/b'"),
        ("root = 7\n", "1: root is a string"),
        ('vm_accel = "hax"\n', "1: vm_accel is one of auto, kvm, tcg, not 'hax'"),
        ("vm_memory = 64\n", "1: vm_memory is a whole number from 128 to 1048576"),
        ("vm_processors = true\n", "1: vm_processors is a whole number from 1 to 256"),
        ('kernel_command_line = "a\\nb"\n', "1: kernel_command_line is one line of at most 4096"),
        ("modprobe_config = '/a'\n", "1: modprobe_config is a list"),
        ("# streams\n[limits]\n# x\nstreams = 0\n", "4: limits.streams is a positive whole number"),
        ("[limits]\nstreams = 2.5\n", "2: limits.streams is a positive whole number"),
        ("[limits]\nstreems = 2\n", "2: limits.streems is not a setting"),
        ("[timing]\nlook = 'soon'\n", "2: timing.look is a positive number"),
        ("[timing]\nlook = nan\n", "2: timing.look is a positive number"),
        ("limits = 3\n", "1: limits is a table, [limits]"),
        ("socket = 3\n", "1: socket is a list of tables, [[socket]]"),
        ("[[socket]]\nrole = 'admin'\n", "1: socket needs a path"),
        ("[[deny]]\nreason = 'x'\n", "1: deny needs a modules or a build_id"),
        ("[[deny]]\nbuild_id = 'xyz'\n", "2: deny.build_id is a build id in hexadecimal digits"),
        ("[[deny]]\nbuild_id = 'abc'\n", "2: deny.build_id is a build id in hexadecimal digits"),
        ("[[deny]]\nbuild_id = 7\n", "2: deny.build_id is a string"),
        ("[[deny]]\nmodules = ['a[']\n", "2: deny.modules unmatched bracket in 'a['"),
        ("[[deny]]\nmodules = [\n 'a',\n 3]\n", "2: deny.modules is a string"),
        (
            "[[socket]]\npath = '/a/s'\n[[socket]]\npath = '/b/s'\nmode = 660\n",
            "5: socket.mode is permission bits such as 0o660, not 660",
        ),
        ("[[socket]]\npath = '/a/s'\nowner = -1\n", "3: socket.owner is a name or a number"),
        (
            "[[socket]]\npath = '/a/s'\nrole = 'root'\n",
            "3: socket.role is one of observer, steward, loader",
        ),
        (
            "[[socket]]\npath = '/a/s'\n\n[[socket]]\npath = '/a/t'\n",
            "1: /a/s: another socket is in this directory; each needs its own",
        ),
        (
            "[[socket]]\npath = '/a/s'\nallow = ['x']\n",
            "1: /a/s: allow, deny and parameters are for the roles loader and steward",
        ),
        (
            "[[socket]]\npath = '/a/s'\n[[socket]]\npath = '/b/s'\nrole = 'loader'\n",
            "3: /b/s: a loader without allow may load nothing",
        ),
        (
            "[[socket]]\npath = '/a/s'\nrole = 'observer'\n",
            "1: of all sockets none has the role admin",
        ),
        ("[[socket]]\npath = '/a/s'\nrole = 'none'\n", "3: socket.role is one of"),
        ("[[socket]]\npath = '/a/s'\nname = 'a:b'\n", "3: socket.name is a name of at most"),
        (
            "[[socket]]\npath = '/a/s'\ndefault = 'observer'\n",
            "1: /a/s: default is for a socket with grants",
        ),
        (
            "[[socket]]\npath = '/a/s'\n[[socket]]\npath = '/b/s'\ngrants = true\n"
            "role = 'loader'\nallow = ['a']\n",
            "3: /b/s: allow, deny, parameters and source are for the grants to say",
        ),
        (
            "[[socket]]\npath = '/a/s'\nname = 'x'\n[[socket]]\npath = '/b/s'\nname = 'x'\n",
            "1: /a/s: another socket has the name 'x'",
        ),
        (PUBLIC + "[[grant]]\nusers = [1]\n", "4: grant needs a role"),
        (PUBLIC + "[[grant]]\nrole = 'root'\n", "5: grant.role is one of none, observer"),
        (PUBLIC + "[[grant]]\nrole = 'admin'\n", "4: grant: needs users, groups, units"),
        (
            PUBLIC + "[[grant]]\nrole = 'admin'\nusers = [1]\nallow = ['a']\n",
            "4: grant: allow, deny and parameters are for the roles loader and steward",
        ),
        (
            PUBLIC + "[[grant]]\nrole = 'loader'\nusers = [1]\n",
            "4: grant: a loader without allow may load nothing",
        ),
        (
            PUBLIC + "[[grant]]\nrole = 'steward'\nusers = [1]\n",
            "4: grant: a steward without allow may wish for nothing",
        ),
        (
            PUBLIC + "[[grant]]\nrole = 'loader'\nusers = [1]\nallow = ['a']\nsource = 'x'\n",
            "4: grant: source is for the role steward",
        ),
        (
            PUBLIC + "[[grant]]\nrole = 'steward'\nusers = [1]\nallow = ['a']\nsource = '.'\n",
            "8: grant.source is a name of at most 32 letters",
        ),
        (PUBLIC + "[[grant]]\nrole = 'admin'\nusers = [-1]\n", "6: grant.users is a name or a"),
        (
            "[[socket]]\npath = '/a/s'\n[[grant]]\nrole = 'admin'\nusers = [1]\n",
            "3: grant: no socket goes by the grants",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert problems(write(tmp_path / "kmodd.toml", text))[0].startswith(said)


def test_grants_are_read_in_their_order_those_of_drop_ins_behind(tmp_path: Path) -> None:
    text = PUBLIC + (
        "default = 'observer'\nmode = 0o666\nname = 'public'\n"
        "[[grant]]\nrole = 'loader'\nusers = ['a', 7]\ngroups = ['b']\nallow = ['nf_*']\n"
        "deny = ['nf_x']\nparameters = true\nunits = ['c.*']\ncontainers = ['*']\n"
    )
    file = write(tmp_path / "kmodd.toml", text)
    drop_in = tmp_path / "kmodd.toml.d"
    drop_in.mkdir()
    write(drop_in / "more.toml", "[[grant]]\nrole = 'none'\nusers = ['z']\n")
    found = read_settings(file, Settings())
    assert found.sockets == (
        SocketSettings(
            path=Path("/a/s"), grants=True, default=Role.OBSERVER, mode=0o666, name="public"
        ),
    )
    assert found.grants == (
        Grant(
            role=Role.LOADER,
            users=("a", 7),
            groups=("b",),
            units=("c.*",),
            containers=("*",),
            allow=("nf_*",),
            deny=("nf_x",),
            parameters=True,
        ),
        Grant(role=Role.NONE, users=("z",)),
    )


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    file = write(tmp_path / "kmodd.toml", "a = 1\nb = 2\nkernel = 'x'\n")
    assert [line.split(":")[0] for line in problems(file)] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "text",
    [
        *("kernel = \n", "= 3\n", "a = 1\na = 2\n", "\ud800"),
        *("a = " + "[" * 5000, "a = " + "{a = " * 5000),
    ],
)
def test_what_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kmodd.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert len(problems(file)) == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path / "kmodd.toml") == [" No such file or directory"]


def test_a_file_that_is_huge_or_no_file_is_refused(tmp_path: Path) -> None:
    assert "more than" in problems(write(tmp_path / "a.toml", "#" * (MAX_FILE + 1)))[0]
    (tmp_path / "b.toml").mkdir()
    assert "directory" in problems(tmp_path / "b.toml")[0]
