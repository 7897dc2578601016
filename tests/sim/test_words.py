"""What things are called in sentences."""

from types import SimpleNamespace

import pytest

from rl_datagen.sim.words import find_words

SLIDES = {
    "articulation": {"default_open_ranges": [-0.16, -0.14], "default_close_ranges": [0, 0.01]}
}
TURNS = {
    "articulation": {
        "default_open_ranges": [],
        "default_close_ranges": [],
        "default_turnon_ranges": [0.5, 2.1],
        "default_turnoff_ranges": [-0.005, 0.0],
    }
}


def thing(*joints, **properties):
    return SimpleNamespace(joints=list(joints), object_properties=properties)


@pytest.fixture(scope="module")
def words():
    names = ("top_region", "top_side", "heating_region")
    regions = [f"wooden_cabinet_1_{name}" for name in names]
    regions += ["basket_1_contain_region", "desk_caddy_1_back_contain_region"]
    regions += ["kitchen_table_plate_front_region", "floor_bin_region", "somewhere"]
    env = SimpleNamespace(
        objects_dict={"mug_1": thing("mug_1_joint0"), "plate_1": thing(), "plate_2": thing()},
        fixtures_dict={
            "wooden_cabinet_1": thing("wooden_cabinet_1_top_level", **SLIDES),
            "flat_stove_1": thing("flat_stove_1_button", **TURNS),
            "window_1": thing("window_1_slide"),
            "basket_1": thing(),
            "desk_caddy_1": thing(),
        },
        object_sites_dict=dict.fromkeys(regions),
    )
    return find_words(env)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mug_1", "mug"),
        ("plate_2", "plate 2"),
        ("wooden_cabinet_1_top_level", "top drawer of the wooden cabinet"),
        ("wooden_cabinet_1_top_region", "top drawer of the wooden cabinet"),
        ("wooden_cabinet_1_top_side", "top side of the wooden cabinet"),
        ("wooden_cabinet_1_heating_region", "heating region of the wooden cabinet"),
        ("flat_stove_1_button", "flat stove"),
        ("basket_1_contain_region", "basket"),
        ("desk_caddy_1_back_contain_region", "back compartment of the desk caddy"),
        ("kitchen_table_plate_front_region", "plate front region of the kitchen table"),
        ("floor_bin_region", "bin region of the floor"),
        ("somewhere", "somewhere"),
    ],
)
def test_names(words, name, expected):
    assert words.names[name] == expected


@pytest.mark.parametrize(
    ("part", "change", "expected"),
    [
        ("wooden_cabinet_1_top_level", -0.1, "open the top drawer of the wooden cabinet"),
        ("wooden_cabinet_1_top_level", 0.1, "close the top drawer of the wooden cabinet"),
        ("flat_stove_1_button", 1.0, "turn on the flat stove"),
        ("flat_stove_1_button", -1.0, "turn off the flat stove"),
        ("window_1_slide", 1.0, "move the window"),
    ],
)
def test_what_moving_a_part_is_called(words, part, change, expected):
    assert words.move(part, change) == expected
