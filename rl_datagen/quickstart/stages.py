"""The stages of the chain, in order; each takes a run, leaves files and returns a summary."""

import os
from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from rl_datagen.algo.bc import warm_start
from rl_datagen.algo.fine_tune import Score, fine_tune
from rl_datagen.cluster import ray_session
from rl_datagen.collect import gather, plan_episode, render_episode
from rl_datagen.collect.amplification import plan_attempt
from rl_datagen.data.card import write_card
from rl_datagen.data.dataset import read_episodes, read_trajectories, rendered_episodes
from rl_datagen.data.images import write_video
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import AmplifiedPolicy, analyse, load_human_demonstration, replay
from rl_datagen.evaluation import evaluate, held_back_indices
from rl_datagen.policy import ChunkActor, load_expert, save_expert
from rl_datagen.quickstart.page import write_page
from rl_datagen.quickstart.run import Run, Summary
from rl_datagen.rollout import PlannedEpisode, rollout


def demonstrations(run: Run) -> Summary:
    """Stage 1: replays the human demonstration and amplifies it."""
    settings, scene = run.config.demos, run.scene
    human = load_human_demonstration(run.task)
    policy = AmplifiedPolicy([analyse(human, scene)], settings.action_noise)
    num_shipped = min(settings.num_shipped_init_states, held_back_indices(scene, run.config).start)
    run.progress.start("demonstrations", settings.num_episodes)
    episodes, attempts = gather(
        policy,
        scene,
        lambda number: plan_attempt(scene, run.config.seed, number, num_shipped=num_shipped),
        num_episodes=settings.num_episodes,
        max_attempts=settings.num_episodes * settings.max_attempts_per_episode,
        source="amplified",
        sim=run.config.sim,
        on_episode=_count_successes(run),
    )
    with DatasetWriter(run.demos, config=run.settings) as writer:
        writer.append([replay(human, scene, run.config.sim)], num_attempts=1)
        writer.append(episodes, num_attempts=attempts)
    return {
        "episodes": len(episodes),
        "attempts": attempts,
        "length_mean": float(np.mean([len(episode) for episode in episodes])),
    }


def clone(run: Run) -> Summary:
    """Stage 2: behaviour cloning of the amplified demonstrations."""
    run.progress.start("warm_start", run.config.warm_start.num_updates)
    episodes = _amplified(run)
    done = 0

    def report(update: int, metrics: dict[str, float]) -> None:
        nonlocal done
        run.progress.advance(update - done, f"loss {metrics['train_loss']:.4f}")
        done = update

    policy, stats, metrics = warm_start(episodes, run.config, report=report)
    save_expert(run.warm_expert, policy, run.config, stats, metrics)
    return dict(metrics)


def _amplified(run: Run) -> list[Trajectory]:
    return [t for t in read_trajectories(run.demos) if t.source == "amplified"]


def evaluate_before(run: Run) -> Summary:
    """Stage 3: success of the warm start on held-back init states."""
    return _evaluate(run, "before", str(run.warm_expert))


def fine_tune_expert(run: Run) -> Summary:
    """Stage 4: PPO, on env runners that are Ray actors."""
    algo = run.config.algo
    run.progress.start("dppo", algo.num_iterations)
    cores = max(os.cpu_count() or 1, algo.num_env_runners + algo.num_learners)
    with ray_session(run.folder / "ray.log", cores):
        metrics = fine_tune(
            run.config,
            run.warm_expert,
            run.expert,
            evaluate=lambda actor: _score(run, actor),
            demonstrations=_amplified(run) if algo.bc_loss_coeff else (),
            report=lambda _, row: run.progress.iteration(row),
            should_stop=run.should_stop,
        )
    summary = {"iterations": metrics["num_iterations"], "env_steps": metrics["num_env_steps"]}
    return summary | ({"stopped": True} if metrics["stopped"] else {})


def _score(run: Run, actor: ChunkActor) -> Score:
    """Rolls out a policy to choose the best one; evaluations start from other init states."""
    first = run.scene.num_init_states
    plans = [
        _plan(run, "selection", first + number)
        for number in range(run.config.evaluation.num_episodes)
    ]
    source = run.config.policy.source
    episodes = list(rollout(actor, run.scene, plans, source=source, sim=run.config.sim))
    return Score(
        float(np.mean([episode.success for episode in episodes])),
        float(np.mean([len(episode) for episode in episodes])),
    )


