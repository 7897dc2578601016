"""Writes a vision-language model of SmolVLM's architecture, tiny and with new weights.

SmolVLA is built around such a model, which lerobot looks up by name on the Hugging Face hub or in a
folder. Run in lerobot's environment: ``python make_smolvlm.py FOLDER``.
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

SPECIAL = ("<pad>", "<end_of_utterance>", "<image>", "<fake_token_around_image>", "<global-img>")


def tokenizer() -> PreTrainedTokenizerFast:
    """Returns a tokenizer of single bytes with the special tokens of SmolVLM."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    tokens.add_special_tokens(list(SPECIAL))
    pad, end, image, around, whole = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        pad_token=pad,
        eos_token=end,
        extra_special_tokens={
            "image_token": image,
            "fake_image_token": around,
            "global_image_token": whole,
            "end_of_utterance_token": end,
        },
    )


def main(folder: Path) -> None:
    torch.manual_seed(0)
    tokens = tokenizer()
    size = {"longest_edge": 64}
    config = SmolVLMConfig(
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokens),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "pad_token_id": tokens.pad_token_id,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
        },
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        pad_token_id=tokens.pad_token_id,
        scale_factor=2,
    )
    SmolVLMForConditionalGeneration(config).save_pretrained(folder)
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=size, max_image_size=size),
        tokenizer=tokens,
        video_processor=SmolVLMVideoProcessor(size=size, max_image_size=size),
        image_seq_len=4,
        chat_template="",
    ).save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
