import dataclasses
import weakref

import numpy as np
import pytest

from rl_datagen.core.errors import ConfigError, DatasetError
from rl_datagen.data import DatasetWriter
from rl_datagen.report.comparison import compare
from rl_datagen.report.sources import measure_sources


@pytest.fixture
def store(tmp_path, make_episode):
    """Writes a dataset: {task: number of episodes} of a source."""

    def write(name, source, tasks, *, attempts=None, failed=0, **options):
        with DatasetWriter(tmp_path / name, config={}) as writer:
            for task, count in tasks.items():
                episodes = [
                    make_episode(source, seed, task=task, **options) for seed in range(count)
                ]
                episodes[:failed] = [
                    dataclasses.replace(episode, success=False, reward=0 * episode.reward)
                    for episode in episodes[:failed]
                ]
                writer.append(episodes, num_attempts=attempts)
        return tmp_path / name

    return write


def rows_of(comparison, scope):
    return {row.source: row for row in comparison.rows() if row.scope == scope}


def test_sources_are_compared_over_the_tasks_that_all_have(store):
    human = store("human", "human", {"libero_goal/3": 2, "libero_object/0": 3, "libero_90/1": 1})
    made = store("made", "diffusion_rl", {"libero_object/0": 4, "libero_goal/3": 5}, length=100)
    more = store("more", "diffusion_rl", {"libero_10/2": 2})
    comparison = compare([human, made, more])
    assert comparison.tasks == ("libero_goal/3", "libero_object/0")
    assert comparison.left_out == {"libero_10/2": ("diffusion_rl",), "libero_90/1": ("human",)}
    overall = rows_of(comparison, "overall")
    assert list(overall) == ["human", "diffusion_rl"]
    assert (overall["human"].num_tasks, overall["human"].num_episodes) == (2, 5)
    assert overall["diffusion_rl"].num_episodes == 9
    assert overall["diffusion_rl"].estimates["length"].mean == 100
    scopes = ["overall", "libero_goal", "libero_object", "libero_goal/3", "libero_object/0"]
    assert list(dict.fromkeys(row.scope for row in comparison.rows())) == scopes
    assert rows_of(comparison, "libero_goal")["diffusion_rl"].num_episodes == 5


def test_failed_episodes_count_as_attempts_only(store):
    path = store("made", "gaussian_rl", {"libero_goal/3": 5}, attempts=8, failed=2)
    row = rows_of(compare([path]), "libero_goal/3")["gaussian_rl"]
    assert row.num_episodes == 3
    assert (row.success.num_successes, row.success.num_episodes) == (3, 8)
    unknown = store("human", "human", {"libero_goal/3": 5})
    assert rows_of(compare([unknown]), "overall")["human"].success is None


def test_deviation_per_dimension_is_over_episodes_within_tasks(store, make_episode):
    path = store("made", "diffusion_rl", {"libero_goal/3": 6})
    row = rows_of(compare([path]), "overall")["diffusion_rl"]
    (source,) = measure_sources(make_episode("diffusion_rl", i) for i in range(6))
    squares = [row.action_std[name] ** 2 for name in ("x", "y", "z", "rx", "ry", "rz", "gripper")]
    assert row.estimates["action_std"].mean == pytest.approx(np.sqrt(np.mean(squares)))
    assert row.action_std["rx"] == 0 < row.action_std["y"]
    (task,) = source.tasks.values()
    assert row.action_std["y"] ** 2 == pytest.approx(task.actions.variance()[:, 1].mean())


def test_an_episode_that_two_datasets_hold_counts_once(store, tmp_path):
    one = store("one", "human", {"libero_goal/3": 3}, attempts=3)
    two = store("two", "human", {"libero_goal/3": 4}, attempts=4)
    comparison = compare([one, two, one])
    row = rows_of(comparison, "overall")["human"]
    assert (row.num_episodes, row.success) == (4, None)
    assert len(comparison.datasets) == 2
    assert compare([tmp_path]).datasets == comparison.datasets


def test_different_episodes_of_one_name_are_refused(store):
    one = store("one", "human", {"libero_goal/3": 1})
    two = store("two", "human", {"libero_goal/3": 1}, length=99)
    with pytest.raises(DatasetError, match="different episodes of the same name"):
        compare([one, two])


def test_what_cannot_be_compared_is_said(store, tmp_path):
    human = store("human", "human", {"libero_goal/3": 1})
    made = store("made", "diffusion_rl", {"libero_goal/4": 1})
    with pytest.raises(DatasetError, match=r"libero_goal/3 has human; libero_goal/4 has diff"):
        compare([human, made])
    with pytest.raises(DatasetError, match=r"hold libero_goal/3, none of them in 'libero_90'"):
        compare([human], "libero_90")
    with pytest.raises(ConfigError, match="Did you mean 'libero_goal'"):
        compare([human], "libero_gaol")
    with pytest.raises(DatasetError, match="is not a dataset"):
        compare([tmp_path / "nothing"])
    DatasetWriter(tmp_path / "empty", config={}).close()
    with pytest.raises(DatasetError, match="hold no episode"):
        compare([tmp_path / "empty"])
    failed = store("failed", "diffusion_rl", {"libero_goal/3": 2}, failed=2)
    assert [source.source for source in compare([human, failed]).sources] == ["human"]
    with pytest.raises(DatasetError, match="libero_goal/3 has none"):
        compare([failed])


def test_no_episode_is_kept(make_episode):
    alive = []

    def stream():
        for seed in range(40):
            episode = make_episode("human", seed)
            alive.append(weakref.ref(episode))
            yield episode
            del episode
            assert sum(reference() is not None for reference in alive) <= 2

    (source,) = measure_sources(stream())
    assert len(source.episodes) == 40
    assert len(source.hand_paths) == 25
