# SPDX-License-Identifier: Apache-2.0
"""Lists, trees and numbers of things (lib/list_debug.c, rbtree.c, idr.c, xarray.c).

Red-black trees are searched as what they are and not kept balanced. The contents of an ``idr``,
an ``ida`` and an ``xarray`` are kept here, by the address of the structure.
"""

import errno
from itertools import pairwise

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ONE,
    RETURN_ZERO,
    function,
    machine_code,
)
from kmodd.kernel.emulated.abi.structures import IDR, LIST_HEAD, TREE_NODE
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.state import KeptByAddress
from kmodd.kernel.emulated.reporting.log import Level

machine_code(
    RETURN_ONE,
    """
    bool __list_add_valid|__list_add_valid_or_report(struct list_head *new, struct list_head *prev, struct list_head *next)
    bool __list_del_entry_valid|__list_del_entry_valid_or_report(struct list_head *entry)
    """,
)
machine_code(
    RETURN,
    """
    void rb_insert_color(struct rb_node *node, struct rb_root *root)
    void __rb_insert_augmented(struct rb_node *node, struct rb_root *root, void (*augment_rotate)(struct rb_node *old, struct rb_node *new))
    void __rb_erase_color(struct rb_node *parent, struct rb_root *root, void (*augment_rotate)(struct rb_node *old, struct rb_node *new))
    """,
)
machine_code(
    RETURN_ZERO,
    """
    int radix_tree_maybe_preload(gfp_t gfp_mask)
    void idr_preload(gfp_t gfp_mask)
    """,
)

_INT_MAX = (1 << 31) - 1

_MARKS, _PRESENT = 3, 8
"""Marks that an entry of an ``xarray`` may have, and what stands for any entry (XA_PRESENT)."""

DEEP = 10_000
"""Steps in a tree before it is taken for a circle."""


def _parent(machine: Machine, node: int) -> int:
    return machine.memory.number(node) & ~3


def _outermost(machine: Machine, node: int, side: int) -> int:
    for _ in range(DEEP):
        following = machine.memory.number(node + side) if node else 0
        if not following:
            return node
        node = following
    raise ValueError("a tree without an end")


def _neighbour(machine: Machine, node: int, side: int, other: int) -> int:
    if _parent(machine, node) == node:
        # It is in no tree (RB_CLEAR_NODE).
        return 0
    child = machine.memory.number(node + side)
    if child:
        return _outermost(machine, child, other)
    for _ in range(DEEP):
        parent = _parent(machine, node)
        if not parent or machine.memory.number(parent + side) != node:
            return parent
        node = parent
    raise ValueError("a tree without an end")


@function("struct rb_node *rb_first(const struct rb_root *root)")
def rb_first(machine: Machine, root: int) -> int:
    return _outermost(machine, machine.memory.number(root), TREE_NODE.left)


@function("struct rb_node *rb_last(const struct rb_root *root)")
def rb_last(machine: Machine, root: int) -> int:
    return _outermost(machine, machine.memory.number(root), TREE_NODE.right)


@function("struct rb_node *rb_next(const struct rb_node *node)")
def rb_next(machine: Machine, node: int) -> int:
    return _neighbour(machine, node, TREE_NODE.right, TREE_NODE.left)


@function("struct rb_node *rb_prev(const struct rb_node *node)")
def rb_prev(machine: Machine, node: int) -> int:
    return _neighbour(machine, node, TREE_NODE.left, TREE_NODE.right)


@function("struct rb_node *rb_first_postorder(const struct rb_root *root)")
def rb_first_postorder(machine: Machine, root: int) -> int:
    return _deepest(machine, machine.memory.number(root))


@function("struct rb_node *rb_next_postorder(const struct rb_node *node)")
def rb_next_postorder(machine: Machine, node: int) -> int:
    parent = _parent(machine, node) if node else 0
    if parent and machine.memory.number(parent + TREE_NODE.left) == node:
        right = machine.memory.number(parent + TREE_NODE.right)
        if right:
            return _deepest(machine, right)
    return parent


def _deepest(machine: Machine, node: int) -> int:
    for _ in range(DEEP):
        following = node and (
            machine.memory.number(node + TREE_NODE.left)
            or machine.memory.number(node + TREE_NODE.right)
        )
        if not following:
            return node
        node = following
    raise ValueError("a tree without an end")


@function("void rb_erase(struct rb_node *node, struct rb_root *root)")
def rb_erase(machine: Machine, node: int, root: int) -> None:
    memory = machine.memory
    left, right = memory.number(node + TREE_NODE.left), memory.number(node + TREE_NODE.right)
    if left and right:
        # The left subtree goes below the smallest node of the right one.
        smallest = _outermost(machine, right, TREE_NODE.left)
        memory.put(smallest + TREE_NODE.left, left)
        memory.put(left, smallest | memory.number(left) & 3)
    child, parent = right or left, _parent(machine, node)
    if child:
        memory.put(child, parent | memory.number(child) & 3)
    if not parent:
        memory.put(root, child)
    elif memory.number(parent + TREE_NODE.left) == node:
        memory.put(parent + TREE_NODE.left, child)
    else:
        memory.put(parent + TREE_NODE.right, child)


