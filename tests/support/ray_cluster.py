"""A real Ray cluster of three nodes on this machine, over the loopback: one processor each."""

import os
import shutil
import signal
import tempfile
from typing import Any

__all__ = ["ThreeNodes"]

_STORE = 80 * 2**20
_SETTINGS = {
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 4,
    "health_check_initial_delay_ms": 0,
}


class ThreeNodes:
    """Three nodes; one that is killed is replaced by `mend`."""

    def __init__(self) -> None:
        # So that Ray takes 127.0.0.1 for this machine's address, as it does on a Mac; read when Ray is imported.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray._private import ray_constants
        from ray.cluster_utils import Cluster

        ray_constants.ENABLE_RAY_CLUSTER = False
        self._folder = tempfile.mkdtemp(prefix="ray-")
        self._cluster = Cluster()
        self._add(_system_config=_SETTINGS)
        self.mend()
        self.address = self._cluster.address

    def mend(self) -> None:
        """Have three nodes."""
        while len(self._cluster.list_all_nodes()) < 3:
            self._add()

    def kill(self, node_id: str) -> None:
        """Kill a node with all its processes; not the one that the tests are connected to."""
        (node,) = [node for node in self._cluster.worker_nodes if node.node_id == node_id]
        self._cluster.remove_node(node, allow_graceful=False)

    def expendable(self) -> str:
        """A node that can be killed."""
        return next(iter(self._cluster.worker_nodes)).node_id

    def stop(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def is_expendable(self, node_id: str) -> bool:
        """Whether a node can be killed: the first is the cluster's head, which the tests are connected to."""
        return any(node.node_id == node_id for node in self._cluster.worker_nodes)

    def _add(self, **options: Any) -> None:
        before = signal.getsignal(signal.SIGTERM)
        try:
            self._cluster.add_node(
                num_cpus=1,
                object_store_memory=_STORE,
                include_dashboard=False,
                node_ip_address="127.0.0.1",
                temp_dir=self._folder,
                **options,
            )
        finally:
            signal.signal(signal.SIGTERM, before)  # A node takes it for itself, and other tests need it.
