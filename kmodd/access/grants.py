# SPDX-License-Identifier: Apache-2.0
"""Grants: the rules by which one socket that is open to all gives each caller a role.

The first rule that fits decides, and no rule takes anything from root. Names of users and groups
are looked up when the rules are put in force: a directory service must not keep a caller waiting.
"""

import fnmatch
import grp
import os
import pwd
from collections.abc import Callable, Iterable

from kmodd.access.caller import Caller, Role
from kmodd.access.peer import Peer
from kmodd.records import record


@record(kw_only=True)
class Grant:
    """A rule: who is meant, and what that one may do.

    ``users`` and ``groups`` are names or numbers, ``units`` and ``containers`` patterns of what
    the caller's control group is named for. Of each list that is not empty one entry must fit.
    ``allow``, ``deny`` and ``parameters`` are for the roles loader and steward, ``source`` is for a
    steward.
    """

    role: Role
    users: tuple[str | int, ...] = ()
    groups: tuple[str | int, ...] = ()
    units: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    parameters: bool = False
    source: str = ""

    @property
    def names_nobody(self) -> bool:
        """Whether it does not say who is meant."""
        return not (self.users or self.groups or self.units or self.containers)


SOURCE = "fleet"
"""What a steward's source of wishes is called where nothing is said."""


def has_list(role: Role) -> bool:
    """Tell whether a role is for the modules of a list."""
    return role in (Role.LOADER, Role.STEWARD)


class Grants:
    """The rules in force. ``unknown`` has a line for each name that nobody has."""

    def __init__(self, grants: Iterable[Grant] = ()) -> None:
        self.unknown: list[str] = []
        self._rules = tuple(self._rule(grant) for grant in grants)

    def caller(self, socket: str, most: Role, default: Role, peer: Peer) -> Caller:
        """Return ``peer`` as a caller of ``socket``, with no more than the role ``most``.

        Root and the daemon's own user are admins where they are in no container: root in there may
        be anybody's. Who is meant by no rule has the role ``default``.

        A process that cannot be told may have been in any container or unit: it ends as soon as it
        likes. So its user is no admin for being root, and where a rule asks for what it was in, no
        later one is for it, and ``default`` is with no more than that rule gives.
        """
        if peer.uid in (0, os.geteuid()) and peer.pid and not peer.is_contained:
            return _cut(_ADMIN, most, socket, peer)
        for rule in self._rules:
            if not peer.pid and rule.asks_for_process and rule.is_for_user(peer):
                return Caller(socket, default.at_most(most).at_most(rule.grant.role), peer=peer)
            if rule.fits(peer):
                return _cut(rule.grant, most, socket, peer)
        return Caller(socket, default.at_most(most), peer=peer)

    def _rule(self, grant: Grant) -> "_Rule":
        return _Rule(
            grant,
            self._numbers("user", grant.users, lambda name: pwd.getpwnam(name).pw_uid),
            self._numbers("group", grant.groups, lambda name: grp.getgrnam(name).gr_gid),
        )

    def _numbers(
        self, what: str, names: tuple[str | int, ...], look_up: Callable[[str], int]
    ) -> frozenset[int] | None:
        """Return the numbers of users or groups, None where any will do."""
        found = set()
        for name in names:
            try:
                found.add(name if isinstance(name, int) else look_up(name))
            except KeyError:
                self.unknown.append(f"a grant is for the {what} {name!r}, which is not known here")
        return frozenset(found) if names else None


@record
class _Rule:
    """A grant with the numbers of its users and groups, None for any."""

    grant: Grant
    uids: frozenset[int] | None
    gids: frozenset[int] | None

    @property
    def asks_for_process(self) -> bool:
        """Whether it goes by what a process is in."""
        return bool(self.grant.units or self.grant.containers)

    def fits(self, peer: Peer) -> bool:
        """Tell whether ``peer`` is meant."""
        return (
            self.is_for_user(peer)
            and _is_named(peer.unit, self.grant.units)
            and _is_named(peer.container, self.grant.containers)
        )

    def is_for_user(self, peer: Peer) -> bool:
        """Tell whether the user and the groups of ``peer`` are meant."""
        return (self.uids is None or peer.uid in self.uids) and (
            self.gids is None or not self.gids.isdisjoint(peer.gids)
        )


_ADMIN = Grant(role=Role.ADMIN)


def _cut(grant: Grant, most: Role, socket: str, peer: Peer) -> Caller:
    """Return a caller with what ``grant`` gives, at most the role ``most``.

    An admin who is no more than a loader or a steward at a socket has all modules there.
    """
    role = grant.role.at_most(most)
    if not has_list(role):
        return Caller(socket, role, peer=peer)
    if grant.role is Role.ADMIN:
        return Caller(socket, role, ("*",), parameters=True, source=SOURCE, peer=peer)
    source = grant.source or (SOURCE if role is Role.STEWARD else "")
    return Caller(socket, role, grant.allow, grant.deny, grant.parameters, source, peer)


def _is_named(name: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether ``name``, which may be missing, fits one of ``patterns`` if there are any."""
    if not patterns:
        return True
    return bool(name) and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