def evaluate_after(run: Run) -> Summary:
    """Stage 5: success of the expert on the same held-back init states."""
    return _evaluate(run, "after", str(run.expert))


def _evaluate(run: Run, moment: str, expert: str) -> Summary:
    run.progress.start(f"evaluate_{moment}", run.config.evaluation.num_episodes)
    return asdict(
        evaluate(
            load_expert(expert, task=run.config.task),
            run.scene,
            run.config,
            run.evaluation(moment),
            on_episode=lambda _: run.progress.advance(),
        )
    )


def collect(run: Run) -> Summary:
    """Stage 6: successful episodes of the expert to shards."""
    settings = run.config.collect
    policy = load_expert(run.expert, task=run.config.task)
    run.progress.start("collect", settings.num_episodes)
    attempts = 0
    with DatasetWriter(run.dataset, config=run.settings) as writer:
        for first in range(0, settings.num_episodes, settings.num_episodes_per_shard):
            size = min(settings.num_episodes_per_shard, settings.num_episodes - first)
            # Each shard has its own range of attempts, so that a rerun makes the same episodes.
            offset = first * settings.max_attempts_per_episode
            episodes, made = gather(
                policy,
                run.scene,
                lambda number, offset=offset: _plan(run, run.config.policy.source, offset + number),
                num_episodes=size,
                max_attempts=size * settings.max_attempts_per_episode,
                source=run.config.policy.source,
                sim=run.config.sim,
                on_episode=_count_successes(run),
            )
            expert = f"{run.config.task}/{run.config.name}"
            writer.append(episodes, expert=expert, num_attempts=made)
            attempts += made
    return {"episodes": settings.num_episodes, "attempts": attempts}


def render(run: Run) -> Summary:
    """Stage 7: replays some episodes into images of both cameras and an MP4."""
    settings = run.config.collect.render
    table = read_episodes(run.dataset)
    chosen = table["episode_id"].to_pylist()[: settings.num_episodes]
    lengths = table["length"].to_pylist()[: settings.num_episodes]
    run.progress.start("render", sum(lengths))
    rendered = rendered_episodes(run.dataset)
    with DatasetWriter(run.dataset, config=run.settings) as writer:
        for trajectory in read_trajectories(run.dataset, episode_ids=chosen):
            if trajectory.episode_id in rendered:
                continue
            episode = render_episode(
                trajectory, run.scene, settings.image_size, run.progress.advance
            )
            # The video first: once the images are listed, a rerun passes the episode over.
            frames = np.concatenate([episode.agentview, episode.wrist], axis=2)
            write_video(run.dataset / "videos" / f"{trajectory.episode_id}.mp4", frames)
            writer.append_images([episode], shard=writer.shard_of(trajectory.episode_id))
    return {"episodes": len(chosen), "frames": 2 * sum(lengths)}


def report(run: Run) -> Summary:
    """Stage 8: verifies the dataset and writes its card and the page."""
    run.progress.start("report", 1)
    verified = verify(run.dataset)
    verified.check()
    write_card(run.dataset)
    write_page(run, verified, [stage for stage in STAGES if stage != "report"])
    run.progress.advance()
    return {
        "episodes": verified.num_episodes,
        "shards": verified.num_shards,
        "bytes": verified.num_bytes,
    }


TRAINING: dict[str, Callable[[Run], Summary]] = {
    "demonstrations": demonstrations,
    "warm_start": clone,
    "evaluate_before": evaluate_before,
    "dppo": fine_tune_expert,
    "evaluate_after": evaluate_after,
}
"""The stages that make an expert."""

STAGES: dict[str, Callable[[Run], Summary]] = {
    **TRAINING,
    "collect": collect,
    "render": render,
    "report": report,
}


def _plan(run: Run, source: str, number: int) -> PlannedEpisode:
    """Returns attempt ``number`` of a source: shipped init states first, then drawn ones.

    No attempt starts from a held-back init state.
    """
    shipped = number if number < held_back_indices(run.scene, run.config).start else None
    return plan_episode(run.scene, source, run.config.seed, number, shipped)


def _count_successes(run: Run) -> Callable[[Trajectory], None]:
    attempts = successes = 0

    def on_episode(trajectory: Trajectory) -> None:
        nonlocal attempts, successes
        attempts += 1
        successes += trajectory.success
        run.progress.advance(
            int(trajectory.success), f"{successes} of {attempts} attempts succeeded"
        )

    return on_episode
