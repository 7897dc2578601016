"""Weights on disk: safetensors that carry a checksum of themselves and of the statistics."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from rl_datagen.core.errors import UserError
from rl_datagen.core.storage import atomic_path

CONFIG, WEIGHTS, NORM_STATS = "config.yaml", "weights.safetensors", "norm_stats.json"
_SEALS = {"weights_sha256": "weights", "norm_stats_sha256": f"'{NORM_STATS}' beside it"}
"""Names of the checksums, and what each is of."""
_KEY = "seals"  # of the metadata; safetensors writes several keys in an order drawn at random


def save_weights(network: nn.Module, path: Path) -> None:
    """Writes a network's weights; the statistics it was built with are in the same folder already.

    Args:
        network: What acts.
        path: The file.
    """
    statistics = path.with_name(NORM_STATS).read_bytes()
    weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack_weights(weights, statistics))


def pack_weights(weights: Mapping[str, Tensor], statistics: bytes) -> bytes:
    """Returns the content of a file of weights; the same weights give the same bytes.

    Args:
        weights: By name.
        statistics: The file of statistics that belongs to them.
    """
    seals = json.dumps(_seals(weights, statistics), sort_keys=True)
    return save(dict(weights), metadata={_KEY: seals})


def load_weights(network: nn.Module, path: Path) -> None:
    """Reads weights into a network, and checks that they are those that were written.

    Files of earlier releases have no checksums; everything else is checked of them too.

    Raises:
        UserError: The file is damaged, its weights do not fit the network or are not finite, or
            the statistics beside it are another's.
    """
    weights, said = _read(path)
    _check_shapes(network, weights, path)
    found = _seals(weights, path.with_name(NORM_STATS).read_bytes())
    for key, what in _SEALS.items():
        if said.get(key, found[key]) != found[key]:
            raise UserError(
                f"'{path}' was written with another checksum of {what}: a file was damaged or "
                "mixed up with another policy's. Copy the whole folder again, or train it anew."
            )
    network.load_state_dict(weights)


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return weights, _read_seals(file.metadata() or {})
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read as safetensors: {error}.") from None


def _read_seals(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """Returns checksums by name; files of before were sealed by a key for each."""
    if _KEY not in metadata:
        return metadata
    seals = json.loads(metadata[_KEY])
    if not isinstance(seals, dict):
        raise ValueError(f"{_KEY} is no object")  # what is damaged is a value
    return seals


def _check_shapes(network: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    expected = {name: _kind(value) for name, value in network.state_dict().items()}
    found = {name: _kind(value) for name, value in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise UserError(
                f"'{path}' does not fit the {CONFIG} beside it: '{name}' is "
                f"{found.get(name, 'missing')} where the configuration makes "
                f"{expected.get(name, 'none')}. Were the files mixed up?"
            )
        if not torch.isfinite(weights[name]).all():
            raise UserError(
                f"'{path}' holds weights that are not finite, '{name}' the first: what it would do "
                "is no policy's failure. Copy the folder again, or train it anew."
            )


def _kind(value: Tensor) -> str:
    """Says what kind of numbers a tensor holds; half precision is as good as single."""
    kind = "numbers" if value.is_floating_point() else str(value.dtype)
    return f"{tuple(value.shape)} {kind}"


def _seals(weights: Mapping[str, Tensor], statistics: bytes) -> dict[str, str]:
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    found = {"weights": digest.hexdigest(), "norm_stats": hashlib.sha256(statistics).hexdigest()}
    return {f"{name}_sha256": value for name, value in found.items()}
