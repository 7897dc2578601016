import numpy as np

from rl_datagen.export import statistics
from rl_datagen.export.statistics import QUANTILES, DatasetStatistics, image_histogram


def test_statistics_of_parts_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    parts = [rng.normal(i, 1 + i, (20 + i, 3)).astype(np.float32) for i in range(5)]
    running = DatasetStatistics()
    own = [running.add({"action": part}, {})["action"] for part in parts]
    whole = np.concatenate(parts).astype(np.float64)
    for found, values in ((running.result()["action"], whole), (own[3], parts[3])):
        np.testing.assert_allclose(found["min"], values.min(0))
        np.testing.assert_allclose(found["max"], values.max(0))
        np.testing.assert_allclose(found["mean"], values.mean(0, np.float64))
        np.testing.assert_allclose(found["std"], values.std(0, np.float64))
        assert found["count"].tolist() == [len(values)]
        for name, quantile in QUANTILES.items():
            np.testing.assert_allclose(found[name], np.quantile(values, quantile, axis=0))


def test_quantiles_of_many_rows_come_from_a_uniform_sample(monkeypatch):
    monkeypatch.setattr(statistics, "_MAX_ROWS", 2000)
    running = DatasetStatistics()
    for part in range(50):  # rises from 0 to 50: a sample of the last rows would be far off
        running.add({"x": np.linspace(part, part + 1, 1000)[:, None]}, {})
    found = running.result()["x"]
    assert abs(found["q50"][0] - 25) < 2
    assert abs(found["q10"][0] - 5) < 1.5
    assert found["max"][0] == 50
    assert running._vectors["x"]._sample.shape == (2000, 1)


def test_statistics_of_images_are_per_colour_between_0_and_1():
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), np.uint8)
    images[..., 2] = 51
    running = DatasetStatistics()
    rows = {"x": np.zeros((6, 1))}
    found = running.add(rows, {"image": image_histogram(images)})["image"]
    pixels = images.reshape(-1, 3) / 255
    assert found["mean"].shape == (3, 1, 1)
    assert found["count"].tolist() == [6]
    np.testing.assert_allclose(found["mean"].ravel(), pixels.mean(0))
    np.testing.assert_allclose(found["std"].ravel(), pixels.std(0), atol=1e-7)
    np.testing.assert_allclose(found["max"].ravel(), pixels.max(0))
    quantile = np.quantile(pixels, 0.9, axis=0, method="inverted_cdf")
    np.testing.assert_allclose(found["q90"].ravel(), quantile, atol=1 / 255 + 1e-9)
    assert found["q01"].ravel()[2] == 0.2
    running.add(rows, {"image": image_histogram(255 - images)})
    both = running.result()["image"]
    assert both["count"].tolist() == [12]
    np.testing.assert_allclose(both["mean"].ravel(), 0.5)
