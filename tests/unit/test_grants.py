# SPDX-License-Identifier: Apache-2.0
"""Grants and identities: whom a rule fits, and what a control group is named for."""

import grp
import os
import pwd

import pytest

from kmodd.access.caller import Caller, Role
from kmodd.access.grants import Grant, Grants, has_list
from kmodd.access.peer import Peer, owner_of

DOCKER = "8d8a64ff18a9d5a8c7cdae5b6e2c5f4a8d8a64ff18a9d5a8c7cdae5b6e2c5f4a"


def peer(uid: int = 3001, *gids: int, pid: int = 100, unit: str = "", container: str = "") -> Peer:
    return Peer(
        uid=uid,
        gids=frozenset(gids or (uid,)),
        pid=pid,
        unit=unit,
        container=container,
        is_contained=bool(container),
    )


def role_of(
    found: Peer, *grants: Grant, most: Role = Role.ADMIN, default: Role = Role.NONE
) -> Role:
    return Grants(grants).caller("/s", most, default, found).role


def test_the_first_grant_that_fits_counts() -> None:
    grants = (
        Grant(role=Role.NONE, users=(3001,)),
        Grant(role=Role.ADMIN, groups=(4001,)),
        Grant(role=Role.OBSERVER, users=(3001, 3002)),
    )
    assert role_of(peer(3001, 4001), *grants) is Role.NONE
    assert role_of(peer(3002, 4001), *grants) is Role.ADMIN
    assert role_of(peer(3002), *grants) is Role.OBSERVER
    assert role_of(peer(3003), *grants) is Role.NONE
    assert role_of(peer(3003), *grants, default=Role.OBSERVER) is Role.OBSERVER


def test_of_each_list_one_entry_must_fit() -> None:
    grant = Grant(role=Role.OBSERVER, users=(1, 3001), groups=(4001, 4002), units=("backup.*",))
    assert role_of(peer(3001, 4002, unit="backup.service"), grant) is Role.OBSERVER
    assert role_of(peer(3002, 4002, unit="backup.service"), grant) is Role.NONE
    assert role_of(peer(3001, 4003, unit="backup.service"), grant) is Role.NONE
    assert role_of(peer(3001, 4002, unit="other.service"), grant) is Role.NONE
    assert role_of(peer(3001, 4002), grant) is Role.NONE


@pytest.mark.parametrize("pattern", ["*", "**", "[!a]*"])
def test_a_pattern_fits_no_process_that_is_in_no_unit_or_container(pattern: str) -> None:
    assert role_of(peer(), Grant(role=Role.ADMIN, units=(pattern,))) is Role.NONE
    assert role_of(peer(), Grant(role=Role.ADMIN, containers=(pattern,))) is Role.NONE


def test_a_loader_has_the_lists_of_its_grant_and_nobody_else_has_lists() -> None:
    grant = Grant(role=Role.LOADER, users=(3001,), allow=("a*",), deny=("ab",), parameters=True)
    found = Grants([grant]).caller("/s", Role.ADMIN, Role.NONE, peer())
    assert found == Caller("/s", Role.LOADER, ("a*",), ("ab",), parameters=True)
    assert found.peer == peer()
    lesser = Grants([grant]).caller("/s", Role.OBSERVER, Role.NONE, peer())
    assert lesser == Caller("/s", Role.OBSERVER)


@pytest.mark.parametrize("most", list(Role))
def test_the_role_of_the_socket_is_the_most(most: Role) -> None:
    for role in Role:
        grant = Grant(role=role, users=(3001,), allow=("*",) if has_list(role) else ())
        given = role_of(peer(), grant, most=most)
        order = tuple(Role)
        if (role, most) == (Role.LOADER, Role.STEWARD):
            assert given is Role.OBSERVER
        else:
            assert order.index(given) == min(order.index(role), order.index(most))
    assert role_of(peer(0), most=most) is most
    if has_list(most):
        for found in (peer(0), peer(3001)):
            grants = Grants([Grant(role=Role.ADMIN, users=(3001,))])
            assert grants.caller("/s", most, Role.NONE, found).allow == ("*",)
    assert role_of(peer(), most=most, default=Role.OBSERVER) is Role.OBSERVER.at_most(most)


def test_of_a_loader_and_a_steward_neither_may_do_what_the_other_may() -> None:
    may = {role: {least for least in Role if role.has(least)} for role in Role}
    assert may == {
        Role.NONE: {Role.NONE},
        Role.OBSERVER: {Role.NONE, Role.OBSERVER},
        Role.STEWARD: {Role.NONE, Role.OBSERVER, Role.STEWARD},
        Role.LOADER: {Role.NONE, Role.OBSERVER, Role.LOADER},
        Role.ADMIN: set(Role),
    }


def test_a_steward_has_a_source_of_wishes() -> None:
    for said, source in (("", "fleet"), ("site", "site")):
        grant = Grant(role=Role.STEWARD, users=(3001,), allow=("a*",), source=said)
        found = Grants([grant]).caller("/s", Role.LOADER, Role.NONE, peer())
        assert found == Caller("/s", Role.STEWARD, ("a*",), source=source)
        lesser = Grants([grant]).caller("/s", Role.OBSERVER, Role.NONE, peer())
        assert lesser == Caller("/s", Role.OBSERVER)


