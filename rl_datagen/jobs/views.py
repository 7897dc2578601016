"""What is rendered of an episode besides LIBERO's two images."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rl_datagen.config import RenderConfig
from rl_datagen.config.views import ViewsConfig
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.views import View, ViewName, view_names
from rl_datagen.sim import Scene, render

_Images = dict[str, np.ndarray]  # [T, H, W, 3] by camera


def render_views(
    episode_id: str,
    scene: Scene,
    poses: Sequence[render.Pose],
    settings: RenderConfig,
    views: ViewsConfig,
) -> RenderedEpisode:
    """Looks at an episode with every camera, in every copy.

    Args:
        episode_id: The episode, of which each copy's seed derives.
        scene: Its task.
        poses: What there is to see at each env step.
        settings: Size and encoding of the images.
        views: What to render.
    """
    cameras = viewpoints(views)
    seen: dict[str, View] = {}
    variations: list[render.Variation] = []
    for copy in range(views.copies + 1):
        variation, placed = None, cameras
        if copy:
            variation = render.draw_variation(
                scene, views.vary, cameras, views.seed, episode_id, copy
            )
            variations.append(variation)
            placed = {name: variation.view(name, cameras[name]) for name in cameras}
        images = _look(scene, placed, poses, settings.image_size, variation)
        mine = [view for view in view_names(views) if view.copy == copy]
        seen |= _measure(scene, placed, poses, views, images, mine, seen)
    return RenderedEpisode(
        episode_id,
        seen["agentview"].image,
        seen["wrist"].image,
        settings.encoding,
        scene.appearance,
        views,
        seen,
        tuple(json.dumps(each.as_dict()) for each in variations),
    )


def viewpoints(views: ViewsConfig) -> dict[str, render.Viewpoint]:
    """Returns LIBERO's two cameras and the further ones, by name."""
    own = {str(camera): render.Viewpoint(camera) for camera in render.CAMERAS}
    return own | {name: render.placed(config) for name, config in views.cameras.items()}


def _look(
    scene: Scene,
    cameras: Mapping[str, render.Viewpoint],
    poses: Sequence[render.Pose],
    size: int,
    variation: render.Variation | None,
) -> _Images:
    frames = [render.render_views(scene, cameras, size, size, pose, variation) for pose in poses]
    images = {name: np.stack([frame[name] for frame in frames]) for name in cameras}
    if variation is None:
        return images
    return {name: variation.add_noise(image, name) for name, image in images.items()}


def _measure(
    scene: Scene,
    cameras: Mapping[str, render.Viewpoint],
    poses: Sequence[render.Pose],
    views: ViewsConfig,
    images: _Images,
    names: Sequence[ViewName],
    before: Mapping[str, View],
) -> dict[str, View]:
    """Returns images with their geometry; that of a camera which does not move is known before."""
    if not names[0].has_geometry:
        return {
            each.name: replace(before[each.camera], image=images[each.camera]) for each in names
        }
    height, width = images["agentview"].shape[1:3]
    frames = [render.measure(scene, cameras, height, width, pose) for pose in poses]
    found: dict[str, View] = {}
    for each in names:
        of_camera = [frame[each.camera] for frame in frames]
        stacks = {
            what: np.stack([getattr(one, what) for one in of_camera])
            for what in ("intrinsics", "extrinsics", *views.modalities)
        }
        found[each.name] = View(
            images[each.camera],
            stacks["intrinsics"],
            stacks["extrinsics"],
            stacks.get("depth"),
            stacks.get("segmentation"),
        )
    return found
