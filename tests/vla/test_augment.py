import torch

from rl_datagen.vla.augment import augment


def test_the_same_seed_gives_the_same_images_and_colours_change_within_bounds():
    before = torch.full((64, 32, 32, 3), 100, dtype=torch.uint8)
    after = augment(before, torch.Generator().manual_seed(2))
    assert after.dtype == torch.uint8
    assert torch.equal(after, augment(before, torch.Generator().manual_seed(2)))
    assert not torch.equal(after, augment(before, torch.Generator().manual_seed(3)))
    levels = after[:, 0, 0, 0]  # of grey, brightness alone moves anything
    assert 80 <= levels.min() < 90
    assert 110 < levels.max() <= 120
