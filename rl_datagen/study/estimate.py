"""Core and GPU hours of the study's jobs, from what ``costs`` assumes."""

from collections.abc import Iterable

from rl_datagen.config import PaperConfig
from rl_datagen.study.graph import Hours, Job
from rl_datagen.tasks import select_tasks

_SECONDS = 3600.0


def experts_hours(config: PaperConfig) -> Hours:
    """Returns what one algorithm's experts take."""
    costs, gpus = config.costs, config.campaign.gpus_per_trial
    trial = costs.expert_env_steps / costs.trial_env_steps_per_second / _SECONDS
    gpus = gpus or config.algo.num_gpus_per_learner * max(config.algo.num_learners, 1)
    hours = trial * len(config.tasks)
    return Hours(hours * trial_cores(config), hours * gpus)


def trial_cores(config: PaperConfig) -> int:
    """Returns the cores of one trial: its own process, learners and env runners."""
    return 1 + config.algo.num_learners + config.algo.num_env_runners


def collect_hours(config: PaperConfig, source: str) -> Hours:
    """Returns what a source's successful episodes take; demonstrations are replayed once."""
    costs = config.costs
    attempts = 1 if source == "human" else costs.attempts_per_episode
    steps = _num_episodes(config) * attempts * costs.episode_steps
    return Hours(steps / costs.collect_env_steps_per_second / _SECONDS)


def render_hours(config: PaperConfig) -> Hours:
    """Returns what both cameras' images of a source's episodes take."""
    images = 2 * _num_episodes(config) * config.costs.episode_steps
    return Hours(images / config.costs.images_per_second / _SECONDS)


def vla_hours(config: PaperConfig) -> Hours:
    """Returns what one VLA's training takes; every GPU has a core beside it."""
    hours = config.vla.model.num_updates / config.costs.vla_updates_per_second / _SECONDS
    return Hours(hours, hours * config.vla.gpus_per_worker)


def evaluation_hours(config: PaperConfig, selector: str) -> Hours:
    """Returns what an evaluation on these tasks takes."""
    costs, num_tasks = config.costs, len(select_tasks(selector))
    steps = num_tasks * config.benchmark.num_episodes * costs.evaluated_episode_steps
    hours = steps / costs.evaluate_env_steps_per_second / _SECONDS
    return Hours(hours, hours * config.benchmark.num_gpus_per_worker)


def total_hours(jobs: Iterable[Job]) -> Hours:
    """Returns the sum over jobs."""
    return sum((job.hours for job in jobs), Hours())


def price(config: PaperConfig, hours: Hours) -> float | None:
    """Returns the price of some hours; None as long as a price that it needs is not set."""
    parts = ((hours.core, config.costs.core_hour_price), (hours.gpu, config.costs.gpu_hour_price))
    if any(number and rate is None for number, rate in parts):
        return None
    return sum(number * (rate or 0) for number, rate in parts)


def _num_episodes(config: PaperConfig) -> int:
    return len(config.tasks) * config.collect.num_episodes
