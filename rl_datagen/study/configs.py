"""What each job of the study is told: the configurations of the commands that it stands for."""

from pathlib import Path
from typing import Any

from rl_datagen.config import (
    CampaignConfig,
    CollectionConfig,
    EvaluateConfig,
    GaussianConfig,
    PaperConfig,
    RenderConfig,
    ShardsConfig,
    VlaConfig,
)

EXPERTS = ("gaussian_rl", "diffusion_rl")
SAMPLED = "gaussian_rl_sampled"
"""Of the same experts as ``gaussian_rl``."""


def experts_of(source: str) -> str | None:
    """Returns the experts that act in a source's dataset: one of ``EXPERTS``, or None."""
    owner = "gaussian_rl" if source == SAMPLED else source
    return owner if owner in EXPERTS else None


def sources(config: PaperConfig) -> tuple[str, ...]:
    """Returns what acts in the study's datasets."""
    sampled = (SAMPLED,) if config.gaussian_sampled else ()
    return (config.human.source, "gaussian_rl", *sampled, "diffusion_rl")


def mixtures(config: PaperConfig) -> tuple[str, ...]:
    """Returns what the VLAs learn from: each source, and the first with the last."""
    every = sources(config)
    return (*every, f"{every[0]}+{every[-1]}")


def folder_of(config: PaperConfig) -> Path:
    """Returns the study's folder."""
    return Path(config.output_dir, "papers", config.name)


def campaign_of(config: PaperConfig, source: str) -> CampaignConfig:
    """Returns the campaign that makes a source's experts."""
    values = config.model_dump(include=set(CampaignConfig.model_fields))
    if source == "gaussian_rl":
        shared = GaussianConfig.model_fields.keys() & config.policy.model_dump(exclude={"kind"})
        values["policy"] = GaussianConfig(**config.policy.model_dump(include=shared)).model_dump()
        # Its chain has one step: as many decisions to a gradient step, not as many pairs.
        values["algo"]["minibatch_size"] = max(
            1, config.algo.minibatch_size // config.policy.num_denoising_steps
        )
    if storage := config.campaign.storage:
        values["campaign"]["storage"] = f"{storage.rstrip('/')}/{source}"
    return CampaignConfig.model_validate({**values, "name": _name(config, source)})


def collection_of(config: PaperConfig, source: str) -> CollectionConfig:
    """Returns the collection of a source's episodes."""
    values: dict[str, Any] = config.collect.model_dump(include=set(ShardsConfig.model_fields))
    if experts := experts_of(source):
        campaign = campaign_of(config, experts)
        values |= {"source": "experts", "experts": campaign.campaign.storage or campaign.name}
        values["gaussian_actions"] = "sampled" if source == SAMPLED else "mean"
    else:
        values |= {"source": source, "demonstrations": config.human.demonstrations}
        values["action_noise"] = config.demos.action_noise
    return CollectionConfig(
        **values,
        name=_name(config, source),
        task=config.task,
        seed=config.seed,
        output_dir=config.output_dir,
        sim=config.sim,
    )


def render_of(config: PaperConfig) -> RenderConfig:
    """Returns how datasets are rendered: all episodes, since VLAs learn from all."""
    return config.collect.render.model_copy(update={"num_episodes": None})


def dataset_of(config: PaperConfig, mixture: str) -> Path:
    """Returns the folder of a dataset."""
    return Path(config.output_dir, "datasets", _name(config, mixture))


def vla_of(config: PaperConfig, mixture: str, *, zero_shot: bool = False) -> VlaConfig:
    """Returns the training of a VLA: for the same tables, all but the data is the same."""
    return VlaConfig.model_validate(
        {
            **config.vla.model_dump(),
            "name": _name(config, mixture, zero_shot),
            "seed": config.seed,
            "output_dir": config.output_dir,
            "datasets": [str(dataset_of(config, mixture))],
            "task": config.zero_shot.train if zero_shot and config.zero_shot else config.task,
            "mlflow_uri": config.campaign.mlflow_uri,
        }
    )


def evaluation_of(config: PaperConfig, mixture: str, *, zero_shot: bool = False) -> EvaluateConfig:
    """Returns the evaluation of a VLA."""
    vla = vla_of(config, mixture, zero_shot=zero_shot)
    return EvaluateConfig(
        **config.benchmark.model_dump(),
        policy=str(vla.folder),
        name=vla.name,
        task=config.zero_shot.evaluate if zero_shot and config.zero_shot else config.task,
        seed=config.seed,
        output_dir=config.output_dir,
        sim=config.sim,
        confidence=config.evaluation.confidence,
    )


def _name(config: PaperConfig, mixture: str, zero_shot: bool = False) -> str:
    suffix = "-zero-shot" if zero_shot else ""
    return f"{config.name}-{mixture.replace('+', '-')}{suffix}"
