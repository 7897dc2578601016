"""A dataset for training: action chunks, a split by episode, PyTorch's loader (about 10 s).

The released one is compact: actions and init states. ``rl-datagen dataset hydrate`` gives it
states, observations and images; ``columns`` and ``cameras`` then say which of them to read.
"""

import time

from torch.utils.data import DataLoader

import rl_datagen as rd

data = rd.Dataset("release/libero130", "libero_goal", action_horizon=16)
print(data)
episode = data.episodes[0]
print(f"{episode.episode_id}: {episode.instruction}, {episode.length} env steps")

item = data[episode.length - 4]
print(item["action"].shape, "of which beyond the episode's end:", item["action_is_pad"].sum())

train, validation = data.split(0.1, seed=0)
print(f"{train.num_episodes} episodes to train on, {validation.num_episodes} to validate with")

loader = DataLoader(train, batch_size=64, shuffle=True, num_workers=2)
begin = time.perf_counter()
num_chunks = sum(len(batch["action"]) for batch in loader)
print(f"{num_chunks} chunks, {num_chunks / (time.perf_counter() - begin):.0f} per second")
