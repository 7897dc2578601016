import pytest

from rl_datagen.core.intervals import wilson_interval
from rl_datagen.report.learning import learning_curve

CURVE = [
    {
        "iteration": i,
        "success_rate": rate,
        "episodes_in_batch": 192,
        "episode_len_mean": 150 - 5 * i,
        "gamma": 0.99 if i < 3 else 0.999,
        "patience": 2,
    }
    for i, rate in enumerate([0.5, 0.6, 0.75, 0.8], start=1)
]
EVALUATED = {
    "evaluation_success_rate": 1.0,
    "evaluation_num_episodes": 12,
    "evaluation_success_len_mean": 98.0,
}


def lines(axes, marker=None):
    return [line for line in axes.lines if marker is None or line.get_marker() == marker]


def test_success_rates_have_wilson_intervals_of_their_episodes():
    success, _ = learning_curve([*CURVE[:3], CURVE[3] | EVALUATED]).figure.axes
    upright = [line for line in success.lines if len({*line.get_xdata()}) == 1]
    drawn = {(line.get_xdata()[0], tuple(line.get_ydata())) for line in upright}
    assert (1, wilson_interval(96, 192)) in drawn
    assert (4, wilson_interval(12, 12)) in drawn
    assert success.get_ylim()[0] <= wilson_interval(96, 192)[0]


def test_without_counts_there_is_no_interval():
    (success,) = learning_curve([{"success_rate": 0.5}, {"success_rate": 0.6}]).figure.axes
    assert [line.get_xdata().tolist() for line in success.lines] == [[1, 2], [1, 2]]


def test_the_legend_names_the_dots():
    figure = learning_curve([*CURVE[:3], CURVE[3] | EVALUATED]).figure
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["sampled, with exploration noise", "evaluated, without noise"]
    (only,) = learning_curve(CURVE).figure.legends
    assert [text.get_text() for text in only.get_texts()] == names[:1]


def test_both_panels_have_what_was_sampled_and_what_was_evaluated():
    _, length = learning_curve([*CURVE[:3], CURVE[3] | EVALUATED]).figure.axes
    (sampled,), (evaluated,) = lines(length, "o"), lines(length, "D")
    assert sampled.get_ydata().tolist() == [145, 140, 135, 130]
    assert evaluated.get_ydata().tolist() == [98]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, None),
        ({"gamma": 0.9}, "gamma 0.99 → 0.9"),
        ({"patience": None}, "patience 2 → None"),
        ({"gamma": 0.9, "patience": 0}, "gamma 0.99 → 0.9, patience 2 → 0"),
    ],
)
def test_a_setting_that_changed_is_marked_between_the_iterations(changed, text):
    rows = [row | {"gamma": 0.99} for row in CURVE]
    rows[2:] = [row | changed for row in rows[2:]]
    panels = learning_curve(rows).figure.axes
    assert [each.get_text() for each in panels[0].texts] == ([text] if text else [])
    for axes in panels:
        dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
        assert [line.get_xdata()[0] for line in dotted] == ([2.5] if text else [])


def test_rows_of_earlier_releases_lack_settings_and_mark_nothing():
    old = [{k: v for k, v in row.items() if k not in ("gamma", "patience")} for row in CURVE[:2]]
    assert not learning_curve([*old, *CURVE[2:]]).figure.axes[0].texts


def test_nothing_known_is_not_drawn():
    assert learning_curve([]) is None
    assert learning_curve([{"approx_kl": 0.1, "success_rate": None}]) is None
