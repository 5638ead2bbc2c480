# SPDX-License-Identifier: Apache-2.0
"""The kernel functions that there are, each declared with its C prototype.

The declarations are the documentation of what is modelled: a function is declared once, at the
Python function that does its work, or in a list of those that are alike. One that has changed from
one kernel to the next is declared once for each of its forms, with the kernels that have it; those
that differ in nothing but their name are declared together (``parse_prototypes``).

``FUNCTIONS`` are those of the kernel that is served (``adopt``), one process's, which has one
kernel: that declaration counts of which the kernel's version is and with which, as far as the
kernel says what its functions take, that agrees.
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kmodd.kernel.emulated.abi.failing import fails_else, gives_back
from kmodd.kernel.emulated.abi.prototype import Prototype, Version, parse_prototypes
from kmodd.records import record

Implementation = Callable[..., int | None]
"""Does a function's work: (kernel, *arguments) -> the result, None for 0 and for void."""


@record
class Function:
    """A kernel function: ``code`` where it is so short that it is machine code itself.

    ``calls`` is the function that the code calls, whose address is where it has CALLED.
    """

    prototype: Prototype
    work: Implementation | None = None
    code: bytes = b""
    calls: str = ""

    def __call__(self, kernel: Any, arguments: Iterable[int]) -> int:
        """Do the work with the arguments as the registers have them."""
        assert self.work is not None
        return self.work(kernel, *self.taken(arguments)) or 0

    def taken(self, arguments: Iterable[int]) -> list[int]:
        """Return what the registers' contents stand for."""
        kinds = self.prototype.parameters
        return [kind.take(word) for (_, kind), word in zip(kinds, arguments, strict=False)]


DECLARED: dict[str, list[Function]] = {}
"""All declared functions by name: for each the forms that it has had."""

FUNCTIONS: dict[str, Function] = {}
"""The functions of the kernel that is served, by name."""

UNLIKE: dict[str, str] = {}
"""Those that are declared, but not as this kernel has them, by name, and why."""

_words: dict[str, str] = {}

DEFAULT_VERSION: Version = (6, 1)
"""The kernel whose functions there are before any is adopted."""


def adopt(version: Version, release: str, prototypes: Mapping[str, str]) -> None:
    """Have FUNCTIONS and UNLIKE be those of a kernel, before anything of it is run.

    ``prototypes`` has the words of its functions (kernelimage.prototypes), as far as they are
    known; of others the version alone decides, and where it leaves several, the first counts.
    """
    FUNCTIONS.clear()
    UNLIKE.clear()
    _words.clear()
    _words.update(prototypes)
    for name, forms in DECLARED.items():
        word = prototypes.get(name)
        found = next((each for each in forms if _fits(each, version, word)), None)
        if found is not None:
            FUNCTIONS[name] = found
        else:
            UNLIKE[name] = f"has another prototype in {release}"


def word_of(name: str) -> str | None:
    """Return what a function of this kernel takes and returns, None where that is not known."""
    return _words.get(name)


def _fits(function: Function, version: Version, word: str | None) -> bool:
    prototype = function.prototype
    return prototype.is_of(version) and (word is None or prototype.agrees(word))


Reclaim = Callable[[Any, int], None]

RECLAIMERS: dict[str, Reclaim] = {}
"""How the kernel forgets what a module never gave back, by what it is called on a ledger: the
module's memory is gone, and nobody may look there any more."""

_NOTIFIER = "nb"
"""What prototypes call a ``struct notifier_block``."""

CALLED = bytes.fromhex("0badc0de0badc0de")
"""What stands for an address in machine code."""

RETURN = bytes.fromhex("c3")
RETURN_ZERO = bytes.fromhex("31c0c3")
RETURN_ONE = bytes.fromhex("b801000000c3")


def function(*prototypes: str) -> Callable[[Implementation], Implementation]:
    """Declare the function, or the functions, that the decorated one does the work of."""

    def declare(work: Implementation) -> Implementation:
        for text in prototypes:
            _declare(text, work)
        return work

    return declare


def reclaims(*kinds: str) -> Callable[[Reclaim], Reclaim]:
    """Declare that the decorated function forgets things of these kinds."""

    def declare(reclaim: Reclaim) -> Reclaim:
        RECLAIMERS.update(dict.fromkeys(kinds, reclaim))
        return reclaim

    return declare


def machine_code(code: bytes, prototypes: str) -> None:
    """Declare functions, one a line, that are nothing but ``code``."""
    for text in _lines(prototypes):
        _declare(text, code=code)


def calling(name: str, code: bytes, prototype: str) -> None:
    """Declare a function that is nothing but ``code``, in which CALLED stands for another one."""
    for each in parse_prototypes(prototype):
        _add(Function(each, code=code, calls=name))


def alike(work: Implementation, prototypes: str) -> None:
    """Declare functions, one a line, with the same work."""
    for text in _lines(prototypes):
        _declare(text, work)


