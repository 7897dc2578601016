import pytest

from rl_datagen.config import Config, VlaConfig, load_config
from rl_datagen.core.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["expert_pixel", "ablation/gaussian"],
            (
                "'ablation/gaussian' would silently undo 'expert_pixel'",
                "without policy.encoder=resnet, policy.random_shift=4, ",
                "Give 'ablation/gaussian' first",
            ),
        ),
        (
            ["policy.encoder=resnet", "policy.kind=gaussian"],
            ("'policy.kind=gaussian' would silently undo 'policy.encoder=resnet'",),
        ),
        (
            ["ablation/denoising_steps_10", "ablation/gaussian"],
            ("There is no policy.num_denoising_steps with policy.kind=gaussian: leave one",),
        ),
        (
            ["policy.kind=gaussian", "policy.init_std=0.2", "policy.kind=diffusion"],
            ("There is no policy.init_std with policy.kind=diffusion: leave one",),
        ),
        (["expert_pixel", "expert_state"], ("two different things", "policy.encoder=resnet")),
        (["expert_state", "ablation/vit"], ("two different things", "policy.encoder=vit")),
    ],
)
def test_what_silently_undoes_something_is_refused(arguments, parts):
    with pytest.raises(ConfigError) as error:
        load_config(arguments)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize("pair", [("vla/pi0", "vla/smolvla"), ("vla/tiny", "vla/pi0")])
def test_two_vlas_are_not_mixed(pair):
    with pytest.raises(ConfigError, match=r"silently undo|two different things"):
        load_config([*pair, "datasets=here"], model=VlaConfig)


@pytest.mark.parametrize(
    ("arguments", "kind", "encoder"),
    [
        (["ablation/gaussian", "expert_pixel"], "gaussian", "resnet"),
        (["expert_pixel", "ablation/vit"], "diffusion", "vit"),
        (["expert_state", "ablation/gaussian"], "gaussian", "state"),  # nothing is lost
        (["expert_pixel", "expert_state", "policy.encoder=state"], "diffusion", "state"),
        (["expert_pixel", "policy.encoder=state"], "diffusion", "state"),
        (
            [
                *("expert_pixel", "ablation/gaussian"),
                *(
                    "policy.encoder=resnet",
                    "policy.random_shift=4",
                    "policy.unet_channels=[80,160]",
                ),
            ],
            "gaussian",
            "resnet",
        ),
    ],
)
def test_what_can_be_read_off_the_command_line_is_allowed(arguments, kind, encoder):
    policy = load_config(arguments).policy
    assert (policy.kind, policy.encoder) == (kind, encoder)


def test_a_section_that_is_given_as_a_whole_may_go(tmp_path):
    from rl_datagen.config import PaperConfig

    overlay = tmp_path / "mine.yaml"
    overlay.write_text("zero_shot: {train: libero_goal}\n")
    assert load_config([str(overlay), "zero_shot=null"], model=PaperConfig).zero_shot is None


def test_a_stored_configuration_is_none_of_these(tmp_path):
    stored = tmp_path / "config.yaml"
    stored.write_text("policy: {kind: gaussian, encoder: vit}\n")
    assert load_config(base=stored) != Config()
