"""A released episode again, from its init state and its actions, as a video (about 15 s)."""

import rl_datagen as rd

TASK = "libero_goal/5"
data = rd.Dataset("release/libero130", TASK)
episode, actions = data.episodes[0], data.select([0]).array("action")

env = rd.make(TASK, render_mode="rgb_array")
env.reset(options={"init_state": episode.init_state, "fixture_poses": episode.fixture_poses})
frames = [env.render()]
for action in actions:
    _, reward, terminated, _, info = env.step(action)
    frames.append(env.render())
print(f"{info['instruction']}: success={info['success']} after {info['num_env_steps']} env steps")
assert terminated == episode.success

rd.write_video("outputs/examples/replay_episode.mp4", frames)
print("wrote outputs/examples/replay_episode.mp4")