def test_root_and_the_daemons_user_are_admins_but_not_in_a_container() -> None:
    none = Grant(role=Role.NONE, users=(0, os.geteuid()))
    assert role_of(peer(0), none) is Role.ADMIN
    assert role_of(peer(os.geteuid()), none) is Role.ADMIN
    assert role_of(peer(0, container="web")) is Role.NONE
    allowed = Grant(role=Role.LOADER, containers=("web",), allow=("a",))
    assert role_of(peer(0, container="web"), allowed) is Role.LOADER


def test_root_whose_process_cannot_be_told_is_no_admin() -> None:
    gone = peer(0, pid=0)
    assert role_of(gone) is Role.NONE
    assert role_of(gone, default=Role.OBSERVER) is Role.OBSERVER
    assert role_of(gone, Grant(role=Role.LOADER, users=(0,), allow=("a",))) is Role.LOADER


@pytest.mark.parametrize(("units", "containers"), [(("x.service",), ()), ((), ("x",))])
def test_to_one_whose_process_cannot_be_told_no_grant_counts_from_one_for_processes_on(
    units: tuple[str, ...], containers: tuple[str, ...]
) -> None:
    def grant(role: Role, *users: int) -> Grant:
        allow = ("a",) if role is Role.LOADER else ()
        return Grant(role=role, users=users, units=units, containers=containers, allow=allow)

    gone = peer(3001, pid=0)
    before = Grant(role=Role.OBSERVER, users=(3001,))
    later = Grant(role=Role.ADMIN, users=(3001,))
    assert role_of(peer(3001), grant(Role.NONE), later) is Role.ADMIN
    assert role_of(gone, grant(Role.NONE), later) is Role.NONE
    assert role_of(gone, grant(Role.NONE), later, default=Role.OBSERVER) is Role.NONE
    assert role_of(gone, grant(Role.LOADER), later, default=Role.OBSERVER) is Role.OBSERVER
    assert role_of(gone, before, grant(Role.NONE), later) is Role.OBSERVER
    assert role_of(gone, grant(Role.NONE, 3002), later) is Role.ADMIN


def test_names_are_looked_up_and_one_that_nobody_has_fits_nobody() -> None:
    user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(os.getegid())
    known = Grants([Grant(role=Role.OBSERVER, groups=(group.gr_name,))])
    assert known.caller("/s", Role.ADMIN, Role.NONE, peer(3001, group.gr_gid)).role is Role.OBSERVER
    assert known.unknown == []
    grants = Grants([Grant(role=Role.ADMIN, users=("kmodd-nobody",), groups=("kmodd-none",))])
    assert grants.caller("/s", Role.ADMIN, Role.NONE, peer(3001)).role is Role.NONE
    assert grants.unknown == [
        "a grant is for the user 'kmodd-nobody', which is not known here",
        "a grant is for the group 'kmodd-none', which is not known here",
    ]
    both = Grants([Grant(role=Role.OBSERVER, users=("kmodd-nobody", user.pw_name, 3001))])
    assert both.caller("/s", Role.ADMIN, Role.NONE, peer(3001)).role is Role.OBSERVER


@pytest.mark.parametrize(
    ("path", "unit", "container"),
    [
        ("/", "", ""),
        ("", "", ""),
        ("/system.slice/cron.service", "cron.service", ""),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", ""),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", ""),
        # What is below a unit is whoever's it is: a user names his own what he likes.
        (
            "/user.slice/user-1000.slice/user@1000.service/backup.service",
            "user@1000.service",
            "",
        ),
        (
            f"/user.slice/user-1000.slice/user@1000.service/docker-{DOCKER}.scope",
            "user@1000.service",
            "",
        ),
        ("/system.slice/backup.service/docker/x", "backup.service", ""),
        (f"/system.slice/docker-{DOCKER}.scope", f"docker-{DOCKER}.scope", DOCKER),
        (f"/machine.slice/libpod-{DOCKER}.scope/container", f"libpod-{DOCKER}.scope", DOCKER),
        ("/machine.slice/libpod-conmon-1.scope", "libpod-conmon-1.scope", ""),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/"
            f"cri-containerd-{DOCKER}.scope",
            f"cri-containerd-{DOCKER}.scope",
            DOCKER,
        ),
        (f"/docker/{DOCKER}", f"docker/{DOCKER}", DOCKER),
        ("/docker", "docker", ""),
        (r"/machine.slice/machine-web\x2done.scope", r"machine-web\x2done.scope", "web-one"),
        ("/machine.slice/systemd-nspawn@web.service/payload", "systemd-nspawn@web.service", "web"),
        ("/lxc.payload.web/system.slice/x.service", "lxc.payload.web", "web"),
    ],
)
def test_a_control_group_is_named_for_the_outermost_unit(
    path: str, unit: str, container: str
) -> None:
    assert owner_of(path) == (unit, container)
