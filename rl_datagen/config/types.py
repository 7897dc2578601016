"""What settings are made of: sections, and types whose values can be worked with.

Whatever a type accepts can be built: numbers are finite, and no larger than what they count can be.
"""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rl_datagen.core.paths import check_storage, expand_folder, expand_home, expand_local
from rl_datagen.tasks import get_task, select_tasks

Source = Literal[
    "human",
    "amplified",
    "gaussian_rl",
    "gaussian_rl_sampled",
    "diffusion_rl",
    "recovery",
    "pattern",
]
"""What acts in an episode."""

MANY = 1_000_000_000  # a timeout in seconds that Ray and sockets still take, and any count

PositiveInt = Annotated[int, Field(ge=1, le=MANY)]
Count = Annotated[int, Field(ge=0, le=MANY)]
PositiveFloat = Annotated[float, Field(gt=0, le=MANY)]
NonNegativeFloat = Annotated[float, Field(ge=0, le=MANY)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=1e-6, le=1e3)]
"""A standard deviation whose square float32 can tell from nothing."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What NumPy, PyTorch and a Parquet file's column all take."""
Width = Annotated[int, Field(ge=1, le=16_384)]
"""Units of a layer."""
Horizon = Annotated[int, Field(ge=1, le=1024)]
"""Env steps of an action chunk."""
Channels = Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]
"""Channels of each level of a U-Net."""
NumEpisodes = Annotated[int, Field(ge=1, le=1_000_000)]
"""Episodes of one task."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=120)]
"""A folder's name, with room for what is added to it."""

_GROUPS = 8  # of the denoiser's group normalisation, or fewer if there are fewer channels


def _gpu_share(value: float) -> float:
    if value > 1 and value != math.floor(value):
        raise ValueError("give a share of one GPU, such as 0.25, or whole ones, such as 1 or 2")
    if 0 < value < 1e-4:
        raise ValueError("the smallest share of a GPU is 0.0001; 0 takes none")
    return value


def _known_task(value: str) -> str:
    return get_task(value).id


def _known_tasks(value: str) -> str:
    select_tasks(value)
    return value


def _known_storage(value: str) -> str:
    check_storage(value)
    return value


GpuShare = Annotated[float, Field(ge=0, le=1), AfterValidator(_gpu_share)]
"""Part of a GPU, as Ray gives it out."""
Gpus = Annotated[float, Field(ge=0, le=1024), AfterValidator(_gpu_share)]
"""Part of a GPU or whole ones, as Ray gives them out."""
TaskId = Annotated[str, AfterValidator(_known_task)]
TaskSelector = Annotated[str, AfterValidator(_known_tasks)]
Folder = Annotated[str, Field(min_length=1), AfterValidator(expand_local)]
"""A folder or file on this machine, as every library reads it; see ``core.paths``."""
FolderOrUri = Annotated[str, Field(min_length=1), AfterValidator(expand_folder)]
"""The same, or a URI, which is left alone."""
StorageUri = Annotated[FolderOrUri, AfterValidator(_known_storage)]
"""The same, of a storage that is supported."""
FolderOrName = Annotated[str, Field(min_length=1), AfterValidator(expand_home)]
"""A folder, URI or address, or a word that stands for one."""
Backend = Literal["exact", "stock"]
Appearance = Literal["original", "mujoco"]
RenderBackend = Literal["culled", "stock"]
Rendering = Literal["exact", "plain"]


class Section(BaseModel):
    """A part of the configuration: frozen, and closed to unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


def check_chunk(action_steps: int, action_horizon: int) -> None:
    """Raises ValueError if more actions are executed than are predicted."""
    if action_steps > action_horizon:
        raise ValueError(
            f"action_steps={action_steps} is more than action_horizon={action_horizon}: a policy "
            "cannot execute actions it has not predicted. Lower action_steps or raise "
            "action_horizon"
        )


def check_unet(channels: tuple[int, ...], action_horizon: int) -> None:
    """Raises ValueError if no U-Net with these channels can be built over such chunks.

    Each level normalises its channels in groups, and each further level halves the chunk.
    """
    levels = len(channels)
    shrink = 2 ** (levels - 1)
    if action_horizon % shrink:
        raise ValueError(
            f"action_horizon={action_horizon} must be a multiple of {shrink}, since the "
            f"{levels} levels of unet_channels halve it that often"
        )
    if odd := [size for size in channels if size % min(_GROUPS, size)]:
        raise ValueError(
            f"unet_channels={list(channels)}: {odd[0]} is neither less than {_GROUPS} nor a "
            f"multiple of {_GROUPS}, the groups in which channels are normalised. Take "
            f"{odd[0] // _GROUPS * _GROUPS} or {-(-odd[0] // _GROUPS) * _GROUPS}"
        )
    if action_horizon == shrink and channels[-1] <= _GROUPS:
        raise ValueError(
            f"unet_channels={list(channels)} with action_horizon={action_horizon}: one env step is "
            f"left at the last level, whose {channels[-1]} channels are then groups of one number "
            f"that cannot be normalised. Give it {2 * _GROUPS} channels or more, take fewer levels "
            "or raise action_horizon"
        )