class Numbers(KeptByAddress[dict[int, int]]):
    """The contents of each ``idr``, ``ida`` and ``xarray``."""


def _numbers(machine: Machine, which: int) -> dict[int, int]:
    return machine.state(Numbers).by_address.setdefault(which, {})


def _free_number(taken: dict[int, int], least: int, most: int) -> int:
    """Return the lowest number that is free, or an errno below zero."""
    number = least
    while number in taken:
        number += 1
    return number if number <= most else -errno.ENOSPC


@function("int idr_alloc(struct idr *idr, void *ptr, int start, int end, gfp_t gfp)")
def idr_alloc(machine: Machine, idr: int, pointer: int, start: int, end: int, _gfp: int) -> int:
    if start < 0:
        return -errno.EINVAL
    taken = _numbers(machine, idr)
    number = _free_number(taken, start, end - 1 if end > 0 else _INT_MAX)
    if number >= 0:
        taken[number] = pointer
    return number


@function("int idr_alloc_cyclic(struct idr *idr, void *ptr, int start, int end, gfp_t gfp)")
def idr_alloc_cyclic(
    machine: Machine, idr: int, pointer: int, start: int, end: int, gfp: int
) -> int:
    """Go on behind the number that was given last, and begin anew where there is none."""
    following = machine.memory.number(idr + IDR.following, 4, signed=True)
    number = idr_alloc(machine, idr, pointer, max(start, following), end, gfp) or 0
    if number == -errno.ENOSPC and following > start:
        number = idr_alloc(machine, idr, pointer, start, end, gfp) or 0
    if number >= 0:
        machine.memory.put(idr + IDR.following, number + 1, 4)
    return number


@function(
    "int idr_alloc_u32(struct idr *idr, void *ptr, u32 *nextid, unsigned long max, gfp_t gfp)"
)
def idr_alloc_u32(
    machine: Machine, idr: int, pointer: int, following: int, most: int, _gfp: int
) -> int:
    taken = _numbers(machine, idr)
    number = _free_number(taken, machine.memory.number(following, 4), most)
    if number < 0:
        return number
    taken[number] = pointer
    machine.memory.put(following, number, 4)
    return 0


@function(
    "void *idr_find(const struct idr *idr, unsigned long id)",
    "void *xa_load(struct xarray *xa, unsigned long index)",
    "void *radix_tree_lookup(const struct radix_tree_root *root, unsigned long index)",
)
def idr_find(machine: Machine, idr: int, number: int) -> int:
    return _numbers(machine, idr).get(number, 0)


@function(
    "void *idr_remove(struct idr *idr, unsigned long id)",
    "void *xa_erase(struct xarray *xa, unsigned long index)",
    "void *__xa_erase(struct xarray *xa, unsigned long index)",
    "void *radix_tree_delete(struct radix_tree_root *root, unsigned long index)",
)
def idr_remove(machine: Machine, idr: int, number: int) -> int:
    _unmark(machine, idr, number)
    return _numbers(machine, idr).pop(number, 0)


@function("void *idr_replace(struct idr *idr, void *ptr, unsigned long id)")
def idr_replace(machine: Machine, idr: int, pointer: int, number: int) -> int:
    taken = _numbers(machine, idr)
    if number not in taken:
        return -errno.ENOENT
    old, taken[number] = taken[number], pointer
    return old


@function("void *idr_get_next(struct idr *idr, int *nextid)")
def idr_get_next(machine: Machine, idr: int, following: int) -> int:
    least = machine.memory.number(following, 4)
    found = sorted(each for each in _numbers(machine, idr) if each >= least)
    if not found:
        return 0
    machine.memory.put(following, found[0], 4)
    return _numbers(machine, idr)[found[0]]


@function(
    "int idr_for_each(const struct idr *idr, int (*fn)(int id, void *p, void *data), void *data)"
)
def idr_for_each(machine: Machine, idr: int, visitor: int, data: int) -> int:
    for number, pointer in sorted(_numbers(machine, idr).items()):
        code = machine.call(visitor, number, pointer, data)
        if code:
            return code
    return 0


@function(
    "void idr_destroy(struct idr *idr)",
    "void ida_destroy(struct ida *ida)",
    "void xa_destroy(struct xarray *xa)",
)
def idr_destroy(machine: Machine, idr: int) -> None:
    for each in range(idr, idr + 1 + _MARKS):
        machine.state(Numbers).by_address.pop(each, None)


@function("int ida_alloc_range(struct ida *ida, unsigned int min, unsigned int max, gfp_t gfp)")
def ida_alloc_range(machine: Machine, ida: int, least: int, most: int, _gfp: int) -> int:
    taken = _numbers(machine, ida)
    number = _free_number(taken, least, min(most, _INT_MAX))
    if number >= 0:
        taken[number] = 1
    return number


