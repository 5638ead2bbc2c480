# SPDX-License-Identifier: Apache-2.0
"""metrics: print what the daemon has counted and measured

It is in OpenMetrics, as Prometheus and others read it: loads and failures, how long they took and
waited, holds, rebuilds, connections and denials, the kernel's modules and taints, and what the
daemon itself takes. The setting metrics_file has the daemon write it into a file.
"""

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api


def configure(_parser: Parser) -> None:
    """There is nothing to choose."""


def run(_options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the metrics."""
    from kmodd.messages.daemon_service import GetMetricsRequest

    answer = api.daemon.get_metrics(GetMetricsRequest())
    if output.json:
        output.message(answer)
        return 0
    from kmodd.messages.exposition import open_metrics

    for line in open_metrics(answer.families).splitlines():
        output.data(line)
    return 0
