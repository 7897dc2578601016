import numpy as np
import pytest

from rl_datagen.policy import ChunkActor


@pytest.mark.parametrize("explore", [False, True])
def test_an_episode_does_not_feel_who_shares_its_batch(policy, observation, explore):
    rows = {key: value.numpy() for key, value in observation.items()}
    together = ChunkActor(policy, explore=explore)
    alone = ChunkActor(policy, explore=explore)
    for episode in range(6):
        together.start(episode, None, seed=episode)
    alone.start(0, None, seed=4)
    for _ in range(2):
        batch = together.act(rows, range(6))
        single = alone.act({key: value[4:5] for key, value in rows.items()}, [0])
        assert batch.shape == (6, 3, 7)
        np.testing.assert_allclose(batch[4], single[0], atol=1e-5)


def test_another_seed_acts_differently(policy, observation):
    policy.evaluation_temperature = 0.5
    rows = {key: value.numpy()[:1] for key, value in observation.items()}
    actor = ChunkActor(policy)
    chunks = []
    for seed in (1, 2, 1):
        actor.start(0, None, seed=seed)
        chunks.append(actor.act(rows, [0]))
    assert not np.allclose(chunks[0], chunks[1])
    np.testing.assert_array_equal(chunks[0], chunks[2])
