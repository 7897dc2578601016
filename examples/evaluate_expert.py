"""A released expert on ten benchmark init states, and what its episodes are like (about 20 s)."""

import numpy as np

import rl_datagen as rd

expert = rd.load_expert("release/libero_object/3")
result = rd.rollout(expert, num_episodes=10, init_state_indices=range(10), seed=0)
print(result)
for episode in result.trajectories[:3]:
    speed = np.linalg.norm(np.diff(episode.ee_pos, axis=0), axis=1).mean() * 20
    print(f"init state {episode.init_state_index}: {len(episode)} env steps, {speed:.2f} m/s")
