import io

import pytest
from PIL import Image

from rl_datagen.campaign.pictures import draw_pictures, read_pictures
from rl_datagen.campaign.state import TrialState, write_state
from rl_datagen.core.errors import UserError
from rl_datagen.core.storage import Storage

TASK = "libero_object/0"


def test_pictures_that_are_there_are_read_and_not_drawn_again(tmp_path):
    storage = Storage(str(tmp_path))
    write_state(storage, TrialState(TASK))
    assert read_pictures(storage, [TASK]) == {}
    storage.write_bytes("pictures/libero_object-0.jpg", b"mine")
    assert draw_pictures(str(tmp_path)) == 0
    assert read_pictures(storage, [TASK]) == {TASK: b"mine"}


def test_a_folder_in_its_place_is_refused(tmp_path):
    (tmp_path / "pictures" / "libero_object-0.jpg").mkdir(parents=True)
    with pytest.raises(UserError, match="--pictures"):
        read_pictures(Storage(str(tmp_path)), [TASK])


@pytest.mark.slow
@pytest.mark.sim
def test_a_scene_is_drawn(tmp_path):
    storage = Storage(str(tmp_path))
    write_state(storage, TrialState(TASK))
    assert draw_pictures(str(tmp_path)) == 1
    content = read_pictures(storage, [TASK])[TASK]
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG"
    assert len(content) < 10_000
    assert len(image.getcolors(1 << 20)) > 1000  # a scene, not a blank
