"""What is rendered besides LIBERO's two images: modalities, cameras, and varied copies."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from rl_datagen.config.types import Section, Seed

Modality = Literal["depth", "segmentation"]
Axis = Literal["light", "texture", "background", "camera", "fov", "noise"]

MODALITIES: tuple[Modality, ...] = ("depth", "segmentation")
AXES: tuple[Axis, ...] = ("light", "texture", "background", "camera", "fov", "noise")
MOVING: tuple[Axis, ...] = ("camera", "fov")
"""Those that change where a pixel looks, and so depth and segmentation, too."""

_Metres = Annotated[float, Field(ge=-100, le=100)]
Point = tuple[_Metres, _Metres, _Metres]
CameraName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,31}$")]


class CameraConfig(Section):
    """A further camera, placed by where it is and what it looks at."""

    position: Point
    """Where it is, m."""
    look_at: Point
    """The point in the middle of its image, m."""
    up: Point | None = None
    """What is up in its image; null: the world's up, or the wrist camera's."""
    mount: Literal["world", "wrist"] = "world"
    """What it is fixed to, and whose frame the points above are in: the ``world`` (z is up), or the
    ``wrist`` camera of LIBERO (x is right, y down and z forward in its image)."""
    fov: Annotated[float, Field(ge=5, le=150)] = 45
    """Vertical field of view, degrees."""

    @model_validator(mode="after")
    def _looks_somewhere(self) -> Self:
        ahead = [b - a for a, b in zip(self.position, self.look_at, strict=True)]
        up = self.upward
        cross = [ahead[i - 2] * up[i - 1] - ahead[i - 1] * up[i - 2] for i in range(3)]
        size = sum(a * a for a in ahead) * sum(u * u for u in up)
        if sum(c * c for c in cross) <= 1e-6 * size:
            raise ValueError(
                f"a camera at {list(self.position)} that looks at {list(self.look_at)} with "
                f"{list(up)} up has no direction: move look_at, or give another up"
            )
        return self

    @property
    def upward(self) -> Point:
        """What is up in its image."""
        return self.up or ((0.0, 0.0, 1.0) if self.mount == "world" else (0.0, -1.0, 0.0))


class ViewsConfig(Section):
    """What is rendered besides LIBERO's two images. By default nothing."""

    modalities: tuple[Modality, ...] = ()
    """Of each camera: ``depth``, ``segmentation``."""
    cameras: dict[CameraName, CameraConfig] = Field(default_factory=dict)
    """Further cameras by name."""
    vary: tuple[Axis, ...] = ()
    """What differs in the copies; the physics never does."""
    copies: Annotated[int, Field(ge=0, le=99)] = 0
    """Varied copies of each image."""
    seed: Seed = 0
    """What the copies are drawn from, with the episode's id and the copy's number."""

    @field_validator("modalities", "vary")
    @classmethod
    def _in_one_order(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in (*MODALITIES, *AXES) if name in values)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if bool(self.vary) != bool(self.copies):
            raise ValueError(
                f"vary={list(self.vary)} with copies={self.copies}: name what varies "
                f"({', '.join(AXES)}) and how many copies are made of it, or neither"
            )
        if taken := {"agentview", "wrist"} & set(self.cameras):
            raise ValueError(f"'{min(taken)}' is LIBERO's own camera: give another name")
        return self

    @property
    def is_plain(self) -> bool:
        """Whether there are LIBERO's two images and nothing else."""
        return not (self.modalities or self.cameras or self.copies)


PLAIN = ViewsConfig()
"""LIBERO's two images."""


def described(settings: ViewsConfig) -> str:
    """Returns what is rendered besides LIBERO's two images, in words."""
    if settings.is_plain:
        return "nothing besides LIBERO's two images"
    parts = [f"--modalities {','.join(settings.modalities)}"] if settings.modalities else []
    parts += [f"the cameras {', '.join(settings.cameras)}"] if settings.cameras else []
    if settings.copies:
        parts += [f"--vary {','.join(settings.vary)}", f"--copies {settings.copies}"]
        parts += [f"--seed {settings.seed}"]
    return " ".join(parts)
