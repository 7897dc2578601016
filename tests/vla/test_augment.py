import torch

from rl_datagen.vla.augment import _shift, augment


def images(num=64, size=32):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num, size, size, 3), generator=generator, dtype=torch.uint8)


def test_images_are_moved_by_a_sixteenth_at_most_and_their_edge_is_repeated():
    before = images()
    after = _shift(before, torch.Generator().manual_seed(1))
    padded = torch.nn.functional.pad(
        before.permute(0, 3, 1, 2).float(), (2, 2, 2, 2), mode="replicate"
    ).permute(0, 2, 3, 1)
    found = set()
    for number in range(len(before)):
        shifts = [
            (y - 2, x - 2)
            for y in range(5)
            for x in range(5)
            if torch.equal(padded[number, y : y + 32, x : x + 32].byte(), after[number])
        ]
        assert len(shifts) == 1
        found |= set(shifts)
    assert len(found) > 15  # of the 25 that there are


def test_the_same_seed_gives_the_same_images_and_colours_change_within_bounds():
    before = torch.full((64, 32, 32, 3), 100, dtype=torch.uint8)
    after = augment(before, torch.Generator().manual_seed(2))
    assert after.dtype == torch.uint8
    assert torch.equal(after, augment(before, torch.Generator().manual_seed(2)))
    assert not torch.equal(after, augment(before, torch.Generator().manual_seed(3)))
    levels = after[:, 0, 0, 0]  # of grey, brightness alone moves anything
    assert 80 <= levels.min() < 90
    assert 110 < levels.max() <= 120
