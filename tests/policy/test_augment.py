import torch

from rl_datagen.policy.augment import shift_images


def test_images_are_moved_by_so_many_pixels_at_most_and_their_edge_is_repeated():
    generator = torch.Generator().manual_seed(0)
    before = torch.randint(0, 256, (64, 32, 32, 3), generator=generator, dtype=torch.uint8)
    after = shift_images(before, 2, torch.Generator().manual_seed(1))
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
