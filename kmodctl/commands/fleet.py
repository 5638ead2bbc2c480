# SPDX-License-Identifier: Apache-2.0
"""fleet: keep wishes for many machines, in etcd

What many machines are to have of modules is in etcd, and an agent beside each machine's daemon
sees to it that the daemon has it; kmodd-fleet(7) tells of all that. FILE is one of wishes
(kmodd-state(7)) which may have a table [selector]: release, architecture and labels say for which
nodes it is meant. Its wishes are called after it, or by --name.

'apply FILE' has all these nodes have it at once, and 'apply --remove NAME' takes it away. 'rollout
start FILE' has them have it one after the other: in --stages of so many percent of the nodes, at
most --places of them on their way or not as wished at a time, and no further one once more than
--max-failures fail. It looks after that until it is over, and so does 'rollout watch NAME' from
anywhere; 'rollout pause NAME', 'resume' and 'undo' do what they say.

'diff FILE' tells what a file would change, and for which nodes; 'diff' what is not as wished, node
by node. 'nodes [PATTERN...]' and 'status' show how nodes, wishes and rollouts fare, 'explain NODE
MODULE' which wish counts there, and what the node says of it.

'agent' runs beside a daemon until a signal ends it, and has that daemon wish for what etcd says, as
a steward (kmodd.toml(5)). kmodd-fleet.service is one.

How etcd is reached is in fleet.toml: --config, else $KMODD_FLEET, else ~/.config/kmodd/fleet.toml,
else /etc/kmodd/fleet.toml, and the options that follow replace what it says.
"""

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

ACTIONS = {
    "apply": (1, 1, "a FILE, or - for stdin"),
    "diff": (0, 1, "at most a FILE, or - for stdin"),
    "rollout": (2, 2, "start FILE, or pause, resume, undo or watch and a NAME"),
    "nodes": (0, 100, "at most 100 patterns"),
    "status": (0, 0, "no other word"),
    "explain": (2, 2, "a NODE and a MODULE"),
    "agent": (0, 0, "no other word"),
}
"""How many words each action takes, and which."""

ROLLOUTS = ("start", "pause", "resume", "undo", "watch")
"""What can be done with a rollout."""

TAKES_FILE = (["apply"], ["diff"], ["rollout", "start"])
"""The words behind which a file stands."""


def configure(parser: Parser) -> None:
    """Add the arguments of fleet."""
    add = parser.add_argument
    add("--config", metavar="FILE", help="where the fleet's etcd is")
    add(
        "--etcd",
        dest="endpoints",
        metavar="URL",
        action="append",
        help="a member of etcd, https://HOST:PORT; may be given again",
    )
    add("--authority", metavar="FILE", help="who signs the members' certificates (PEM)")
    add("--certificate", metavar="FILE", help="the own certificate (PEM)")
    add("--key", metavar="FILE", help="its key (PEM)")
    add("--prefix", metavar="TEXT", help="what all keys begin with (default: /kmodd)")
    add(
        "--name",
        metavar="NAME",
        help="what to call the wishes (default: the file's name without .toml)",
    )
    add("-n", "--dry-run", action="store_true", help="apply: change nothing")
    add("--remove", action="store_true", help="apply: take the wishes away")
    add(
        "--stages",
        metavar="PERCENT,...",
        type=_stages,
        help="rollout start: the stages, the last of which is 100 (default: 1,10,50,100)",
    )
    add(
        "--places",
        metavar="N",
        type=_count,
        help="rollout start, resume: nodes that may be on their way, or not as wished, at a time"
        " (default: one more than may fail)",
    )
    add(
        "--max-failures",
        metavar="N",
        type=_count,
        help="rollout start, resume: nodes that may fail (default: 0)",
    )
    add("--detach", action="store_true", help="rollout: do not stay until it is over")
    add("--node", metavar="NAME", help="agent: the node's name (default: the host's)")
    add("--directory", metavar="DIR", help="agent: where it keeps what it knows of etcd")
    add("action", choices=tuple(ACTIONS), metavar="ACTION", help="what to do")
    add("words", metavar="WORD", nargs="*", help="what the action takes")


def check(options: CommandOptions, output: Output) -> bool:
    """Tell whether an action has the words that it takes."""
    least, most, words = ACTIONS[options.action]
    is_known = options.action != "rollout" or "".join(options.words[:1]) in ROLLOUTS
    if least <= len(options.words) <= most and is_known:
        return True
    output.error(f"{options.action} takes {words}")
    return False


def is_private(_options: CommandOptions) -> bool:
    """Tell that etcd is asked, and no daemon."""
    return True


def run_private(options: CommandOptions, output: Output) -> int:
    """Do what the action says; returns the exit status."""
    import asyncio
    import logging
    import os

    from kmodctl.fleet.wish_file import WishFileError

    # What goes wrong with a connection is in the error of who asked.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(_run(options, output))
    except WishFileError as error:
        for line in str(error).splitlines():
            output.error(line)
        output.failure(error)
        return 1


async def _run(options: CommandOptions, output: Output) -> int:
    from kmodctl.fleet.actions import Fleet, action_named
    from kmodctl.fleet.etcd import TIMEOUT, Etcd
    from kmodctl.fleet.settings import read_settings

    settings = read_settings(
        options.config,
        options.endpoints or (),
        options.prefix,
        authority=options.authority,
        certificate=options.certificate,
        key=options.key,
    )
    etcd = Etcd(settings.endpoints, settings.tls, timeout=TIMEOUT)
    try:
        fleet = Fleet(etcd, settings.keys, settings.agent)
        return await action_named(options.action).run(options, fleet, output)
    finally:
        await etcd.close()


def _count(text: str) -> int:
    """Return a number that is not below 0; raises ValueError."""
    count = int(text)
    if not 0 <= count <= 10_000:
        raise ValueError(text)
    return count


def _stages(text: str) -> tuple[int, ...]:
    """Return percentages; raises ValueError."""
    return tuple(map(_count, text.split(",")))
