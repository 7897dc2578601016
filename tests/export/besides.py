"""An episode with depth, segmentation, cameras and copies, whose pixels are drawn."""

import numpy as np

from rl_datagen.data import RenderedEpisode
from rl_datagen.data.views import View, view_names


def rendered_besides(name, length, settings):
    random = np.random.default_rng(0)
    size = (8, 10)

    def view():
        return View(
            random.integers(0, 256, (length, *size, 3), np.uint8),
            np.tile([[10.0, 0, 4.5], [0, 10, 3.5], [0, 0, 1]], (length, 1, 1)),
            np.tile(np.eye(4), (length, 1, 1)),
            random.uniform(0.5, 2, (length, *size)).astype(np.float32),
            random.integers(0, 6000, (length, *size)).astype(np.uint16),
        )

    views = {each.name: view() for each in view_names(settings)}
    images = (views["agentview"].image, views["wrist"].image)
    varied = ("{}",) * settings.copies
    return RenderedEpisode(name, *images, settings=settings, views=views, variations=varied)
