"""A policy is shown images coloured as those it learnt from."""

from types import SimpleNamespace

import pytest

from rl_datagen.config import SimConfig
from rl_datagen.core.errors import ConfigError
from rl_datagen.rollout import rollout


@pytest.mark.parametrize(
    ("policy", "refused"),
    [
        ({"image_size": 64, "appearance": "mujoco"}, True),
        ({"image_size": 64, "appearance": "original"}, False),
        ({"image_size": None, "appearance": "mujoco"}, False),  # it looks at no images
        ({"image_size": 64}, False),  # it does not say
    ],
)
def test_another_appearance_is_refused_before_any_episode(policy, refused):
    task = SimpleNamespace(max_episode_steps=10)
    scene = SimpleNamespace(appearance="original", simulator=lambda: None, task=task)
    episodes = rollout(
        SimpleNamespace(**policy), scene, [], source="human", sim=SimConfig(), num_simulators=1
    )
    if refused:
        with pytest.raises(ConfigError, match=r"Give sim\.appearance=mujoco, or train it anew"):
            list(episodes)
    else:
        assert list(episodes) == []
