"""A Ray cluster of several nodes on this machine, as a script: prints its address, then does what it reads.

    python -m tests.ray_cluster NODES

Reads lines: `kill` ends a node at random (SIGKILL) and adds another; answers each with a line. The end of
input ends the cluster.
"""

from __future__ import annotations

import os
import random
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def main(count: int) -> None:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1) for _ in range(count)]
    print(cluster.address, flush=True)
    chosen = random.Random(0)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(chosen.randrange(len(nodes))), allow_graceful=False)
        nodes.append(cluster.add_node(num_cpus=1, wait=False))
        print("done", flush=True)
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(int(sys.argv[1]))
