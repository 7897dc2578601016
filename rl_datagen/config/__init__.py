"""Frozen, typed settings and their loader."""

from rl_datagen.config.ablation import DEFAULT_ARM, AblationConfig
from rl_datagen.config.algo import AlgoConfig, VerdictConfig, WarmStartConfig
from rl_datagen.config.campaign import CampaignConfig, CampaignSection
from rl_datagen.config.evaluation import PERTURBED, EvaluateConfig, Mixture
from rl_datagen.config.jobs import AmplifyConfig, CollectionConfig, ImportConfig
from rl_datagen.config.loader import load_config, parse_override, stored_config
from rl_datagen.config.paper import PaperConfig
from rl_datagen.config.policy import DiffusionConfig, GaussianConfig, PolicyConfig
from rl_datagen.config.schema import (
    ATTEMPTS_PER_SHARD,
    CollectConfig,
    Config,
    DemosConfig,
    EvaluationConfig,
    RenderConfig,
    ShardsConfig,
    SimConfig,
)
from rl_datagen.config.types import Appearance, Backend, RenderBackend, Rendering
from rl_datagen.config.vla import LerobotConfig, MixturePart, SmallVlaConfig, VlaConfig

__all__ = [
    "ATTEMPTS_PER_SHARD",
    "DEFAULT_ARM",
    "PERTURBED",
    "AblationConfig",
    "AlgoConfig",
    "AmplifyConfig",
    "Appearance",
    "Backend",
    "CampaignConfig",
    "CampaignSection",
    "CollectConfig",
    "CollectionConfig",
    "Config",
    "DemosConfig",
    "DiffusionConfig",
    "EvaluateConfig",
    "EvaluationConfig",
    "GaussianConfig",
    "ImportConfig",
    "LerobotConfig",
    "Mixture",
    "MixturePart",
    "PaperConfig",
    "PolicyConfig",
    "RenderBackend",
    "RenderConfig",
    "Rendering",
    "ShardsConfig",
    "SimConfig",
    "SmallVlaConfig",
    "VerdictConfig",
    "VlaConfig",
    "WarmStartConfig",
    "load_config",
    "parse_override",
    "stored_config",
]
