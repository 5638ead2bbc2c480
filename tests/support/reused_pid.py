# SPDX-License-Identifier: Apache-2.0
"""The first process of a pid namespace: finds out who connected once the pid is another's.

It prints what ``peer_of`` says, as JSON, and whether another process really had the number. With
the argument "old" the kernel has no descriptor of a peer's process.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from kmodd.host import peers
from kmodd.host.peers import peer_of
from tests.support.identities import UNKNOWN_OPTION, connected_as

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def main(kernel: str) -> None:
    """Have a process connect and end, and another one have its number."""
    if kernel == "old":
        peers.SO_PEERPIDFD = UNKNOWN_OPTION
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        os.chmod(directory, 0o711)
        path = Path(directory, "s")
        listening.bind(str(path))
        path.chmod(0o666)
        listening.listen()
        with connected_as(path, 3001, (5001,), stays=False) as (_, pid):
            LAST_PID.write_text(str(pid - 1))
            with subprocess.Popen(["sleep", "60"]) as other:
                taken, _ = listening.accept()
                with taken:
                    peer = peer_of(taken)
                other.kill()
    found = asdict(peer) | {"gids": sorted(peer.gids), "reused": other.pid == pid}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
