"""Frozen, typed settings and their loader."""

from rl_datagen.config.campaign import CampaignConfig, CampaignSection
from rl_datagen.config.loader import load_config, parse_override
from rl_datagen.config.schema import (
    AlgoConfig,
    AmplifyConfig,
    CollectConfig,
    Config,
    DemosConfig,
    DiffusionConfig,
    EvaluationConfig,
    GaussianConfig,
    ImportConfig,
    PolicyConfig,
    RenderConfig,
    SimConfig,
    WarmStartConfig,
)

__all__ = [
    "AlgoConfig",
    "AmplifyConfig",
    "CampaignConfig",
    "CampaignSection",
    "CollectConfig",
    "Config",
    "DemosConfig",
    "DiffusionConfig",
    "EvaluationConfig",
    "GaussianConfig",
    "ImportConfig",
    "PolicyConfig",
    "RenderConfig",
    "SimConfig",
    "WarmStartConfig",
    "load_config",
    "parse_override",
]
