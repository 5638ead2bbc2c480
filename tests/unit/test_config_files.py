# SPDX-License-Identifier: Apache-2.0
"""Which configuration files are read, from where, and in what order."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kmodd.config import config_directories, read_config
from kmodd.config.files import MAX_FILE, MAX_FILES, Objection, resolve_in_root

NOBODY = 65534


def write(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def blacklisted(root: Path) -> list[str]:
    return [entry.module for entry in read_config(root).blacklist]


def test_files_are_read_by_name_across_directories(tmp_path: Path) -> None:
    write(tmp_path, "lib/modprobe.d/b.conf", "blacklist two\n")
    write(tmp_path, "etc/modprobe.d/c.conf", "blacklist three\n")
    write(tmp_path, "run/modprobe.d/B.conf", "blacklist zero\n")
    write(tmp_path, "usr/lib/modprobe.d/a.conf", "blacklist one\n")
    assert blacklisted(tmp_path) == ["zero", "one", "two", "three"]
    assert read_config(tmp_path).files[0] == str(tmp_path / "run/modprobe.d/B.conf")


def test_of_files_with_one_name_the_first_directory_has_it(tmp_path: Path) -> None:
    directories = list(map(Path, config_directories(tmp_path)))
    assert [str(path.relative_to(tmp_path)) for path in directories] == [
        "etc/modprobe.d",
        "run/modprobe.d",
        "usr/local/lib/modprobe.d",
        "usr/lib/modprobe.d",
        "lib/modprobe.d",
    ]
    for directory in reversed(directories):
        write(directory, "x.conf", f"blacklist {len(directory.parts)}_{directory.parent.name}\n")
        assert len(blacklisted(tmp_path)) == 1
        assert blacklisted(tmp_path)[0].endswith(directory.parent.name)


def test_only_conf_files_count(tmp_path: Path) -> None:
    for name in ("a.conf~", ".b.conf", "c.txt", "d.conf.dpkg-old", "conf"):
        write(tmp_path, f"etc/modprobe.d/{name}", f"blacklist {name}\n")
    write(tmp_path, "etc/modprobe.d/e.conf", "blacklist good\n")
    config = read_config(tmp_path)
    assert [entry.module for entry in config.blacklist] == ["good"]
    assert config.problems == ()


def test_a_merged_usr_gives_each_file_once(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/modprobe.d/a.conf", "blacklist one\n")
    (tmp_path / "lib").symlink_to("usr/lib")
    assert blacklisted(tmp_path) == ["one"]


def test_links_are_followed_within_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(tmp_path, "outside.conf", "blacklist outside\n")
    write(root, "usr/share/inside.conf", "blacklist inside\n")
    directory = root / "etc/modprobe.d"
    directory.mkdir(parents=True)
    (directory / "a.conf").symlink_to("/usr/share/inside.conf")
    (directory / "b.conf").symlink_to(tmp_path / "outside.conf")
    (directory / "c.conf").symlink_to("../../../outside.conf")
    (directory / "d.conf").symlink_to("d.conf")
    config = read_config(root)
    assert [entry.module for entry in config.blacklist] == ["inside"]
    assert config.problems == (f"{directory / 'd.conf'}: Too many levels of symbolic links",)


def test_a_linked_directory_is_looked_for_within_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, "srv/settings/a.conf", "blacklist inside\n")
    (root / "etc").mkdir()
    (root / "etc/modprobe.d").symlink_to("/srv/settings")
    assert blacklisted(root) == ["inside"]


def test_a_path_that_climbs_stays_in_the_root(tmp_path: Path) -> None:
    assert resolve_in_root(tmp_path, "../../a/./b/../c") == str(tmp_path / "a/c")


def test_an_empty_or_null_file_masks_those_of_its_name(tmp_path: Path) -> None:
    for name in ("empty", "null", "gone"):
        write(tmp_path, f"usr/lib/modprobe.d/{name}.conf", f"blacklist {name}\n")
    write(tmp_path, "etc/modprobe.d/empty.conf", "")
    (tmp_path / "etc/modprobe.d/null.conf").symlink_to("/dev/null")
    (tmp_path / "etc/modprobe.d/gone.conf").symlink_to("nowhere")
    config = read_config(tmp_path)
    assert config.blacklist == ()
    assert config.problems == ()


def test_what_is_no_regular_file_is_named_and_not_opened(tmp_path: Path) -> None:
    directory = tmp_path / "etc/modprobe.d"
    write(directory, "z.conf", "blacklist good\n")
    os.mkfifo(directory / "fifo.conf")
    (directory / "directory.conf").mkdir()
    config = read_config(tmp_path)
    assert [entry.module for entry in config.blacklist] == ["good"]
    assert config.problems == (
        f"Directories inside directories are not supported: {directory / 'directory.conf'}",
        f"{directory / 'fifo.conf'}: not a regular file, ignored",
    )


def test_a_file_that_is_too_big_is_ignored_as_a_whole(tmp_path: Path) -> None:
    file = write(tmp_path, "etc/modprobe.d/big.conf", "blacklist a\n" + "\n" * MAX_FILE)
    write(tmp_path, "etc/modprobe.d/ok.conf", "blacklist b\n")
    config = read_config(tmp_path)
    assert [entry.module for entry in config.blacklist] == ["b"]
    assert config.problems == (f"{file}: more than {MAX_FILE} bytes, ignored",)


def test_more_files_than_any_system_has_are_not_read(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 2):
        write(tmp_path, f"etc/modprobe.d/{number:05}.conf", f"blacklist m{number}\n")
    config = read_config(tmp_path)
    assert len(config.blacklist) == MAX_FILES
    assert len(config.problems) == 1


@contextmanager
def as_nobody() -> Iterator[None]:
    """Have no privileges for a while, where there are any."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_may_not_be_read_is_named() -> None:
    with TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)
        write(root, "etc/modprobe.d/b.conf", "blacklist b\n")
        file = write(root, "etc/modprobe.d/a.conf", "blacklist a\n")
        file.chmod(0)
        with as_nobody():
            config = read_config(root)
    assert config.problems == (f"{file}: Permission denied",)
    assert [entry.module for entry in config.blacklist] == ["b"]


