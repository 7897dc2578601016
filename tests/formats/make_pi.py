"""Writes a checkpoint of pi0 or pi0.5 as lerobot publishes them, tiny and with new weights.

Run in lerobot's environment, with ``tests/vla/tiny_pi`` on ``PYTHONPATH``:
``python make_pi.py pi0|pi05 FOLDER``.
"""

import json
import os
import sys
from pathlib import Path

import lerobot_policy_tiny  # noqa: F401  makes them tiny
import torch
from lerobot.policies import factory
from make_smolvlm import tokenizer

TOKENIZER = "google/paligemma-3b-pt-224"  # by this name lerobot asks for it


def main(kind: str, folder: Path) -> None:
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    os.chdir(folder)
    tokenizer().save_pretrained(TOKENIZER)  # transformers prefers a folder to the hub's model
    config = factory.make_policy_config(kind, device="cpu", push_to_hub=False)
    factory.get_policy_class(kind)(config).save_pretrained(folder)
    for processor in factory.make_pre_post_processors(config):
        processor.save_pretrained(folder)
    # The folder's processors take the tokenizer from it, wherever they are loaded.
    path = folder / "policy_preprocessor.json"
    text = json.dumps(json.loads(path.read_text()), indent=2)
    assert TOKENIZER in text
    path.write_text(text.replace(TOKENIZER, str(folder / TOKENIZER)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).absolute())
