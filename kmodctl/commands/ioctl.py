# SPDX-License-Identifier: Apache-2.0
"""ioctl: have a module do what a number stands for with a file in the emulated kernel

NUMBER is the request as the module's header has it, in C's notation. Where it says that there is
something to be read or written (_IOR, _IOW, _IOWR), the module is given the address of a buffer of
the size that it says, and what is in there then is printed. The buffer begins as ARGUMENT: a number
of that size, or text, or with --hex any bytes. Otherwise ARGUMENT is a number that the module is
given as it is, and what it returns is printed.
"""

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodd.messages.emulation_service import FileControl, FileControlled

_READS = 2
"""One of the two highest bits of a number (_IOC_READ, include/uapi/asm-generic/ioctl.h)."""

_NUMBERS = (1, 2, 4, 8)
_MASK = (1 << 64) - 1


def configure(parser: Parser) -> None:
    """Add the arguments of ioctl."""
    from kmodctl.file_use import add_nonblock

    add_nonblock(parser)
    add = parser.add_argument
    add("--value", action="store_true", help="give ARGUMENT as it is, whatever NUMBER says")
    add("--hex", action="store_true", help="ARGUMENT has the bytes of the buffer as digits")
    add("path", metavar="PATH", help="an absolute path")
    add("number", metavar="NUMBER", type=_number, help="the request, such as 0x5401")
    add("argument", metavar="ARGUMENT", nargs="?", help="what it is done with")


def check(options: CommandOptions, output: Output) -> bool:
    """Tell whether the argument is one for that number."""
    if not 0 <= options.number < 1 << 32:
        output.error("a request is a number of 32 bits.")
        return False
    try:
        control_of(options)
    except ValueError as error:
        output.error(f"{options.argument}: {error}.")
        return False
    return True


def _number(text: str) -> int:
    return int(text, 8) if text[:1] == "0" and text.isdigit() else int(text, 0)


def control_of(options: CommandOptions) -> "FileControl":
    """Return the request; raises ValueError for an argument that can be none."""
    from kmodd.messages.emulation_service import FileControl

    argument, number = options.argument, options.number
    direction, size = number >> 30, number >> 16 & 0x3FFF
    if options.value or (not direction and not options.hex):
        try:
            value = _number(argument or "0")
        except ValueError:
            raise ValueError("it is to be a number") from None
        return FileControl(number=number, value=value & _MASK)
    buffer = _buffer(argument or "", size, is_hex=options.hex)
    return FileControl(number=number, buffer=buffer.ljust(size, b"\0"))


def _buffer(argument: str, size: int, *, is_hex: bool) -> bytes:
    if is_hex:
        try:
            return bytes.fromhex(argument)
        except ValueError:
            raise ValueError("it is to be an even number of hexadecimal digits") from None
    if size in _NUMBERS and argument:
        try:
            value = _number(argument)
        except ValueError:
            pass
        else:
            if not -(1 << 8 * size - 1) <= value < 1 << 8 * size:
                raise ValueError(f"it has no room in {size} bytes")
            return (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    return argument.encode("utf-8", "surrogateescape") + b"\0" * bool(argument)


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Do it, and print what came of it."""
    from kmodctl.file_use import tell_failure, used
    from kmodctl.uploading import sendable
    from kmodd.messages.emulation_service import FileOpening, UseFileRequest

    request = UseFileRequest(control=control_of(options))
    opening = FileOpening(
        path=sendable(options.path), reads=True, writes=True, nonblocking=options.nonblock
    )
    try:
        for answer in used(api, opening, [request]):
            if answer.controlled is not None:
                _tell(options.number, answer.controlled, output)
    except CallError as error:
        return tell_failure(output, error)
    return 0


def _tell(number: int, controlled: "FileControlled", output: Output) -> None:
    if output.json:
        output.message(controlled)
        return
    buffer = controlled.buffer
    if not buffer or not number >> 30 & _READS:
        output.data(str(controlled.result))
        return
    if controlled.result:
        output.data(f"returned {controlled.result}")
    output.data(_shown(buffer))


def _shown(buffer: bytes) -> str:
    """Return a buffer as a number, as text where it is some, and else as digits."""
    if len(buffer) in _NUMBERS:
        return str(int.from_bytes(buffer, "little"))
    text = buffer.rstrip(b"\0")
    if text and text.isascii() and text.decode().isprintable():
        return text.decode()
    return buffer.hex(" ")
