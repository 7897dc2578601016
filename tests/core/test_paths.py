"""Credentials of URLs are never told."""

import logging
import subprocess
import sys
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_datagen.core.log import setup_logging
from rl_datagen.core.paths import without_credentials

SCHEMES = st.sampled_from(["s3", "gs", "ws", "wss", "http", "https", "postgresql+psycopg2", "file"])
WORD = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=12)
SECRET = WORD.map("S3{}".format)
PASSWORD = st.builds(
    "{}{}{}".format, SECRET, st.sampled_from(["", "/", "+", "@", "%2F", ":", "="]), SECRET
)


@given(SCHEMES, SECRET, st.one_of(st.none(), PASSWORD), st.integers(1, 65535))
def test_users_and_passwords_of_any_url_are_left_out(scheme, user, password, port):
    credentials = user if password is None else f"{user}:{password}"
    rest = f"host:{port}/folder/file"
    text = f"'{scheme}://{credentials}@{rest}' cannot be read, nor {scheme}://{credentials}@{rest}."
    assert (
        without_credentials(text) == f"'{scheme}://{rest}' cannot be read, nor {scheme}://{rest}."
    )


@given(
    SCHEMES,
    st.sampled_from(["token", "api_key", "X-Amz-Signature", "sig", "PASSWORD", "access_key"]),
    SECRET.map(quote),
)
def test_keys_in_options_are_left_out(scheme, key, secret):
    shown = without_credentials(f"{scheme}://host/a?region=eu&{key}={secret}&b=1#x")
    assert shown == f"{scheme}://host/a?region=eu&{key}=***&b=1#x"


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/folder?endpoint_override=localhost:9000&scheme=http",
        "s3://bucket/mail@example.org/x",
        "ws://localhost:8000",
        "ws://[::1]:8000/a",
        "http://host:8000/path@x and a@b.org",
        "sqlite:////home/me/mlflow.db",
        "algo.num_iterations=3, monkey=1",
    ],
)
def test_what_holds_none_stays(url):
    assert without_credentials(url) == url


def test_the_log_tells_none(capsys):
    logger = logging.getLogger("rl_datagen")
    handlers, propagate = logger.handlers[:], logger.propagate
    setup_logging()
    try:
        logger.warning("storage unavailable uri=%s", "s3://KEY:SECRET@bucket/x")
        assert "uri=s3://bucket/x" in capsys.readouterr().err
    finally:
        logger.handlers[:], logger.propagate = handlers, propagate


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["campaign", "status", "s4://KEY:S3CRET@bucket/x"],
        ["campaign", "run", "campaign.storage=s4://KEY:S3CRET@bucket/x"],
        ["config", "show", "s3://KEY:S3CRET@bucket/x.yaml"],
        ["evaluate", "ws://KEY:S3CRET@127.0.0.1:9", "num_workers=1", "task=libero_goal/0"],
    ],
)
def test_no_command_tells_them(arguments, tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "rl_datagen", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    said = result.stdout + result.stderr
    assert result.returncode == 2, said
    assert "://" in said
    assert "S3CRET" not in said
    stored = [path for path in tmp_path.rglob("*.yaml") if "S3CRET" in path.read_text("utf-8")]
    assert stored == []
