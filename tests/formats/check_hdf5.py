"""Reads an export in LIBERO's layout as LIBERO does, by robomimic's dataset class.

Runs in an environment that has robomimic, and imports nothing of this package.

Usage: check_hdf5.py EXPORT DATASET
"""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import robomimic
import robomimic.utils.file_utils as file_utils
import robomimic.utils.obs_utils as obs_utils
import stored
from robomimic.utils.dataset import SequenceDataset

LENGTH = 10  # of a training sequence, LIBERO's default
MODALITIES = {
    "rgb": ["agentview_rgb", "eye_in_hand_rgb"],
    "depth": [],
    "low_dim": ["gripper_states", "joint_states"],
}


def check(path: Path, episodes: list) -> str:
    obs_utils.initialize_obs_utils_with_obs_specs({"obs": MODALITIES})
    keys = [key for names in MODALITIES.values() for key in names]
    shapes = file_utils.get_shape_metadata_from_dataset(str(path), all_obs_keys=keys)
    assert shapes["ac_dim"] == 7
    assert shapes["all_shapes"]["gripper_states"] == [2]
    assert shapes["all_shapes"]["joint_states"] == [7]
    assert shapes["use_images"]
    environment = file_utils.get_env_metadata_from_dataset(str(path))
    assert environment["type"] == 1
    assert environment["env_name"].startswith("Libero_")
    dataset = SequenceDataset(
        hdf5_path=str(path),
        obs_keys=shapes["all_obs_keys"],
        dataset_keys=["actions", "rewards", "dones"],
        load_next_obs=False,
        seq_length=LENGTH,
        hdf5_cache_mode="low_dim",
        hdf5_use_swmr=False,
        hdf5_normalize_obs=False,
    )
    with h5py.File(path) as file:
        data = file["data"]
        assert dataset.n_demos == data.attrs["num_demos"] == len(data)
        assert len(dataset) == data.attrs["total"]
        instruction = json.loads(data.attrs["problem_info"])["language_instruction"]
        episodes = [episode for episode in episodes if episode["instruction"] == instruction]
        index = 0
        for name, episode in zip(dataset.demos, episodes, strict=True):
            demo = data[name]
            actions = demo["actions"][()]
            np.testing.assert_array_equal(actions, episode["action"])
            for key, view in (("agentview_rgb", "agentview"), ("eye_in_hand_rgb", "wrist")):
                np.testing.assert_array_equal(demo["obs"][key], episode[view][:, ::-1])
            for step in range(demo.attrs["num_samples"]):
                item = dataset[index]
                index += 1
                rows = slice(step, step + LENGTH)
                expected = actions[rows]
                assert item["actions"].shape == (LENGTH, 7)
                np.testing.assert_array_equal(item["actions"][: len(expected)], expected)
                for key in keys:
                    want = demo["obs"][key][rows]
                    np.testing.assert_array_equal(item["obs"][key][: len(want)], want)
        assert index == len(dataset)
    return f"{path.name}: {dataset.n_demos} demonstrations, {len(dataset)} sequences"


if __name__ == "__main__":
    episodes = list(stored.read(sys.argv[2]))
    for path in sorted(Path(sys.argv[1]).rglob("*.hdf5")):
        sys.stdout.write(f"robomimic {robomimic.__version__} reads {check(path, episodes)}\n")
