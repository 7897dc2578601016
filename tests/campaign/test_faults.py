"""What becomes of a campaign whose processes are killed: the real ones, by their ids."""

import json
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.campaign.tiny import notes
from tests.nodes import end, free_port, marked

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
TASKS = ("libero_goal/0", "libero_goal/1")


@contextmanager
def campaign(root, *arguments, **variables):
    """The driver, as a process of its own, with these environment variables."""
    command = [sys.executable, "-m", "tests.campaign.tiny", *arguments]
    settings = [f"output_dir={root}", "name=tiny", f"task={','.join(TASKS)}"]
    quiet = {"OMP_NUM_THREADS": "1", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    environment = {**os.environ, **quiet, **variables}
    with (root / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *settings], cwd=ROOT, stdout=log, stderr=log, env=environment
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return found


def run_to_the_end(root, *arguments):
    with campaign(root, *arguments) as process:
        assert process.wait(timeout=400) == 0, (root / "log").read_text()


def state(root, task=TASKS[0]):
    path = root / "campaigns/tiny/trials" / f"{task.replace('/', '-')}.json"
    return json.loads(path.read_text())


def assert_complete(root, retries=0):
    """Every task is done once: one state, one expert, one run in MLflow, no iteration twice."""
    for task in TASKS:
        assert state(root, task)["state"] == "finished", state(root, task)
        expert = root / "experts" / task / "tiny"
        assert (expert / "weights.safetensors").exists()
        assert [path.name for path in expert.parent.iterdir() if "warm" not in path.name] == [
            "tiny"
        ]
        stages = [what for what, _ in notes(root, task) if "iteration" not in what]
        assert stages[:3] == ["demonstrations", "warm_start", "evaluate"]
        assert stages.count("demonstrations") == 1
    assert sum(state(root, task)["retries"] for task in TASKS) == retries
    with closing(sqlite3.connect(root / "campaigns/tiny/mlflow.db")) as database:
        runs = database.execute("select name, status from runs").fetchall()
    assert sorted(runs) == [(task, "FINISHED") for task in TASKS]


def iterations(root, task=TASKS[0]):
    return [what for what, _ in notes(root, task) if "iteration" in what]


def test_a_killed_driver(tmp_path):
    with campaign(tmp_path, "algo.num_iterations=30") as process:
        wait_for(lambda: "iteration3" in iterations(tmp_path))
        process.kill()
    trials = {int(pid) for task in TASKS for _, pid in notes(tmp_path, task)}
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in trials))
    assert state(tmp_path)["state"] == "running"
    run_to_the_end(tmp_path, "algo.num_iterations=30")
    assert_complete(tmp_path)
    done = iterations(tmp_path)
    assert len(set(done)) == 30
    assert len(done) <= 31  # at most the iteration that was under way is repeated
    before = [notes(tmp_path, task) for task in TASKS]
    run_to_the_end(tmp_path, "algo.num_iterations=30")
    assert [notes(tmp_path, task) for task in TASKS] == before
    assert state(tmp_path)["env_steps"] == 3000


def test_a_killed_trial(tmp_path):
    with campaign(tmp_path, "algo.num_iterations=30") as process:
        wait_for(lambda: "iteration3" in iterations(tmp_path))
        os.kill(int(notes(tmp_path)[-1][1]), signal.SIGKILL)
        assert process.wait(timeout=400) == 0
    assert_complete(tmp_path, retries=1)
    assert len(set(iterations(tmp_path))) == 30
    assert len(iterations(tmp_path)) <= 31
    assert "died, is started again task=libero_goal/0" in (tmp_path / "log").read_text()


def children_of(pid):
    """Processes with this parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                yield int(path.parent.name)
        except OSError:  # it ended while we looked
            continue


def actors(pid, kind):
    """Ids of the Ray actors of this kind below a process."""
    found = []
    for child in children_of(pid):
        try:
            name = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        found += [child] if kind in name else actors(child, kind)
    return found


@pytest.mark.parametrize(
    ("kind", "settings", "retries"),
    [
        (b"EpisodeBatchEnvRunner", ["algo.num_env_runners=2"], 0),  # the other one goes on
        (b"_WrappedExecutable", ["algo.num_learners=1"], 1),  # what RLlib calls a learner
    ],
)
def test_a_killed_actor_of_an_expert_that_learns(tmp_path, kind, settings, retries):
    with campaign(tmp_path, "toy", "algo.num_iterations=12", *settings) as process:
        wait_for(lambda: "iteration2" in iterations(tmp_path))
        os.kill(actors(process.pid, kind)[0], signal.SIGKILL)
        assert process.wait(timeout=400) == 0
    assert_complete(tmp_path, retries)
    for task in TASKS:
        path = tmp_path / "experts" / task / "tiny" / "learning_curve.json"
        assert len(json.loads(path.read_text())) == 12
        assert state(tmp_path, task)["evaluated"]


@pytest.fixture
def start_node():
    """Starts Ray's processes of one more node, the head first; returns the node's mark."""
    temporary = Path("/tmp") / f"ray-{secrets.token_hex(4)}"  # sockets have short paths only
    address, marks = f"127.0.0.1:{free_port()}", []

    def start(num_cpus):
        role = [f"--address={address}"]
        if not marks:
            role = ["--head", f"--port={address.split(':')[1]}", "--include-dashboard=false"]
            role += [f"--ray-client-server-port={free_port()}", f"--temp-dir={temporary}"]
        marks.append(f"RL_DATAGEN_TEST_NODE={secrets.token_hex(8)}")
        command = [Path(sys.executable).with_name("ray"), "start", *role, f"--num-cpus={num_cpus}"]
        command += ["--node-ip-address=127.0.0.1", "--min-worker-port=0", "--max-worker-port=0"]
        command += [f"--dashboard-agent-listen-port={free_port()}"]
        subprocess.run(
            command,
            env={**os.environ, "RAY_AUTH_MODE": "disabled", **dict([marks[-1].split("=")])},
            check=True,
            capture_output=True,
            timeout=120,
        )
        return marks[-1]

    start.address = address
    yield start
    for mark in reversed(marks):
        end(mark)
    shutil.rmtree(temporary, ignore_errors=True)


def test_a_lost_node(tmp_path, start_node):
    start_node(0)
    nodes = [start_node(2), start_node(2)]
    variables = {"RAY_ADDRESS": start_node.address, "RAY_AUTH_MODE": "disabled"}
    with campaign(tmp_path, "algo.num_iterations=30", **variables) as process:
        wait_for(lambda: "iteration3" in iterations(tmp_path))
        trial = int(notes(tmp_path)[-1][1])
        (lost,) = (mark for mark in nodes if trial in marked(mark))
        end(lost, [(signal.SIGKILL, 5)])
        start_node(2)
        assert process.wait(timeout=400) == 0, (tmp_path / "log").read_text()
    assert_complete(tmp_path, retries=1)
    assert len(set(iterations(tmp_path))) == 30
    assert len(iterations(tmp_path)) <= 31
