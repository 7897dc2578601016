import pytest

from rl_datagen.config import AmplifyConfig, SimConfig
from rl_datagen.core.errors import UserError
from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.verify import verify
from rl_datagen.demos import AmplifiedPolicy, load_human_demonstration, replay
from rl_datagen.demos.correspondence import Correspondence
from rl_datagen.jobs.amplify import amplify
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def base():
    return load_scene(get_task("libero_spatial/0"))


@pytest.fixture(scope="module")
def perturbed():
    return load_scene(get_task("libero_spatial_object/0"))


def test_what_the_goal_names_in_the_same_place_stands_for_it(base, perturbed):
    stands_for = Correspondence(base, perturbed)
    assert stands_for("akita_black_bowl_1_main") == "black_bowl_1_main"
    assert stands_for("plate_1_main") == "yellow_plate_1_main"
    assert stands_for("cookies_1_main") == "cookies_1_main"


def test_what_nothing_stands_for_is_named(base, perturbed):
    with pytest.raises(UserError, match="'teapot_1_main' in the demonstration of libero_spatial/0"):
        Correspondence(base, perturbed)("teapot_1_main")


def test_the_base_tasks_demonstration_succeeds_among_other_objects(perturbed):
    demonstration = load_human_demonstration(perturbed.task)
    assert demonstration.task == perturbed.task.base
    policy = AmplifiedPolicy([demonstration], perturbed, action_noise=0.04)
    plans = [PlannedEpisode(str(i), perturbed.draw_state(i), i) for i in range(6)]
    episodes = list(rollout(policy, perturbed, plans, source="amplified", sim=SimConfig()))
    assert sum(episode.success for episode in episodes) >= 4
    assert {episode.task for episode in episodes} == {"libero_spatial_object/0"}


def test_a_demonstration_is_replayed_where_it_was_made(perturbed):
    episode = replay(load_human_demonstration(perturbed.task), perturbed, SimConfig())
    assert episode.success
    assert episode.task == "libero_spatial/0"


def test_amplified_episodes_of_a_perturbed_task_are_a_sound_dataset(tmp_path):
    config = AmplifyConfig(
        task="libero_spatial_object/0", num_episodes=2, output_dir=str(tmp_path), num_workers=1
    )
    dataset = amplify(config)
    assert read_episodes(dataset)["task"].to_pylist() == ["libero_spatial_object/0"] * 2
    assert verify(dataset).ok
    assert "object of libero_spatial/0" in (dataset / "README.md").read_text()
