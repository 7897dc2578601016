"""Four simulators of a task in one process, driven by an expert's batches (about 20 s)."""

import time

import rl_datagen as rd

expert = rd.load_expert("release/libero_object/3")
env = rd.make_vec(expert.task, num_envs=4, action_steps=expert.action_steps, num_episodes=4)
observation, _ = env.reset(seed=0)
expert.reset(seed=0)

begin, num_ended, num_successes, num_steps = time.perf_counter(), 0, 0, 0
while num_ended < 4:  # episodes that ended are not followed by others: num_episodes=4
    observation, _, terminated, truncated, infos = env.step(expert.predict(observation))
    num_ended += int((terminated | truncated).sum())
    num_successes += int(terminated.sum())
    if "num_env_steps" in infos:  # of those that ended
        num_steps += int(infos["num_env_steps"][infos["_num_env_steps"]].sum())
seconds = time.perf_counter() - begin
print(f"{num_successes} of {num_ended} reached the goal; {num_steps / seconds:.0f} env steps/s")
env.close()
