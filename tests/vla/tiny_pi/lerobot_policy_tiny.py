"""A plugin of lerobot that makes its pi0 and pi0.5 tiny; their code stays lerobot's.

lerobot knows two sizes of Gemma, of 0.3 and 2 billion parameters, beside a vision tower of 0.4, and
no setting makes them smaller. It imports this file since a distribution beside it says so, which is
on ``PYTHONPATH`` in the tests.
"""

from lerobot.policies.pi0 import modeling_pi0
from lerobot.policies.pi05 import modeling_pi05

WIDTH, VOCABULARY = 64, 512


def _gemma(module):
    # Its code relies on eight heads.
    return lambda _: module.GemmaConfig(
        width=WIDTH, depth=2, mlp_dim=128, num_heads=8, num_kv_heads=1, head_dim=16
    )


def _paligemma(model):
    def make(config):
        config.text_config.vocab_size = VOCABULARY
        vision = config.vision_config
        vision.hidden_size, vision.intermediate_size, vision.projection_dim = 32, 64, WIDTH
        vision.num_hidden_layers, vision.num_attention_heads = 1, 2
        return model(config=config)

    return make


for _module in (modeling_pi0, modeling_pi05):
    _module.get_gemma_config = _gemma(_module)
    _module.PaliGemmaForConditionalGenerationWithPiGemma = _paligemma(
        _module.PaliGemmaForConditionalGenerationWithPiGemma
    )
