"""The comparison with LIBERO's own environment; run as ``benchmarks/sim.py exactness``."""

import argparse
import json
import multiprocessing

from rl_datagen.tasks import TASKS, Task, get_task, select_tasks

import numpy as np


def exactness(arguments: argparse.Namespace) -> dict:
    tasks = TASKS if arguments.all else select_tasks(arguments.tasks)
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    done = {}
    if arguments.log.exists():
        rows = [json.loads(line) for line in arguments.log.read_text().splitlines()]
        done = {row["task"]: row for row in rows}
    missing = [task.id for task in tasks if task.id not in done]
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(arguments.processes, maxtasksperchild=4) as pool,
        arguments.log.open("a") as log,
    ):
        for row in pool.imap_unordered(compare_task, missing):
            done[row["task"]] = row
            log.write(json.dumps(row) + "\n")
            log.flush()
            print(len(done), row, flush=True)
    rows = [done[task.id] for task in tasks]
    return {
        "tasks": len(rows),
        "identical": sum(row["identical"] for row in rows),
        "drawn_identical": sum(row["drawn_identical"] for row in rows),
        "demonstrations": sum(row["demo_steps"] > 0 for row in rows),
        "demonstrations_identical": sum(row["demo_identical"] for row in rows),
        "demonstrations_successful": sum(row["demo_success"] for row in rows),
        "scattered_identical": sum(row["scattered_identical"] for row in rows),
        "scattered_states": sum(row["scattered"] for row in rows),
        "scattered_positive": sum(row["scattered_positive"] for row in rows),
        "steps": sum(row["steps"] for row in rows),
        "different": [row["task"] for row in rows if not row["identical"]],
    }


def compare_task(task_id: str) -> dict:
    """Compares everything about one task with LIBERO's own environment."""
    from rl_datagen.sim import InitialState, load_scene
    from rl_datagen.sim.libero import make_stock_env

    task = get_task(task_id)
    scene = load_scene(task)
    simulator, env = scene.simulator(), make_stock_env(task)
    row = {"task": task_id, "identical": True, "drawn_identical": True, "steps": 0}
    for index in (0, min(17, scene.num_init_states - 1)):
        drawn = scene.draw_state(1000 + index)
        env.env.object_property_initializers.clear()  # see sim/placement.py
        np.random.seed(1000 + index)
        env.reset()
        row["drawn_identical"] &= same_draw(env, drawn, scene)
        init = scene.shipped_state(index)
        start_both(simulator, env, init)
        actions = np.random.default_rng(index).uniform(-1, 1, (200, 7))
        actions[::9, 3:6] = 0.0  # the goal's orientation then persists
        count, same, _ = run_both(simulator, env, actions)
        row["steps"] += count
        row["identical"] &= same
    row |= scatter(scene, env)
    if task.base:  # a perturbed task has no demonstration of its own
        return row | {"demo_steps": 0, "demo_identical": False, "demo_success": False}
    demonstration = load_demonstration(task)
    fixtures = scene.shipped_state(0).fixture_poses
    env.reset()
    start_both(simulator, env, InitialState(demonstration.init_state, fixtures))
    settling = np.tile([0.0] * 6 + [-1.0], (demonstration.num_settle_steps, 1))
    actions = np.concatenate([settling, demonstration.actions])
    count, same, reached = run_both(simulator, env, actions)
    return row | {"demo_steps": count, "demo_identical": same, "demo_success": reached}


def load_demonstration(task: Task):
    from rl_datagen.demos.human import load_human_demonstration

    return load_human_demonstration(task)


def same_draw(env, drawn, scene) -> bool:
    model, ids = env.sim.model, scene.fixture_ids
    poses = np.concatenate([model.body_pos[ids], model.body_quat[ids]], axis=1)
    same = np.array_equal(env.get_sim_state(), drawn.sim_state)
    return bool(same and np.array_equal(poses, drawn.fixture_poses))


def start_both(simulator, env, init) -> None:
    """Expects LIBERO's environment to have been reset."""
    model, ids = env.sim.model, simulator.scene.fixture_ids
    model.body_pos[ids], model.body_quat[ids] = init.fixture_poses[:, :3], init.fixture_poses[:, 3:]
    env.set_init_state(init.sim_state)
    simulator.reset(init, num_settle_steps=0)


def run_both(simulator, env, actions) -> tuple[int, bool, bool]:
    """Returns steps compared, whether all was identical, and whether the goal was reached."""
    reached_ever = False
    for step, action in enumerate(actions):
        observation, _, done, _ = env.step(action)
        reached = simulator.step(action)
        reached_ever |= reached
        same = np.array_equal(simulator.sim_state(), env.get_sim_state())
        same = same and reached == bool(done) and same_observation(simulator, observation, env)
        if not same:
            return step + 1, False, reached_ever
    return len(actions), True, reached_ever


def same_observation(simulator, observation, env) -> bool:
    """Compares with every number LIBERO observes of the hand, the arm and the objects."""
    robot, sample = simulator.robot_state(), simulator._sample
    same = [
        np.array_equal(robot["ee_pos"], observation["robot0_eef_pos"]),
        np.array_equal(robot["ee_quat"], observation["robot0_eef_quat"]),
        np.array_equal(robot["gripper_qpos"], observation["robot0_gripper_qpos"]),
        np.array_equal(robot["joint_pos"], observation["robot0_joint_pos"]),
    ]
    state, layout = simulator.object_state(), simulator.scene.state_layout
    for i, name in enumerate(env.env.objects_dict):
        pose = sample[16 + 7 * i : 23 + 7 * i]
        same.append(np.array_equal(pose[:3], observation[f"{name}_pos"]))
        same.append(np.array_equal(pose[[4, 5, 6, 3]], observation[f"{name}_quat"]))
        relative = observation[f"{name}_to_robot0_eef_pos"]  # single precision inside
        same.append(np.allclose(state[layout[name]][:3], relative, atol=1e-5))
    return all(same)


def scatter(scene, env, num_states: int = 300) -> dict:
    """Compares the success predicates on states scattered around the goal."""
    rng = np.random.default_rng(0)
    data, model = env.sim.data._data, env.sim.model._model
    start, same, positive = env.get_sim_state(), 0, 0
    hinges = scene.sample_layout.joint_qpos
    objects = [s[1] for s in scene.goal.statements if s[1] in env.env.objects_dict]
    targets = [s[2] for s in scene.goal.statements if s[1] in env.env.objects_dict]
    for _ in range(num_states):
        env.set_state(start)
        for address in hinges:
            low, high = model.jnt_range[np.flatnonzero(model.jnt_qposadr == address)[0]]
            margin = 0.1 * (high - low)
            data.qpos[address] = rng.uniform(low - margin, high + margin)
        env.sim.forward()
        for name, target in zip(objects, targets, strict=True):
            address = model.joint(env.env.objects_dict[name].joints[-1]).qposadr[0]
            where = env.env.object_states_dict[target].get_geom_state()["pos"]
            data.qpos[address : address + 3] = where + rng.normal(0, [0.02, 0.02, 0.03])
        env.sim.forward()
        stock = bool(env.check_success())
        same += stock == scene.goal.reached(data)
        positive += stock
    identical = same == num_states
    return {
        "scattered": num_states,
        "scattered_identical": identical,
        "scattered_positive": positive,
    }
