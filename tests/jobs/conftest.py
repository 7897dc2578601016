"""Policy servers as real processes."""

import subprocess
import sys
from pathlib import Path

import pytest


class Server:
    def __init__(self, folder, *options):
        folder.mkdir(exist_ok=True)
        script = Path(__file__).with_name("policy_server.py")
        command = [sys.executable, str(script), str(folder), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.folder = folder
        self.url = f"ws://127.0.0.1:{self.process.stdout.readline().strip()}"

    def kill(self):
        self.process.kill()  # harmless if it has died of itself
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(*options):
        servers.append(Server(tmp_path / f"server-{len(servers)}", *options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()
