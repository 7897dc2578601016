"""Pending trials bring nodes up, and idleness takes them away, with the file that users have.

The head is a child process, and what it leaves behind is found by a mark in its environment.
"""

import logging
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.nodes import end, free_port, marked

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
HEAD = "fffffffffffffffffffffffffffffffffffffffffffffffffff00000"
NUM_NODES = 3
# A node that is up is found within a second or two; starting one on a busy core takes many.
PATIENCE_S = 180

pytestmark = [pytest.mark.autoscaling, pytest.mark.timeout(600)]

_COUNT = """
import sys, time
import ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
while True:
    print("alive", sum(node["Alive"] for node in ray.nodes()) - 1, flush=True)
    time.sleep(0.5)
"""


@pytest.fixture
def cluster(tmp_path):
    """Address and environment of a head without cores, its autoscaler beside it."""
    mark = f"RL_DATAGEN_TEST_CLUSTER={secrets.token_hex(8)}"
    port = free_port()
    config = yaml.safe_load((ROOT / "cluster/local-autoscaling.yaml").read_text())
    config["provider"]["gcs_address"] = address = f"127.0.0.1:{port}"
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(config))
    environment = os.environ | {
        **dict([mark.split("=")]),
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_CLOUD_INSTANCE_ID": HEAD,
        "RAY_FAKE_CLUSTER": "1",
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
        "RAY_enable_autoscaler_v2": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TUNE_MAX_PENDING_TRIALS_PG": str(NUM_NODES),
    }
    ports = {
        "port": port,
        "ray-client-server-port": free_port(),
        "dashboard-agent-listen-port": free_port(),
        "min-worker-port": 0,
        "max-worker-port": 0,
    }
    # Sockets have short paths only, so Ray's files cannot lie in pytest's folder.
    temporary = Path("/tmp") / f"ray-{secrets.token_hex(4)}"
    command = [
        Path(sys.executable).with_name("ray"),
        "start",
        "--head",
        "--num-cpus=0",
        "--node-ip-address=127.0.0.1",
        "--include-dashboard=false",
        f"--temp-dir={temporary}",
        f"--autoscaling-config={tmp_path / 'cluster.yaml'}",
        *(f"--{name}={value}" for name, value in ports.items()),
    ]
    try:
        started = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120
        )
        assert started.returncode == 0, started.stdout + started.stderr
        yield address, environment
    finally:
        for log in (temporary / "session_latest" / "logs").glob("monitor*"):
            shutil.copy(log, tmp_path)
        end(mark)
        shutil.rmtree(temporary, ignore_errors=True)
    assert not list(marked(mark))


def test_nodes_come_with_pending_trials_and_go_when_idle(cluster, tmp_path):
    address, environment = cluster
    begin = time.monotonic()
    script = [sys.executable, str(Path(__file__).with_name("trials.py"))]
    timeline = []
    with (
        (tmp_path / "trials.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", _COUNT, address],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as counter,
    ):
        trials = None
        for line in counter.stdout:
            if not line.startswith("alive "):  # Ray reports the loss of a node here too
                continue
            seconds, count = time.monotonic() - begin, int(line.split()[1])
            if not timeline or timeline[-1] != count:
                timeline.append(count)
                logger.info("autoscaling seconds=%.0f nodes=%d", seconds, count)
            if trials is None:
                trials = subprocess.Popen(
                    [*script, address, str(tmp_path / "tune"), str(NUM_NODES)],
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            if (count == 0 and NUM_NODES in timeline) or seconds > PATIENCE_S:
                break
        counter.terminate()
        if NUM_NODES not in timeline:
            trials.kill()
        code = trials.wait(timeout=60)
    assert code == 0, f"{(tmp_path / 'trials.log').read_text()[-3000:]}; more in {tmp_path}"
    assert (timeline[0], max(timeline), timeline[-1]) == (0, NUM_NODES, 0)