@function("void ida_free(struct ida *ida, unsigned int id)")
def ida_free(machine: Machine, ida: int, number: int) -> None:
    if _numbers(machine, ida).pop(number, None) is None:
        said = f"ida_free called for id={number} which is not allocated.\n"
        machine.log.write(Level.WARNING, said)


@function(
    "void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)",
    "void *__xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)",
)
def xa_store(machine: Machine, array: int, index: int, entry: int, _gfp: int) -> int:
    entries = _numbers(machine, array)
    old = entries.pop(index, 0)
    if entry:
        entries[index] = entry
    else:
        _unmark(machine, array, index)
    return old


def _marked(machine: Machine, array: int, mark: int) -> dict[int, int]:
    """Return the indices with a mark; they are kept by addresses within the structure."""
    return _numbers(machine, array + 1 + mark % _MARKS)


def _unmark(machine: Machine, array: int, index: int) -> None:
    for each in range(array + 1, array + 1 + _MARKS):
        machine.state(Numbers).by_address.get(each, {}).pop(index, None)


@function("bool xa_get_mark(struct xarray *xa, unsigned long index, unsigned int mark)")
def xa_get_mark(machine: Machine, array: int, index: int, mark: int) -> int:
    return int(index in _marked(machine, array, mark))


@function("void xa_set_mark(struct xarray *xa, unsigned long index, unsigned int mark)")
def xa_set_mark(machine: Machine, array: int, index: int, mark: int) -> None:
    if index in _numbers(machine, array):
        _marked(machine, array, mark)[index] = 1


@function("void xa_clear_mark(struct xarray *xa, unsigned long index, unsigned int mark)")
def xa_clear_mark(machine: Machine, array: int, index: int, mark: int) -> None:
    _marked(machine, array, mark).pop(index, None)


@function(
    "int __xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)",
    "int radix_tree_insert(struct radix_tree_root *root, unsigned long index, void *item)",
)
def xa_insert(machine: Machine, array: int, index: int, entry: int, *_gfp: int) -> int:
    entries = _numbers(machine, array)
    if index in entries:
        return -errno.EEXIST if not _gfp else -errno.EBUSY
    entries[index] = entry
    return 0


@function(
    "int __xa_alloc(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit, gfp_t gfp)"
)
def xa_alloc(machine: Machine, array: int, number: int, entry: int, limit: int, *_rest: int) -> int:
    """The limit is ``struct xa_limit``: the highest number and the lowest."""
    entries = _numbers(machine, array)
    found = _free_number(entries, limit >> 32, limit & 0xFFFFFFFF)
    if found < 0:
        return -errno.EBUSY
    entries[found] = entry
    machine.memory.put(number, found, 4)
    return 0


@function(
    "int __xa_alloc_cyclic(struct xarray *xa, u32 *id, void *entry, struct xa_limit limit, u32 *next, gfp_t gfp)"
)
def xa_alloc_cyclic(
    machine: Machine, array: int, number: int, entry: int, limit: int, following: int, _gfp: int
) -> int:
    """Go on behind the number that was given last; 1 where it begins anew."""
    least, most = limit >> 32, limit & 0xFFFFFFFF
    start = max(least, machine.memory.number(following, 4))
    result = xa_alloc(machine, array, number, entry, start << 32 | most) or 0
    if result < 0 and start > least:
        result = xa_alloc(machine, array, number, entry, limit) or 1
    if result >= 0:
        machine.memory.put(following, machine.memory.number(number, 4) + 1, 4)
    return result


def _find(
    machine: Machine, array: int, index: int, most: int, which: int, *, after: bool = False
) -> int:
    at = machine.memory.number(index)
    entries = _numbers(machine, array)
    indices = entries if which == _PRESENT else _marked(machine, array, which)
    found = min((each for each in indices if at + after <= each <= most), default=None)
    if found is None:
        return 0
    machine.memory.put(index, found)
    return entries[found]


@function(
    "void *xa_find(struct xarray *xa, unsigned long *index, unsigned long max, unsigned int filter)"
)
def xa_find(machine: Machine, array: int, index: int, most: int, which: int) -> int:
    return _find(machine, array, index, most, which)


@function(
    "void *xa_find_after(struct xarray *xa, unsigned long *index, unsigned long max, unsigned int"
    " filter)"
)
def xa_find_after(machine: Machine, array: int, index: int, most: int, which: int) -> int:
    return _find(machine, array, index, most, which, after=True)


@function("void list_sort(void *priv, struct list_head *head, list_cmp_func_t cmp)")
def list_sort(machine: Machine, private: int, head: int, compare: int) -> None:
    """Insertion sort, stable as the kernel's is."""
    memory = machine.memory
    nodes, at = list[int](), memory.number(head + LIST_HEAD.next)
    while at != head and len(nodes) < DEEP:
        place = len(nodes)
        while place and machine.call(compare, private, nodes[place - 1], at) > 0:
            place -= 1
        nodes.insert(place, at)
        at = memory.number(at + LIST_HEAD.next)
    ring = [head, *nodes, head]
    for one, other in pairwise(ring):
        memory.put(one + LIST_HEAD.next, other)
        memory.put(other + LIST_HEAD.previous, one)
