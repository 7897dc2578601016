import pytest

from rl_datagen.data.branches import Branch, branch_of, opening_of


def test_an_id_says_where_the_episode_branched_off():
    branch = Branch("libero_goal-3-diffusion_rl-0-00012", 41, 49, 2)
    assert branch.episode_id == "libero_goal-3-diffusion_rl-0-00012-branch-0041-0049-02"
    assert branch_of(branch.episode_id) == branch
    assert opening_of(branch.episode_id) == 49


def test_a_branch_of_a_branch_leaves_the_branch():
    inner = Branch("a", 3, 5, 0)
    outer = Branch(inner.episode_id, 60, 66, 1)
    assert branch_of(outer.episode_id) == outer


@pytest.mark.parametrize(
    "name", ["libero_goal-3-diffusion_rl-0-00012", "branch-1-2-3", "a-branch-1-2"]
)
def test_other_episodes_branched_off_nowhere(name):
    assert branch_of(name) is None
    assert opening_of(name) == 0