def pairs(prototypes: str, what: str = "") -> None:
    """Declare functions that register something, and those that take it back.

    A line is ``TAKE / GIVE``, or TAKE alone, or ``/ GIVE`` for another form of that. What is taken
    is known by the first parameter of GIVE that TAKE has too, but a notifier by itself; where they
    have none in common it is only counted. TAKE fails with the first of its errors or -ENOMEM,
    but a notifier is never refused.
    It is called ``what`` where the line does not begin with ``WORDS:``. Both succeed, but for what
    ``WORDS (AGAIN, MISSING):`` says: the errors for what is taken already, and for what is not,
    ``-`` for none. A chain of notifiers has each once (kernel/notifier.c).
    """
    for label, take, give in _pairs(prototypes, what):
        label, again, missing = _errors(label)
        names = [name for name, _ in (take or give)[0].parameters]
        given = [name for name, _ in give[0].parameters] if give else names[:1]
        key = next((name for name in given if name in names), None)
        if _NOTIFIER in names and _NOTIFIER in given:
            key, again, missing = _NOTIFIER, errno.EEXIST, errno.ENOENT
        if key is None and (again or missing):
            raise ValueError(f"nothing tells one that {(take or give)[0].name} takes from another")
        for each in take:
            at = None if key is None else each.position(key)
            _add(Function(each, _taker(label, at, _naming(each), again)))
            if each.result.size and key != _NOTIFIER:
                fails_else(f"-{errno.errorcode[again or errno.ENOMEM]}", each.name)
        for each in give:
            at = None if key is None else each.position(key)
            _add_ending(Function(each, _giver(label, at, missing)))
            if at is not None and not missing and not each.result.size:
                gives_back(label, each.name)


def _errors(label: str) -> tuple[str, int, int]:
    """Return what something is called, and the errors for having it already and for lacking it."""
    what, bracket, names = label.partition(" (")
    if not bracket:
        return label, 0, 0
    again, _, missing = names.rstrip(")").partition(", ")
    return what, _number(again), _number(missing)


def _number(name: str) -> int:
    return int(getattr(errno, name)) if name.strip("-") else 0


def makers(prototypes: str, what: str = "", *, size: int = 1024) -> None:
    """Declare functions that make an object, and those that end it.

    Lines are as those of ``pairs``. The object has ``size`` bytes of zeros; it is the first
    parameter of what ends it.
    """
    for label, make, end in _pairs(prototypes, what):
        for each in make:
            _add(Function(each, _maker(label, size, _naming(each))))
            fails_else("NULL", each.name)
        for each in end:
            _add_ending(Function(each, _ender(label)))
            gives_back(label, each.name)


def _pairs(
    text: str, what: str
) -> Iterator[tuple[str, tuple[Prototype, ...], tuple[Prototype, ...]]]:
    for line in _lines(text):
        label, colon, rest = line.partition(": ")
        if not colon:
            label, rest = what, line
        taking, _, giving = (part.strip() for part in f" {rest}".partition(" / "))
        yield (
            label,
            parse_prototypes(taking) if taking else (),
            parse_prototypes(giving) if giving else (),
        )


def _naming(prototype: Prototype) -> int | None:
    """Return which parameter is the name of what is taken, if one is."""
    names = [name for name, kind in prototype.parameters if kind.is_pointer]
    return prototype.position("name") if "name" in names else None


def _name(kernel: Any, what: str, naming: int | None, arguments: tuple[int, ...]) -> str:
    if naming is None or not arguments[naming]:
        return what
    return f"{what} '{kernel.memory.text(arguments[naming], 64)}'"


def _taker(what: str, at: int | None, naming: int | None, again: int) -> Implementation:
    def take(kernel: Any, *arguments: int) -> int:
        key = 0 if at is None else arguments[at]
        if again and kernel.ledger.find(what, key) is not None:
            return -again
        kernel.ledger.take(what, key, _name(kernel, what, naming, arguments))
        return 0

    return take


def _giver(what: str, at: int | None, missing: int) -> Implementation:
    def give(kernel: Any, *arguments: int) -> int:
        was_there = kernel.ledger.give(what, 0 if at is None else arguments[at]) is not None
        return 0 if was_there else -missing

    return give


def _maker(what: str, size: int, naming: int | None) -> Implementation:
    def make(kernel: Any, *arguments: int) -> int:
        made: int = kernel.heap.allocate(size)
        kernel.ledger.take(what, made, _name(kernel, what, naming, arguments))
        return made

    return make


def _ender(what: str) -> Implementation:
    def end(kernel: Any, *arguments: int) -> int:
        if kernel.ledger.give(what, arguments[0]) is not None:
            kernel.heap.free(arguments[0])
        return 0

    return end


def _declare(text: str, work: Implementation | None = None, code: bytes = b"") -> None:
    for prototype in parse_prototypes(text):
        _add(Function(prototype, work, code))


def _add(declared: Function) -> None:
    prototype = declared.prototype
    forms = DECLARED.setdefault(prototype.name, [])
    if any(each.prototype.meets(prototype) for each in forms):
        raise ValueError(f"{prototype.name} is declared twice")
    forms.append(declared)
    if prototype.is_of(DEFAULT_VERSION):
        FUNCTIONS.setdefault(prototype.name, declared)


def _add_ending(declared: Function) -> None:
    """Declare what takes something back, unless it takes back what another function gave, too."""
    prototype = declared.prototype
    if not any(each.prototype.meets(prototype) for each in DECLARED.get(prototype.name, ())):
        _add(declared)


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())
