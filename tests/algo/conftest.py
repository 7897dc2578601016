import os

import pytest

import tests.toy as toy
from rl_datagen.algo.bc import warm_start
from rl_datagen.policy import save_expert
from tests.toy import demonstrations, make_toy_env, toy_config

os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

SMALL = (
    "policy.unet_channels=[16]",
    "policy.num_denoising_steps=3",
    "warm_start.num_updates=30",
    "algo.num_iterations=3",
    "algo.num_env_runners=2",
    "algo.num_critic_warmup_iterations=1",
    "algo.num_envs_per_env_runner=4",
    "algo.num_episodes_per_iteration=21",
    "algo.minibatch_size=64",
    "algo.num_critic_epochs=2",
    "algo.critic_minibatch_size=32",
    "algo.critic_width=16",
    "algo.target_kl=100",
)


@pytest.fixture(scope="module")
def toy_ray():
    """A local Ray that knows the toy environment; tests of other modules end each other's."""
    import ray
    from ray import cloudpickle, tune

    ray.shutdown()

    cloudpickle.register_pickle_by_value(toy)  # workers cannot import tests
    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    tune.register_env("toy", make_toy_env)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def small_config():
    return toy_config(*SMALL)


@pytest.fixture(scope="session")
def one_process(small_config):
    """As small, but nothing waits for other processes to start."""
    algo = small_config.algo.model_copy(update={"num_env_runners": 0})
    return small_config.model_copy(update={"algo": algo})


@pytest.fixture(scope="session")
def expert_dir(tmp_path_factory, small_config):
    folder = tmp_path_factory.mktemp("expert")
    policy, stats, metrics = warm_start(demonstrations(10), small_config)
    save_expert(folder, policy, small_config, stats, metrics)
    return folder
