"""One value of a binary column, however the file was written."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.pages import BinaryFile

NUM_ROWS = 700


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    values = [rng.bytes(int(n)) for n in rng.integers(0, 9000, NUM_ROWS)]
    return pa.table({"step": np.arange(NUM_ROWS), "image": pa.array(values, pa.binary())})


@pytest.mark.parametrize("compression", ["none", "zstd", "snappy"])
@pytest.mark.parametrize("page", [{}, {"write_batch_size": 8, "data_page_size": 20_000}])
def test_any_value_is_the_one_arrow_reads(tmp_path, table, compression, page):
    path = tmp_path / "a.parquet"
    options = {"compression": compression, "use_dictionary": False, "row_group_size": 300, **page}
    pq.write_table(table, path, **options)
    file = BinaryFile(path)
    for row in (0, 1, 299, 300, 450, 699, 5, 0):
        found = file.read(row // 300, "image", row % 300)
        assert bytes(found) == table["image"][row].as_py()
    assert len(file._pages[0, "image"]) == (1 if not page else len(file._pages[0, "image"]))
    assert not page or len(file._pages[0, "image"]) > 20
    with pytest.raises(DatasetError, match="too few rows"):
        file.read(2, "image", 100)


def test_required_columns_are_read_too(tmp_path, table):
    schema = pa.schema([pa.field("image", pa.binary(), nullable=False)])
    path = tmp_path / "a.parquet"
    pq.write_table(table.select(["image"]).cast(schema), path, use_dictionary=False)
    assert bytes(BinaryFile(path).read(0, "image", 600)) == table["image"][600].as_py()


@pytest.mark.parametrize("options", [{"use_dictionary": True}, {"data_page_version": "2.0"}])
def test_other_encodings_are_refused(tmp_path, table, options):
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, **{"use_dictionary": False, **options})
    with pytest.raises(DatasetError, match=r"a\.parquet .*not encoded as this program"):
        BinaryFile(path).read(0, "image", 3)


def test_values_that_are_missing_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [b"a", None]}), path, use_dictionary=False)
    with pytest.raises(DatasetError, match="not encoded"):
        BinaryFile(path).read(0, "image", 0)


def test_damage_is_an_error_and_nothing_else(tmp_path, table):
    path = tmp_path / "a.parquet"
    pq.write_table(table.slice(0, 40), path, compression="none", use_dictionary=False)
    sound, rng = path.read_bytes(), np.random.default_rng(0)
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(1)
    for _ in range(200):
        content = bytearray(sound)
        for at in rng.integers(chunk.data_page_offset, chunk.data_page_offset + 40, 3):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        try:
            value = BinaryFile(path).read(0, "image", 20)
        except DatasetError:
            continue
        assert isinstance(value, memoryview)
