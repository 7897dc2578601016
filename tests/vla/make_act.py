"""Writes an ACT checkpoint, tiny and with new weights, for LIBERO's cameras at 64 pixels.

Run in lerobot's environment: ``python make_act.py FOLDER``.
"""

import sys
from pathlib import Path

import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies import make_pre_post_processors
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy


def main(folder: Path) -> None:
    torch.manual_seed(0)
    image = PolicyFeature(FeatureType.VISUAL, (3, 64, 64))
    config = ACTConfig(
        input_features={
            "observation.images.image": image,
            "observation.images.image2": image,
            "observation.state": PolicyFeature(FeatureType.STATE, (8,)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (7,))},
        chunk_size=4,
        n_action_steps=4,
        dim_model=32,
        n_heads=2,
        dim_feedforward=32,
        n_encoder_layers=1,
        n_vae_encoder_layers=1,
        pretrained_backbone_weights=None,
        push_to_hub=False,
        device="cpu",
    )
    sizes = {"action": (7,), "observation.state": (8,)}
    sizes |= {key: (3, 1, 1) for key in config.input_features if "images" in key}
    statistics = {
        key: {"mean": torch.zeros(size), "std": torch.ones(size)} for key, size in sizes.items()
    }
    ACTPolicy(config).save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=statistics):
        processor.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
