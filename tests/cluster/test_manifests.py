"""The files in cluster/ against the schemas of what reads them."""

import copy
import functools
import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private import util
from typer.testing import CliRunner

from rl_datagen.cli import app
from rl_datagen.config import CampaignConfig, CollectionConfig, load_config

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
LAUNCHER = sorted(CLUSTER.glob("*.yaml"))
CLOUDS = [CLUSTER / "aws.yaml", CLUSTER / "gcp.yaml"]
RAY_MANIFESTS = sorted(CLUSTER.glob("kuberay/ray*.yaml"))
JOBS = sorted(CLUSTER.glob("kuberay/rayjob*.yaml"))
CRDS = Path(os.environ.get("RL_DATAGEN_KUBERAY_SCHEMAS", ROOT.parent / "shared/schemas/kuberay"))
RAY_SCHEMA = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())

needs_crds = pytest.mark.skipif(
    not CRDS.is_dir(), reason="KubeRay's CRDs: set RL_DATAGEN_KUBERAY_SCHEMAS to their folder"
)


def _name(path):
    return str(path.relative_to(CLUSTER))


def _load(path):
    return yaml.safe_load(path.read_text())


def _strict(schema):
    """Forbids what a schema does not name: JSON Schema would let a misspelt field pass."""
    if isinstance(schema, list):
        return [_strict(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _strict(value) for key, value in schema.items()}
    named = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if named and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    return schema


@functools.cache
def _validator(kind):
    text = (CRDS / f"ray.io_{kind.lower()}s.yaml").read_text()
    crd = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # 30,000 lines
    (version,) = (v for v in crd["spec"]["versions"] if v["name"] == "v1")
    return jsonschema.Draft202012Validator(_strict(version["schema"]["openAPIV3Schema"]))


def _check_manifest(manifest):
    assert manifest["apiVersion"] == "ray.io/v1"
    metadata = manifest["metadata"]
    assert not metadata.keys() - {"name", "generateName", "namespace", "labels", "annotations"}
    _validator(manifest["kind"]).validate(manifest)


def _check_launcher(config):
    jsonschema.validate(config, RAY_SCHEMA)
    util.validate_config(util.prepare_config(copy.deepcopy(config)))


def _ray_cluster(manifest):
    return manifest["spec"].get("rayClusterSpec", manifest["spec"])


@pytest.mark.parametrize("path", LAUNCHER, ids=_name)
def test_ray_accepts_the_launchers_files(path):
    _check_launcher(_load(path))


@pytest.mark.parametrize(
    ("place", "key"), [((), "max_worker"), (("available_node_types", "simulators"), "max_nodes")]
)
def test_a_field_ray_does_not_know_is_caught(place, key):
    config = _load(CLUSTER / "aws.yaml")
    target = config
    for step in place:
        target = target[step]
    target[key] = 3
    with pytest.raises(jsonschema.ValidationError, match=key):
        _check_launcher(config)


@pytest.mark.parametrize("path", CLOUDS, ids=_name)
def test_only_the_head_costs_money_when_nothing_runs(path):
    config = _load(path)
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert head["resources"].get("GPU", 0) == 0
    assert set(types) == {"learners", "simulators"}
    assert types["learners"]["resources"]["GPU"] > 0
    assert "GPU" not in types["simulators"]["resources"]
    for node in types.values():
        assert node["min_workers"] == 0
        assert re.search("spot", json.dumps(node["node_config"]), re.IGNORECASE)
    assert not re.search("spot", json.dumps(head["node_config"]), re.IGNORECASE)
    assert config["max_workers"] >= sum(node["max_workers"] for node in types.values())


@pytest.mark.parametrize("path", CLOUDS, ids=_name)
def test_the_cloud_cluster_asks_for_a_token_and_keeps_the_dashboard_inside(path):
    config = _load(path)
    assert "--env RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert any(target.endswith("/.ray/auth_token") for target in config["file_mounts"])
    assert "--dashboard-host=127.0.0.1" in " ".join(config["head_start_ray_commands"])


@needs_crds
@pytest.mark.parametrize("path", RAY_MANIFESTS, ids=_name)
def test_kuberay_accepts_the_manifests(path):
    _check_manifest(_load(path))


@needs_crds
@pytest.mark.parametrize("path", RAY_MANIFESTS, ids=_name)
@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ((), "enableInTreeAutoscalling", True),
        (("autoscalerOptions",), "idleTimeoutSecond", 60),
        (("autoscalerOptions",), "upscalingMode", "Fast"),
        (("workerGroupSpecs", 0), "maxReplica", 3),
        (("workerGroupSpecs", 0), "minReplicas", "none"),
        (("headGroupSpec", "template", "spec", "containers", 0), "imag", "x"),
    ],
)
def test_a_wrong_field_is_caught(path, place, key, value):
    manifest = _load(path)
    target = _ray_cluster(manifest)
    for step in place:
        target = target[step]
    target[key] = value
    with pytest.raises(jsonschema.ValidationError):
        _check_manifest(manifest)


@pytest.mark.parametrize("path", RAY_MANIFESTS, ids=_name)
def test_a_kuberay_cluster_scales_from_nothing_with_the_pinned_ray_and_a_token(path):
    cluster = _ray_cluster(_load(path))
    assert cluster["enableInTreeAutoscaling"]
    assert cluster["rayVersion"] == ray.__version__
    assert cluster["authOptions"]["mode"] == "token"
    assert all(group["minReplicas"] == 0 for group in cluster["workerGroupSpecs"])


@pytest.mark.parametrize("path", JOBS, ids=_name)
def test_what_a_job_runs_is_accepted(path):
    program, *arguments = _load(path)["spec"]["entrypoint"].split()
    assert program == "rl-datagen"
    count, model = {"campaign": (2, CampaignConfig), "collect": (1, CollectionConfig)}[arguments[0]]
    assert CliRunner().invoke(app, [*arguments[:count], "--help"]).exit_code == 0
    assert load_config(arguments[count:], model=model).task == "all"


@pytest.mark.parametrize("path", RAY_MANIFESTS, ids=_name)
def test_pods_are_not_root_and_gain_no_privileges(path):
    cluster = _ray_cluster(_load(path))
    confined = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert cluster["autoscalerOptions"]["securityContext"] == confined
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert [each["securityContext"] for each in pod["containers"]] == [confined]


def test_only_ray_reaches_ray_but_for_the_job_server():
    spec = _load(CLUSTER / "kuberay/network-policy.yaml")["spec"]
    among, others = spec["ingress"]
    assert among == {"from": [{"podSelector": spec["podSelector"]}]}
    assert [port["port"] for port in others["ports"]] == [8265]
    assert spec["policyTypes"] == ["Ingress"]


def test_compose_services_have_no_capabilities():
    for service in _load(ROOT / "docker/compose.yaml")["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")
