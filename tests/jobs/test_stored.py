import shutil

import pytest
import yaml

from rl_datagen.algo.bc import warm_start
from rl_datagen.core.errors import UserError
from rl_datagen.jobs.stored import Experts, StoredVla, find_policy
from rl_datagen.policy import save_expert
from rl_datagen.tasks import get_task
from tests import toy

TASK = get_task(toy.TASK)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An expert where ``train`` leaves it."""
    root = tmp_path_factory.mktemp("outputs")
    config = toy.toy_config("warm_start.num_updates=2", "name=mine")
    policy, stats, metrics = warm_start(toy.demonstrations(4), config)
    save_expert(root / "experts" / TASK.id / "mine", policy, config, stats, metrics)
    return root


def test_a_name_a_folder_and_a_pattern_name_the_same_expert(made):
    folder = made / "experts" / TASK.id / "mine"
    found = [
        Experts(named, str(made))
        for named in ("mine", str(folder), f"{made}/experts/{{task}}/mine", folder.as_uri())
    ]
    assert [experts.tasks(None) for experts in found] == [[TASK]] * 4
    assert len({experts.read(TASK).id for experts in found}) == 1
    expert = found[0].read(TASK)
    assert expert.id.startswith("libero_object/0/mine@")
    assert expert.load().policy.config.source == "diffusion_rl"


@pytest.mark.parametrize("remote", [False, True])
def test_a_campaign_is_named_by_its_folder_or_its_storage(made, tmp_path, remote):
    campaign = tmp_path / "campaigns" / "mine"
    campaign.mkdir(parents=True)
    storage = campaign.as_uri() if remote else None
    if remote:
        shutil.copytree(made / "experts", campaign / "experts")
    config = {"name": "mine", "output_dir": str(made), "campaign": {"storage": storage}}
    (campaign / "config.yaml").write_text(yaml.safe_dump(config))
    experts = Experts(storage or str(campaign), "elsewhere")
    assert experts.tasks(None) == [TASK]
    assert experts.read(TASK).id == Experts("mine", str(made)).read(TASK).id


def test_other_weights_are_another_expert(made, tmp_path):
    folder = tmp_path / "experts" / TASK.id / "mine"
    shutil.copytree(made / "experts" / TASK.id / "mine", folder)
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(weights)
    assert Experts("mine", str(tmp_path)).read(TASK).id != Experts("mine", str(made)).read(TASK).id


def test_what_is_missing_is_named(made, tmp_path):
    experts = Experts("mine", str(made))
    other = get_task("libero_goal/3")
    assert experts.tasks("libero_goal/3") == (other,)
    with pytest.raises(UserError, match=r"libero_goal/3 has no expert: .*lacks config\.yaml"):
        experts.read(other)
    with pytest.raises(UserError, match="There is no expert in"):
        Experts("nobody", str(tmp_path)).tasks(None)
    folder = str(made / "experts" / TASK.id / "mine")
    with pytest.raises(UserError, match=r"was trained for libero_object/0, not for libero_goal/3"):
        Experts(folder, str(made)).read(other).load()


def test_a_folder_says_what_it_is_wherever_it_lies(made, tmp_path):
    folder = made / "experts" / TASK.id / "mine"
    here, remote = find_policy(str(folder)), find_policy(folder.as_uri())
    assert here == remote
    assert here.task == TASK.id
    assert here.id == Experts("mine", str(made)).read(TASK).id
    (tmp_path / "config.yaml").write_text("datasets: [x]")
    assert isinstance(find_policy(str(tmp_path)), StoredVla)
    (tmp_path / "config.yaml").write_text("[not a mapping")
    for nobody in (str(tmp_path), str(tmp_path / "none"), (tmp_path / "none").as_uri()):
        with pytest.raises(UserError, match="is not a policy"):
            find_policy(nobody)
