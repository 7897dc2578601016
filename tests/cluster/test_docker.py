"""The image's files, without an engine to build it: what they name exists, and they lint."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from rl_datagen.cli import app

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = DOCKER / "Dockerfile"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
    "hadolint"
)


def _instructions():
    """Pairs of an instruction and the rest of its line, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            yield tuple(line.split(maxsplit=1))


def _sources():
    for name, rest in _instructions():
        if name == "COPY" and "--from" not in rest:
            *sources, _ = [word for word in rest.split() if not word.startswith("--")]
            yield from sources


def test_what_the_image_copies_exists_and_is_sent_to_the_engine():
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    sources = set(_sources())
    assert sources > {"pyproject.toml", "constraints.txt", "configs", "rl_datagen"}
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in sent, source
    assert "*" in ignored


def test_the_image_runs_as_a_user_and_ends_its_children():
    instructions = list(_instructions())
    assert [rest for name, rest in instructions if name == "USER"] == ["1000"]
    assert any(name == "RUN" and "--uid 1000" in rest for name, rest in instructions)
    assert any(name == "ENTRYPOINT" and "tini" in rest for name, rest in instructions)
    (command,) = (rest for name, rest in instructions if name == "CMD")
    _, *words = yaml.safe_load(command)
    assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0


def test_both_devices_share_python_and_every_version():
    bases = [rest.split()[0] for name, rest in _instructions() if name == "FROM"]
    stages = {rest.split()[2] for name, rest in _instructions() if name == "FROM"}
    assert set(bases) - stages == {"${BASE}", "${DEVICE}"}
    assert ("ARG", "BASE=python:3.11-slim-bookworm") in list(_instructions())
    assert ("ARG", "CONSTRAINTS=constraints.txt") in list(_instructions())
    assert any('-c "${CONSTRAINTS}"' in rest for name, rest in _instructions() if name == "RUN")


def test_the_image_has_extras_that_there_are():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = DOCKERFILE.read_text()
    (default,) = re.findall(r"^ARG EXTRAS=(\S+)", text, re.MULTILINE)
    (lerobot,) = re.findall(r"^# .*--build-arg EXTRAS=(\S+)", text, re.MULTILINE)
    for extras in (default, lerobot):
        assert set(extras.split(",")) <= declared["optional-dependencies"].keys()


@pytest.mark.skipif(not HADOLINT, reason="hadolint is not installed")
def test_hadolint_finds_nothing():
    result = subprocess.run(
        [str(HADOLINT), str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_compose_exposes_nothing_beyond_this_host():
    services = COMPOSE["services"]
    assert set(services) == {"head", "worker", "mlflow"}
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_gives_every_ray_node_a_token_and_one_image():
    services = COMPOSE["services"]
    for name in ("head", "worker"):
        environment = services[name]["environment"]
        assert environment["RAY_AUTH_MODE"] == "token"
        assert environment["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?")
    assert len({service["image"] for service in services.values()}) == 1
    build = services["head"]["build"]
    assert (DOCKER / build["context"] / build["dockerfile"]).resolve() == DOCKERFILE


@pytest.mark.slow
@pytest.mark.parametrize("service", ["head", "worker", "mlflow"])
def test_compose_runs_programs_with_options_they_have(service):
    program, command, *options = shlex.split(COMPOSE["services"][service]["command"])
    executable = Path(sys.executable).with_name(program)
    result = subprocess.run(
        [executable, command, "--help"], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    for option in options:
        if option.startswith("--"):
            assert option.split("=")[0] in result.stdout
