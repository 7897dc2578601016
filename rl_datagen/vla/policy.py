"""The built-in VLA on disk, and as an actor in episodes."""

# Legend: N episodes, Ts action steps, Da action dim.

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from rl_datagen.config import SmallVlaConfig
from rl_datagen.core.errors import UserError
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.schema import CAMERAS, UNRECORDED_APPEARANCE
from rl_datagen.policy.weights import NORM_STATS, WEIGHTS, load_weights
from rl_datagen.sim import Simulator
from rl_datagen.vla.folder import CHECKPOINT, EMBEDDINGS, read_config, read_data
from rl_datagen.vla.language import Embeddings, embed, load_embeddings, size_of
from rl_datagen.vla.network import SmallVla, resize


class VlaPolicy:
    """Acts in any task from images, proprio and the task's instruction.

    As with experts, an episode's noise depends on its seed and on how often it was asked to act.

    Args:
        network: The network; put into evaluation mode.
        embeddings: Of the instructions it was trained on; others are embedded when first met.
        image_size: Height and width of the images it was trained on, as stored. It is shown images
            of that size, and reduces them to its own as in training.
        appearance: How the textures of those images were coloured.
    """

    def __init__(
        self,
        network: SmallVla,
        embeddings: Embeddings,
        image_size: int,
        appearance: str = "original",
    ) -> None:
        self.network = network.eval()
        self.action_steps, self.image_size = network.config.action_steps, image_size
        self.appearance = appearance
        self._embeddings = embeddings
        self._generators: dict[int, torch.Generator] = {}
        self._instructions: dict[int, str] = {}

    def start(self, episode: int, simulator: Simulator, seed: int) -> None:
        """Begins an episode of the simulator's task."""
        self.begin(episode, simulator.scene.task.instruction, seed)

    def begin(self, episode: int, instruction: str, seed: int) -> None:
        """Begins an episode.

        Args:
            episode: The caller's number of the episode.
            instruction: What to do.
            seed: Seed of the episode's noise.

        Raises:
            UserError: The instruction is a new one, and the sentence encoder cannot be loaded.
        """
        encoder = self.network.config.language_encoder
        self._embeddings |= embed([instruction], encoder, self._embeddings)
        self._instructions[episode] = instruction
        self._generators[episode] = torch.Generator().manual_seed(seed)

    def act(
        self, observation: dict[str, np.ndarray], episodes: Sequence[int]
    ) -> Float32[np.ndarray, "N Ts Da"]:
        """Returns the actions to execute next.

        Args:
            observation: Stacked observations, one row per episode.
            episodes: The episode each row belongs to.
        """
        device = next(self.network.parameters()).device
        noise = [self.network.draw_noise(1, self._generators[episode]) for episode in episodes]
        vectors = [self._embeddings[self._instructions[episode]] for episode in episodes]
        size = self.network.config.image_size
        rows = {name: resize(torch.as_tensor(observation[name]), size) for name in CAMERAS}
        rows |= {
            "proprio": torch.as_tensor(observation["proprio"]),
            "language": torch.stack(vectors),
        }
        with torch.inference_mode():
            moved = {key: value.to(device) for key, value in rows.items()}
            return self.network.sample(moved, torch.cat(noise).to(device)).cpu().numpy()


def load_vla(folder: str | Path, *, device: str = "cpu") -> VlaPolicy:
    """Returns the built-in VLA in a folder.

    Args:
        folder: What ``vla train`` made.
        device: Where it computes.

    Raises:
        UserError: The folder is not a VLA's, unfinished or damaged, or lerobot trained it.
    """
    folder = Path(folder)
    config = read_config(folder)
    if not isinstance(config.model, SmallVlaConfig):
        raise UserError(
            f"The VLA in '{folder}' was trained by lerobot and acts in lerobot's environment: "
            f"evaluate {folder / CHECKPOINT} with lerobot-eval, or behind a policy server "
            "(docs/vla.md)."
        )
    missing = [n for n in (WEIGHTS, NORM_STATS, EMBEDDINGS) if not (folder / n).is_file()]
    if missing:
        raise UserError(
            f"The VLA in '{folder}' is not finished: {', '.join(missing)} missing. The command "
            "that began it resumes."
        )
    embeddings = load_embeddings(folder / EMBEDDINGS)
    network = SmallVla(config.model, NormStats.load(folder / NORM_STATS), size_of(embeddings))
    load_weights(network, folder / WEIGHTS)
    data = read_data(folder, "image_size")
    appearance = data.get("appearance", UNRECORDED_APPEARANCE)
    return VlaPolicy(network.to(device), embeddings, data["image_size"], appearance)
