# SPDX-License-Identifier: Apache-2.0
"""What modules show in /proc, /sys and debugfs is read, and what they take is written."""

import errno
from collections.abc import Iterator
from functools import partial

import pytest

from kmodctl import CallError, Client
from tests.support.daemon import Daemon, running_daemon
from tests.support.modules import module_tree
from tests.support.require import require_emulator
from tests.support.used_file import UsedFile

require_emulator()

PROC, OBJECT, DEBUG = "/proc/archive", "/sys/kernel/archive", "/sys/kernel/debug/archive"
PARAMETERS = "/sys/module/archive/parameters"
PAGE = 4096


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all: each test loads its module anew."""
    tree = module_tree(tmp_path_factory.mktemp("shown") / "root")
    with running_daemon(tree.root) as running:
        yield running


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client() as opened:
        opened.load("archive", parameters="papers=4")
        yield opened
        assert opened.remove("archive") == ()


def refused(client: Client, path: str, data: bytes | None = None) -> int:
    """Read a file, or write to it, which must fail; return the errno."""
    use = client.read_file if data is None else partial(client.write_file, data=data)
    with pytest.raises(CallError) as failed:
        use(path)
    assert failed.value.reason == "KERNEL_REFUSED"
    return failed.value.errno


def test_proc_has_iterators_single_texts_and_plain_files(client: Client) -> None:
    papers = b"nr  paper\n" + b"".join(b"%d   paper %d of 4\n" % (n, n) for n in (1, 3, 4))
    for name in ("papers", "listed"):
        assert client.read_file(f"{PROC}/{name}") == papers
    assert client.read_file(f"{PROC}/whole") == b"4 papers\n"
    assert client.read_file(f"{PROC}/plain") == b"plain\n"
    assert client.read_file(f"{PROC}/note") == b"note: nothing yet\n"
    client.write_file(f"{PROC}/note", b"a letter\n")
    assert client.read_file(f"{PROC}/note") == b"note: a letter\n"
    assert refused(client, f"{PROC}/note", b"x" * 64) == errno.EFBIG
    assert refused(client, f"{PROC}/plain", b"x") == errno.EIO


def test_an_iterator_goes_on_where_a_read_has_ended_and_where_it_is_sent(client: Client) -> None:
    with UsedFile(client, f"{PROC}/papers") as papers:
        parts = []
        while part := papers.read(7).data:
            parts.append(part)
        whole = b"".join(parts)
        assert whole == client.read_file(f"{PROC}/papers")
        for place in (0, 3, 10, 12, 27, len(whole), len(whole) + 9):
            assert papers.seek(place) == place
            assert papers.read().data == whole[place:]


def test_more_than_a_page_is_shown(client: Client) -> None:
    client.write_file(f"{PARAMETERS}/papers", b"2000\n")
    read = client.read_file(f"{PROC}/papers")
    assert len(read) > 10 * PAGE
    lines = read.decode().splitlines()
    assert len(lines) == 2000
    assert lines[-1] == "2000 paper 2000 of 2000"
    with UsedFile(client, f"{PROC}/papers") as papers:
        papers.seek(5 * PAGE)
        part = papers.read(100).data
        assert part == read[5 * PAGE :][:100]


def test_attributes_are_shown_and_take_texts(daemon: Daemon, client: Client) -> None:
    assert client.read_file(f"{OBJECT}/shelf") == b"5\n"
    client.write_file(f"{OBJECT}/shelf", b"12\n")
    assert client.read_file(f"{OBJECT}/shelf") == b"12\n"
    assert refused(client, f"{OBJECT}/shelf", b"twelve\n") == errno.EINVAL
    assert refused(client, f"{OBJECT}/silent") == errno.EACCES
    assert refused(client, f"{OBJECT}/endless", b"x") == errno.EACCES
    client.write_file(f"{OBJECT}/silent", b"8")
    assert client.read_file(f"{OBJECT}/shelf") == b"8\n"
    assert client.read_file(f"{OBJECT}/endless") == b"x" * (PAGE - 1)
    (said,) = [each.text for each in client.read_log() if "fill_read_buffer" in each.text]
    assert said.startswith("fill_read_buffer: endless_show+0x0/")
    assert said.endswith("[archive] returned bad count")
    listed = daemon.kmodctl("ls", "-l", OBJECT).stdout.splitlines()
    assert listed == [
        "-r--r--r-- r--- archive endless",
        "-rw-r--r-- rw-- archive raw",
        "-rw-r--r-- rw-- archive shelf",
        "--w------- -w-- archive silent",
    ]


def test_an_attribute_of_bytes_has_as_many_as_it_says(client: Client) -> None:
    with UsedFile(client, f"{OBJECT}/raw", writes=True) as raw:
        assert raw.read(10).data == b"0123456789"
        assert raw.write(b"XYZ") == 3
        assert (raw.read().data, raw.read().data) == (b"def", b"")
        with pytest.raises(CallError) as behind:
            raw.write(b"g")
        assert behind.value.errno == errno.EFBIG
    assert client.read_file(f"{OBJECT}/raw") == b"0123456789XYZdef"
    client.write_file(f"{OBJECT}/raw", b"0123456789abc")


def test_debugfs_has_values_and_files_of_a_modules_own(client: Client) -> None:
    for name, before, data, after in (
        ("count32", b"32\n", b" 0x20000\n", b"131072\n"),
        ("count64", b"0x0000000000000040\n", b"0xabc", b"0x0000000000000abc\n"),
        ("open_today", b"Y\n", b"off\n", b"N\n"),
        ("open_today", b"N\n", b"maybe\n", b"N\n"),
        ("doubled", b"42\n", b"50\n", b"100\n"),
    ):
        assert client.read_file(f"{DEBUG}/{name}") == before
        client.write_file(f"{DEBUG}/{name}", data)
        assert client.read_file(f"{DEBUG}/{name}") == after
    assert client.read_file(f"{DEBUG}/blob") == b"blobs\n"
    assert client.read_file(f"{DEBUG}/papers") == b"shown to debuggers\n"
    for name in ("blob", "count32", "doubled"):
        assert refused(client, f"{DEBUG}/{name}", b"many") == errno.EINVAL


def test_parameters_are_files_and_have_functions_of_their_own(client: Client) -> None:
    assert client.read_file(f"{PARAMETERS}/papers") == b"4\n"
    client.write_file(f"{PARAMETERS}/papers", b"6\n")
    assert client.read_file(f"{PARAMETERS}/papers") == b"6\n"
    assert client.read_file(f"{PARAMETERS}/pages") == b"10 pages\n"
    client.write_file(f"{PARAMETERS}/pages", b"20\n")
    assert client.read_file(f"{PARAMETERS}/pages") == b"20 pages\n"
    for data, code in ((b"0\n", errno.ERANGE), (b"few\n", errno.EINVAL)):
        with pytest.raises(CallError) as bad:
            client.write_file(f"{PARAMETERS}/pages", data)
        assert bad.value.errno == code
    with UsedFile(client, f"{PARAMETERS}/papers") as papers:
        assert (papers.read(1).data, papers.read().data, papers.read().data) == (b"6", b"\n", b"")
        assert papers.seek(0) == 0
        assert papers.poll(1) == 1
        assert papers.read().data == b"6\n"
        with pytest.raises(CallError) as none:
            papers.control(5)
        assert none.value.errno == errno.ENOTTY


def test_what_is_open_when_its_module_goes_is_of_no_more_use(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.load("archive")
        with UsedFile(client, f"{DEBUG}/papers") as papers:
            assert papers.read(5).data == b"shown"
            with pytest.raises(CallError) as busy:
                client.remove("archive")
            assert busy.value.reason == "MODULE_IN_USE"
        with (
            UsedFile(client, f"{PROC}/note") as note,
            UsedFile(client, f"{OBJECT}/shelf") as shelf,
        ):
            assert (note.read(4).data, shelf.read().data) == (b"note", b"5\n")
            assert client.remove("archive") == ()
            for file, code in ((note, errno.EIO), (shelf, errno.ENODEV)):
                with pytest.raises(CallError) as gone:
                    file.read()
                assert gone.value.errno == code
        assert client.list_modules() == []
