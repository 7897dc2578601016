from typing import get_args

import pytest
from pydantic import BaseModel

from rl_datagen.config import (
    AmplifyConfig,
    CampaignConfig,
    CollectionConfig,
    EvaluateConfig,
    ImportConfig,
    PaperConfig,
    VlaConfig,
    load_config,
)
from rl_datagen.core.errors import ConfigError

_MODELS = (AmplifyConfig, CampaignConfig, CollectionConfig, EvaluateConfig, ImportConfig)
_NEEDED = {
    CollectionConfig: ["experts=x"],
    EvaluateConfig: ["policy=x"],
    VlaConfig: ["datasets=x"],
}


def _types(annotation):
    """The type and what it is made of, ``Annotated`` and unions taken apart."""
    yield annotation
    for part in get_args(annotation):
        yield from _types(part)


def _settings(model, prefix=""):
    for name, field in model.model_fields.items():
        types = list(_types(field.annotation))
        sections = [t for t in types if isinstance(t, type) and issubclass(t, BaseModel)]
        for section in sections:
            kind = section.model_fields.get("kind")
            first = [f"{prefix}{name}.kind={kind.default}"] if kind else []
            for path, type_, before in _settings(section, f"{prefix}{name}."):
                yield path, type_, [*first, *before]
        for number in (int, float):
            if not sections and number in types:
                yield f"{prefix}{name}", number, []


_NUMBERS = {
    (model.__name__, path): (model, [*_NEEDED.get(model, ()), *before], number)
    for model in (*_MODELS, PaperConfig, VlaConfig)
    for path, number, before in _settings(model)
    if not path.startswith("datasets.")
}


def test_the_walk_finds_the_settings():
    assert ("CampaignConfig", "policy.init_std") in _NUMBERS
    assert ("VlaConfig", "model.num_loader_workers") in _NUMBERS
    assert ("PaperConfig", "costs.core_hour_price") in _NUMBERS
    assert len(_NUMBERS) > 250


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "inf", "-1", "1e300", str(2**63)])
def test_no_number_is_infinite_or_larger_than_anything_can_be(value):
    for (_, path), (model, before, _) in _NUMBERS.items():
        with pytest.raises(ConfigError) as error:
            load_config([*before, f"{path}={value}"], model=model)
        assert path.rpartition(".")[2] in str(error.value)


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("algo.lr=inf", ("algo.lr='inf'", "finite")),
        ("seed=9223372036854775808", ("seed=9223372036854775808", "less than")),
        ("policy.unet_channels=[66,128]", ("66", "multiple of 8", "64 or 72")),
        ("policy.unet_channels=[]", ("unet_channels", "at least 1")),
        ("policy.unet_channels=[8,8,8,8]", ("last level", "16 channels or more")),
        ("algo.num_gpus_per_learner=1.5", ("num_gpus_per_learner=1.5", "0.25", "whole")),
        ("collect.render.num_gpus_per_worker=0.00001", ("num_gpus_per_worker", "0.0001")),
        ("policy.min_logprob_denoising_std=1e-30", ("min_logprob_denoising_std", "0.000001")),
        (f"name={'x' * 300}", ("Setting name", "120")),
        ("policy.encoder_width=1000000000000", ("encoder_width", "16384")),
    ],
)
def test_what_cannot_be_built_is_refused_with_what_can(argument, parts):
    with pytest.raises(ConfigError) as error:
        load_config([argument])
    for part in parts:
        assert part in str(error.value)


def test_a_seed_may_be_as_large_as_an_integer_in_a_file():
    assert load_config([f"seed={2**63 - 1}"]).seed == 2**63 - 1