def test_bytes_that_are_not_utf8_survive(tmp_path: Path) -> None:
    file = write(tmp_path, "etc/modprobe.d/a.conf", "")
    file.write_bytes(b"options m name=\xff\xe9 x=\xc3\xa9\n")
    text = read_config(tmp_path).options[0].text
    assert text.encode("utf-8", "surrogateescape") == b"name=\xff\xe9 x=\xc3\xa9"


def test_named_paths_stand_in_for_the_roots_directories(tmp_path: Path) -> None:
    write(tmp_path, "etc/modprobe.d/a.conf", "blacklist root\n")
    single = write(tmp_path, "elsewhere/single", "blacklist single\n")
    write(tmp_path, "one/z.conf", "blacklist z1\n")
    write(tmp_path, "two/z.conf", "blacklist z2\n")
    write(tmp_path, "two/a.conf", "blacklist a2\n")
    paths = [tmp_path / "one", tmp_path / "two", single, tmp_path / "missing"]
    config = read_config(tmp_path, paths=paths)
    assert [entry.module for entry in config.blacklist] == ["a2", "single", "z1"]
    assert config.problems == ()


def test_the_command_line_comes_last(tmp_path: Path) -> None:
    write(tmp_path, "etc/modprobe.d/z.conf", "options m a=1\n")
    config = read_config(tmp_path, command_line="m.a=2 modprobe.blacklist=m")
    assert config.options_of("m") == "a=1 a=2"
    assert config.is_blacklisted("m")


def test_a_root_without_configuration_is_an_empty_one(tmp_path: Path) -> None:
    config = read_config(tmp_path / "nowhere")
    assert config.files == ()
    assert config.problems == ()


def against(*paths: Path) -> Objection:
    """An objection to these files and directories, whatever the way to them."""

    def objection(fd: int, path: str) -> str:
        opened = os.fstat(fd)
        assert os.path.samestat(opened, os.stat(path))
        return "no" if any(os.path.samestat(opened, each.stat()) for each in paths) else ""

    return objection


def test_nothing_is_read_of_a_directory_that_there_is_an_objection_to(tmp_path: Path) -> None:
    bad = write(tmp_path, "usr/local/lib/modprobe.d/a.conf", "blacklist bad\n").parent
    write(tmp_path, "usr/local/lib/modprobe.d/b.conf", "nonsense\n")
    write(tmp_path, "usr/lib/modprobe.d/a.conf", "blacklist good\n")
    config = read_config(tmp_path, objection=against(bad))
    assert [entry.module for entry in config.blacklist] == ["good"]
    assert config.files == (str(tmp_path / "usr/lib/modprobe.d/a.conf"),)
    assert (config.unread, config.problems) == ((f"{bad} is not read: no",), ())


def test_a_file_that_there_is_an_objection_to_is_not_read_and_masks_those_of_its_name(
    tmp_path: Path,
) -> None:
    bad = write(tmp_path, "etc/modprobe.d/a.conf", "blacklist bad\nnonsense\n")
    write(tmp_path, "etc/modprobe.d/b.conf", "blacklist good\n")
    write(tmp_path, "lib/modprobe.d/a.conf", "blacklist masked\n")
    config = read_config(tmp_path, objection=against(bad))
    assert [entry.module for entry in config.blacklist] == ["good"]
    assert config.files == (str(tmp_path / "etc/modprobe.d/b.conf"),)
    assert (config.unread, config.problems) == ((f"{bad} is not read: no",), ())


@pytest.mark.parametrize("name", ["README", ".a.conf", "a.conf~", "masked.conf"])
def test_no_objection_is_told_to_a_directory_of_which_nothing_would_be_read(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, "etc/modprobe.d/masked.conf", "blacklist good\n")
    bad = write(tmp_path, f"usr/local/lib/modprobe.d/{name}", "blacklist bad\n").parent
    config = read_config(tmp_path, objection=against(bad))
    assert [entry.module for entry in config.blacklist] == ["good"]
    assert config.unread == ()


def test_an_objection_is_told_once_where_usr_is_merged(tmp_path: Path) -> None:
    bad = write(tmp_path, "usr/lib/modprobe.d/a.conf", "blacklist bad\n").parent
    (tmp_path / "lib").symlink_to("usr/lib")
    config = read_config(tmp_path, objection=against(bad))
    assert (config.blacklist, config.unread) == ((), (f"{bad} is not read: no",))


def test_there_may_be_an_objection_to_a_named_path(tmp_path: Path) -> None:
    directory = write(tmp_path, "dir/a.conf", "blacklist bad\n").parent
    single = write(tmp_path, "single", "blacklist bad\n")
    good = write(tmp_path, "good", "blacklist good\n")
    config = read_config(
        tmp_path, paths=[directory, single, good], objection=against(directory, single)
    )
    assert [entry.module for entry in config.blacklist] == ["good"]
    assert config.unread == (f"{directory} is not read: no", f"{single} is not read: no")
