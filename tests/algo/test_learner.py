"""One learner, without Ray's processes."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_datagen.algo.dppo import to_rllib
from rl_datagen.algo.learner import ITERATION
from rl_datagen.core.errors import UserError
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.schema import CAMERAS
from tests.toy import demonstrations

pytestmark = pytest.mark.filterwarnings("ignore")  # RLlib warns about its own interior


def make_learner(config, **algo):
    update = {"num_critic_warmup_iterations": 0, **algo}
    config = config.model_copy(update={"algo": config.algo.model_copy(update=update)})
    rllib = to_rllib(config, NormStats.from_trajectories(demonstrations(5)), env="toy")
    box = lambda *shape: gym.spaces.Box(-1, 1, shape, np.float32)  # noqa: E731
    spec = rllib.rl_module_spec
    spec.observation_space = gym.spaces.Dict({"proprio": box(8), "object_state": box(3)})
    spec.action_space = box(4, 7)
    spec = MultiRLModuleSpec(rl_module_specs={DEFAULT_MODULE_ID: spec})
    learner = rllib.learner_class(config=rllib, module_spec=spec)
    learner.build()
    return learner


def make_episodes(learner, num=6, decisions=5):
    """Episodes in which the learner's own policy acts on random states."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    return [make_episode(learner.module[DEFAULT_MODULE_ID], rng, decisions) for _ in range(num)]


def make_episode(module, rng, decisions):
    draw = lambda size: rng.normal(0, 0.1, (decisions + 1, size)).astype(np.float32)  # noqa: E731
    observation = {"proprio": draw(8), "object_state": draw(3)}
    if module.policy.config.mode == "pixel":
        size = module.policy.config.image_size
        shape = (decisions + 1, size, size, 3)
        observation |= {name: rng.integers(0, 256, shape, np.uint8) for name in CAMERAS}
    rows = {key: torch.from_numpy(value[:-1]) for key, value in observation.items()}
    output = {k: v.numpy() for k, v in module.forward_exploration({"obs": rows}).items()}
    success = bool(rng.integers(2))
    last = {"num_env_steps": 4 * decisions, "init_state_index": -1, "seed": 0}
    return SingleAgentEpisode(
        observations=[{k: v[i] for k, v in observation.items()} for i in range(decisions + 1)],
        actions=list(output.pop("actions")),
        rewards=[0.0] * (decisions - 1) + [float(success)],
        infos=[{}] * decisions + [last],
        terminated=success,
        truncated=not success,
        extra_model_outputs={key: list(value) for key, value in output.items()},
        len_lookback_buffer=0,
    ).to_numpy()


def update(learner, episodes, iteration=0):
    result = learner.update(
        episodes=episodes, timesteps={ITERATION: iteration}, num_epochs=2, minibatch_size=40
    )
    return {name: stats.peek() for name, stats in result[DEFAULT_MODULE_ID].items()}


def weights(learner, part):
    return getattr(learner.module[DEFAULT_MODULE_ID], part).state_dict()


def test_parts_of_a_minibatch_add_up(small_config):
    whole, parts = make_learner(small_config), make_learner(small_config, micro_batch_size=7)
    episodes = make_episodes(whole)
    one, other = update(whole, episodes), update(parts, episodes)
    for part in ("policy", "critic"):
        for name, value in weights(whole, part).items():
            torch.testing.assert_close(weights(parts, part)[name], value, rtol=1e-4, atol=1e-5)
    for name in ("approx_kl", "clip_fraction", "policy_loss"):
        assert other[name] == pytest.approx(one[name], rel=0.05, abs=1e-4)


def test_the_kl_limit_sees_all_parts(small_config):
    limits = {"target_kl": 1e-4, "lr": 1e-2}  # above rounding, below what one step does
    learners = [make_learner(small_config, micro_batch_size=n, **limits) for n in (None, 7)]
    episodes = make_episodes(learners[0])
    for learner in learners:
        update(learner, episodes)
        state = learner.get_optimizer(DEFAULT_MODULE_ID, "actor").state
        assert {int(item["step"]) for item in state.values()} == {2}  # of six


def test_a_frozen_actor_stays_while_the_critic_learns(small_config):
    learner = make_learner(small_config, num_critic_warmup_iterations=1)
    episodes = make_episodes(learner)
    before = {part: {k: v.clone() for k, v in weights(learner, part).items()} for part in PARTS}
    assert "policy_loss" not in update(learner, episodes, iteration=0)
    assert all(v.equal(before["policy"][k]) for k, v in weights(learner, "policy").items())
    assert not all(v.equal(before["critic"][k]) for k, v in weights(learner, "critic").items())
    assert "policy_loss" in update(learner, episodes, iteration=1)
    assert not all(v.equal(before["policy"][k]) for k, v in weights(learner, "policy").items())


PARTS = ("policy", "critic")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rewards", "The vf_loss is nan in iteration 3"),
        ("chain_log_prob", "The policy_loss is nan in iteration 3"),
        ("observations", "'proprio' holds NaN"),
    ],
)
def test_nan_in_a_batch_is_a_clear_error(small_config, name, message):
    learner = make_learner(small_config)
    episodes = make_episodes(learner)
    episode = episodes[2]
    {
        "rewards": episode.rewards.data,
        "observations": episode.observations.data["proprio"],
        "chain_log_prob": episode.extra_model_outputs["chain_log_prob"].data,
    }[name][1] = np.nan
    with pytest.raises(UserError, match=message):
        update(learner, episodes, iteration=3)


def test_a_chunk_cut_short_by_success_does_not_learn_from_what_was_not_done(small_config):
    """What was predicted after the success changes nothing."""
    learners = [make_learner(small_config) for _ in range(2)]
    batches = [make_episodes(learners[0]) for _ in range(2)]
    for number, (learner, episodes) in enumerate(zip(learners, batches, strict=True)):
        for episode in episodes:
            episode.infos[-1]["num_env_steps"] -= 3  # the last chunk ran for one env step
            log_prob = episode.extra_model_outputs["chain_log_prob"]
            log_prob.data[-1, :, 1:] += number * 5.0
        update(learner, episodes)
    for name, value in weights(learners[0], "policy").items():
        assert value.equal(weights(learners[1], "policy")[name])
