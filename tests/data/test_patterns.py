import pytest

from rl_datagen.data.branches import Branch, branch_of
from rl_datagen.data.names import check_name
from rl_datagen.data.patterns import Pattern, pattern_of

OWN = "libero_goal-3-diffusion_rl-0-00012"


def test_an_id_says_which_way_the_episode_takes():
    pattern = Pattern(OWN, 2)
    assert pattern.episode_id == f"{OWN}-pattern-02"
    assert pattern_of(pattern.episode_id) == pattern
    assert check_name(pattern.episode_id) == pattern.episode_id


@pytest.mark.parametrize("name", [OWN, "pattern-1", f"{OWN}-pattern-1-x"])
def test_other_episodes_take_the_experts_own_way(name):
    assert pattern_of(name) == Pattern(name, 0)


def test_a_pattern_may_be_branched_off():
    name = Branch(Pattern(OWN, 1).episode_id, 41, 49, 0).episode_id
    assert pattern_of(branch_of(name).origin) == Pattern(OWN, 1)
