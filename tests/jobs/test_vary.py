"""``collect --patterns``, with a released expert in the real simulator."""

from pathlib import Path

import pytest

from rl_datagen.config import CollectionConfig
from rl_datagen.core.errors import ConfigError, DatasetError, UserError
from rl_datagen.data.compact import compact, read_compact
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.manifest import read_manifest, write_manifest
from rl_datagen.data.patterns import pattern_of
from rl_datagen.data.verify import verify
from rl_datagen.jobs.collect import collect
from rl_datagen.jobs.hydrate import replay_compact
from rl_datagen.jobs.stored import StoredExpert
from rl_datagen.jobs.vary import check_patterns, seeing_state
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

TASK = "libero_object/3"
EXPERTS = str(Path(__file__).parents[2] / "release/experts/{task}")


def settings(root, **changes):
    wanted = {"experts": EXPERTS, "task": TASK, "num_episodes": 2, "num_workers": 1}
    return CollectionConfig(output_dir=str(root), **wanted | changes)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return collect(settings(tmp_path_factory.mktemp("vary")), num_patterns=3)


@pytest.mark.slow
@pytest.mark.sim
def test_each_episode_is_there_on_each_way(path):
    verify(path).check()
    episodes = list(read_trajectories(path))
    by_number = {n: set() for n in range(3)}
    for episode in episodes:
        pattern = pattern_of(episode.episode_id)
        by_number[pattern.number].add(pattern.origin)
        assert episode.source == ("pattern" if pattern.number else "diffusion_rl")
    assert len(by_number[0]) == 2
    assert by_number[0] == by_number[1] == by_number[2]
    assert [shard.num_attempts for shard in read_manifest(path).shards] == [2, 4]


@pytest.mark.sim
def test_the_compact_form_keeps_the_pattern_and_replays_bit_for_bit(path, tmp_path):
    compact(path, tmp_path / "small")
    scene = load_scene(get_task(TASK))
    episodes = {episode.episode_id: episode for episode in read_trajectories(path)}
    stored = list(read_compact(tmp_path / "small", TASK))
    assert {each.episode_id for each in stored} == set(episodes)
    for each in (each for each in stored if pattern_of(each.episode_id).number == 2):
        assert replay_compact(each, scene) == episodes[each.episode_id]


@pytest.mark.sim
def test_what_a_kill_left_out_is_made_and_nothing_twice(path):
    whole = read_manifest(path)
    root = path.parents[1]
    assert collect(settings(root), num_patterns=3) == path
    assert read_manifest(path).content_hash == whole.content_hash
    write_manifest(path, whole.model_copy(update={"shards": whole.shards[:1]}))  # as if cut off
    collect(settings(root), num_patterns=3)
    assert read_manifest(path) == whole
    with pytest.raises(DatasetError, match="num_patterns"):
        collect(settings(root), num_patterns=4)
    with pytest.raises(DatasetError, match="num_patterns"):
        collect(settings(root))


def test_wrong_patterns_are_refused():
    with pytest.raises(ConfigError, match=r"patterns=0: 1 \(the expert's own way\) or more"):
        check_patterns(settings("x"), 0)
    amplified = settings("x", experts=None, source="amplified")
    check_patterns(amplified, 1)
    with pytest.raises(ConfigError, match="only trained experts take other ways"):
        check_patterns(amplified, 2)


def test_experts_that_see_cameras_are_refused_before_they_collect():
    def read(encoder):
        files = {"config.yaml": f"policy: {{encoder: {encoder}}}".encode()}
        return seeing_state(lambda task: StoredExpert(files, task.id))(get_task(TASK))

    assert read("state").task == TASK
    with pytest.raises(UserError, match=r"libero_object/3's expert sees cameras .*resnet"):
        read("resnet")
