"""GR00T's ``meta/modality.json``: where state, action, videos and instruction are.

GR00T reads LeRobot v2 with this file beside it. The keys are those of its LIBERO configuration,
whose ``roll``, ``pitch`` and ``yaw`` are the three entries of LIBERO's axis-angle
(https://github.com/NVIDIA/Isaac-GR00T, getting_started/data_preparation.md, examples/LIBERO).
"""

from typing import Any

from rl_datagen.export.lerobot_layout import Layout

_AXES = ("x", "y", "z", "roll", "pitch", "yaw")
_VIDEOS = ("image", "wrist_image")  # outer camera, wrist camera


def modality(layout: Layout) -> dict[str, Any]:
    """Returns the file's content for the names of a layout."""
    return {
        "state": _slices(layout.state, gripper_width=2),
        "action": _slices(layout.action, gripper_width=1),
        "video": {
            key: {"original_key": camera}
            for key, camera in zip(_VIDEOS, layout.cameras, strict=True)
        },
        "annotation": {"human.action.task_description": {"original_key": "task_index"}},
    }


def _slices(feature: str, gripper_width: int) -> dict[str, Any]:
    ends = {**{axis: number + 1 for number, axis in enumerate(_AXES)}, "gripper": 6 + gripper_width}
    begins = dict(zip(ends, range(7), strict=True))
    return {
        key: {"start": begins[key], "end": end, "original_key": feature}
        for key, end in ends.items()
    }
