"""An environment: its spaces, random actions, and a picture of where they led (about 10 s)."""

from pathlib import Path

from PIL import Image

import rl_datagen as rd

for task in rd.tasks("libero_goal"):
    print(f"{task.id:15} {task.instruction}")

env = rd.make("libero_goal/8", render_mode="rgb_array")
print(env.observation_space)  # numbers; mode="pixel" adds the images of both cameras
print(env.action_space)  # 3 position, 3 rotation, gripper

observation, info = env.reset(options={"init_state_index": 3})  # seed=... draws a new init state
print(info["instruction"])
env.action_space.seed(0)
for _ in range(40):  # 2 s
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
print("hand at", observation["proprio"][:3], "m")

path = Path("outputs/examples/step_environment.png")
path.parent.mkdir(parents=True, exist_ok=True)
Image.fromarray(env.render()).save(path)
print("wrote", path)
