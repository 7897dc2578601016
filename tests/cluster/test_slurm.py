"""``cluster/slurm.sh`` under a real Slurm: two of its nodes on this machine.

Needs Debian's packages slurm-wlm and munge, and root; skipped elsewhere.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.nodes import free_port

SCRIPT = Path(__file__).parents[2] / "cluster/slurm.sh"
DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
CryptoType=crypto/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
COUNT = """
import os, sys, time, ray
ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
wanted, begin = int(sys.argv[1]), time.monotonic()
while sum(node["Alive"] for node in ray.nodes()) != wanted and time.monotonic() < begin + 90:
    time.sleep(0.5)
print("alive", sum(node["Alive"] for node in ray.nodes()), flush=True)
time.sleep(float(sys.argv[2]))
"""


def test_a_job_without_a_command_is_told_what_is_missing():
    done = subprocess.run(["bash", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 2
    assert "say what to run" in done.stderr


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Starts the daemons and puts them where ``sbatch`` finds them."""
    if os.geteuid() or not all(map(shutil.which, DAEMONS)):
        pytest.skip("needs Slurm, munge and root")
    # Sockets have short paths only.
    root = Path(f"/tmp/slurm-{os.getpid()}")
    for folder in ("munge", "state"):
        (root / folder).mkdir(parents=True)
    values = {"host": socket.gethostname().split(".")[0], "root": root}
    ports = [free_port() for _ in range(3)]
    (root / "slurm.conf").write_text(CONFIG.format(ports=ports, **values))
    key = root / "munge/key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    (root / "munge").chmod(0o700)
    monkeypatch.setenv("SLURM_CONF", str(root / "slurm.conf"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    files = ["key-file=key", "socket=socket", "pid-file=pid", "log-file=log", "seed-file=seed"]
    options = [f"--{option.replace('=', f'={root}/munge/')}" for option in files]
    commands = [["munged", "--foreground", "--force", *options], ["slurmctld", "-D"]]
    commands += [["slurmd", "-D", "-N", name] for name in ("n1", "n2")]
    daemons = []
    for command in commands:
        with (root / f"{len(daemons)}.out").open("wb") as log:
            daemons.append(subprocess.Popen(command, stdout=log, stderr=log))
        time.sleep(1)
    yield lambda *arguments: succeed(tmp_path, *arguments)
    for daemon in reversed(daemons):
        daemon.terminate()
        daemon.wait()
    shutil.rmtree(root)


def succeed(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(condition, seconds=180):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.autoscaling
@pytest.mark.timeout(900)
def test_jobs_have_their_own_ray_and_end_in_order(slurm, tmp_path):
    (tmp_path / "count.py").write_text(COUNT)

    def submit(name, nodes, *command):
        options = (f"--output={name}", f"--nodes={nodes}", "--cpus-per-task=1")
        return slurm("sbatch", "--parsable", *options, str(SCRIPT), *command).strip()

    def output(name):
        path = tmp_path / name
        return path.read_text() if path.exists() else ""

    submit("both", 2, "python", "count.py", "2", "0")
    until(lambda: "alive 2" in output("both"))
    until(lambda: not slurm("squeue", "--noheader"))
    for name in ("first", "second"):  # at the same time, on one machine
        submit(name, 1, "python", "count.py", "1", "60")
    until(lambda: "alive 1" in output("first") and "alive 1" in output("second"))
    until(lambda: not slurm("squeue", "--noheader"))
    amplify = ("rl-datagen", "demos", "amplify", "task=libero_object/0", "num_episodes=500")
    job = submit("stopped", 1, *amplify)
    until(lambda: "begins" in output("stopped"))
    slurm("scancel", "--signal=TERM", "--batch", job)
    until(lambda: not slurm("squeue", "--noheader"))
    assert "Stopped by SIGTERM. What is finished is stored" in output("stopped")
    assert not Path(f"/tmp/ray-{job}").exists()
