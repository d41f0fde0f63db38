"""Starting Ray the way a library should: no dashboard, no usage reports, no surprises about threads."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import grpc
import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from assistmimic_env.errors import ConfigError


@contextmanager
def ray_session(*, num_cpus: int, learner_threads: int) -> Iterator[None]:
    """Use the Ray cluster of `RAY_ADDRESS`, or one on this machine for as long as the context lasts.

    Args:
        num_cpus: Processes that must fit: env runners, remote learners and, under Tune, the trial. A smaller machine
            shares its cores.
        learner_threads: Torch threads of this process. More than the cores that are idle while the learner works slow
            it down badly, because small operations wait for one another.
    """
    torch.set_num_threads(learner_threads)
    started = start_ray(num_cpus=num_cpus)
    try:
        yield
    finally:
        if started:
            ray.shutdown()


def start_ray(*, num_cpus: int) -> bool:
    """Connect to Ray; whether this call did (and its caller has to shut it down)."""
    if ray.is_initialized():
        return False
    quiet_logs()
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _connect(address)
        _require_cpus(num_cpus, address)
        return True
    cores = max(os.cpu_count() or 1, num_cpus)
    ray.init(
        address="local",
        num_cpus=cores,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=object_store_bytes(),
    )
    return True


def _connect(address: str) -> None:
    """Use a running cluster; one that does not answer is an error of the user."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "//" not in host and (problem := _unreachable(host, int(port))):
        raise ConfigError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({problem}). Start one with `ray start --head`, "
            "correct the address, or unset RAY_ADDRESS to use this machine alone."
        )
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ConfigError(
            f"cannot use the Ray cluster at RAY_ADDRESS={address}: {reason} Is it Ray, of the same version "
            f"({ray.__version__}) and Python, that listens there?"
        ) from error


def _unreachable(host: str, port: int) -> str | None:
    """Why no Ray answers at an address; asked here because Ray itself tries for minutes."""
    try:
        socket.create_connection((host, port), timeout=10.0).close()
    except OSError as error:
        return str(error)
    channel = grpc.insecure_channel(f"{host}:{port}")
    try:
        grpc.channel_ready_future(channel).result(timeout=10.0)
    except grpc.FutureTimeoutError:
        return "another program uses this port"
    finally:
        channel.close()
    return None


def _require_cpus(num_cpus: int, address: str) -> None:
    """Refuse to wait for CPUs that the cluster does not have."""
    found = int(ray.cluster_resources().get("CPU", 0))
    if found < num_cpus:
        ray.shutdown()
        raise ConfigError(
            f"{num_cpus} env runners and learners need a CPU each, the cluster at {address} has {found}. Add nodes, "
            "or ask for fewer: --env-runners, --learners."
        )


def require_files(paths: Sequence[str]) -> None:
    """Make sure that every node of the cluster can read some files, before env runners and learners need them.

    Args:
        paths: Absolute paths.

    Raises:
        ConfigError: A file is missing on a node; all of them are named.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    look = ray.remote(num_cpus=0)(_missing)
    answers = [
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(list(paths))
        for node in nodes
    ]
    missing = {
        f"{path} on {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        for node, absent in zip(nodes, ray.get(answers), strict=True)
        for path in absent
    }
    if missing:
        raise ConfigError(
            f"cannot start: not readable are {'; '.join(sorted(missing))}. Every node reads the policies to start "
            "from: put them on shared storage, or copy them to the same path on every node."
        )


def _missing(paths: Sequence[str]) -> list[str]:
    """Those of the files that this node cannot read."""
    return [path for path in paths if not os.access(path, os.R_OK)]


def object_store_bytes() -> int:
    """Size of the object store: what is free in shared memory, up to 1 GiB, at least Ray's minimum."""
    try:
        status = os.statvfs("/dev/shm")  # noqa: S108  (shared memory, not a temporary file)
    except OSError:
        return 2**28
    free = status.f_bavail * status.f_frsize
    return int(min(2**30, max(0.8 * free, 80 * 2**20)))


def quiet_logs() -> None:
    """Keep Ray's notices about its own deprecations off the terminal."""
    warnings.filterwarnings("ignore", module=r"ray(\..*)?$")
    for name in ("ray", "ray.rllib", "ray.tune", "ray._common.deprecation"):
        logging.getLogger(name).setLevel(logging.ERROR)
