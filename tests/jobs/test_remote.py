"""Policy servers: what crosses the wire, and what goes wrong there."""

import numpy as np
import pytest
from PIL import Image

from rl_datagen.config.evaluation import ServerConfig
from rl_datagen.jobs.remote import RemotePolicy, RemotePolicyError, pack, unpack
from rl_datagen.tasks import get_task


class FakeSimulator:
    """All that the policy asks of a simulator is its task."""

    class scene:  # noqa: N801
        task = get_task("libero_goal/3")


@pytest.fixture
def observation():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    return {"agentview": image, "wrist": image[::-1], "proprio": rng.normal(size=(2, 8))}


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.array(1.5),
        np.array([True, False]),
        np.float32(0.5),
        np.zeros((0, 7)),
    ],
)
def test_arrays_cross_the_wire_unchanged(value):
    found = unpack(pack({"a": [value], "prompt": "go"}))
    assert found["prompt"] == "go"
    assert found["a"][0].dtype == value.dtype
    assert np.array_equal(found["a"][0], value)
    assert np.shape(found["a"][0]) == value.shape


def test_objects_do_not_cross_the_wire():
    with pytest.raises(TypeError, match="cannot be sent"):
        pack({"a": np.array([object()])})
    message = pack({b"__ndarray__": True, b"data": b"x", b"dtype": "|O", b"shape": [1]})
    with pytest.raises(ValueError, match="not a message of a policy server"):
        unpack(message)


def test_a_server_sees_what_openpi_s_example_sends(serve, observation):
    server = serve()
    policy = RemotePolicy(server.url, ServerConfig(action_steps=4))
    assert policy.metadata == {"robot": "panda"}
    policy.start(7, FakeSimulator, 0)
    actions = policy.act({name: rows[:1] for name, rows in observation.items()}, [7])
    policy.close()
    assert actions.shape == (1, 4, 7)
    assert (actions[..., 6] == -1).all()
    with np.load(server.folder / "0.npz") as sent:
        assert set(sent) == {
            "observation/image",
            "observation/wrist_image",
            "observation/state",
            "prompt",
        }
        # LIBERO's frame has its last row first; turned by 180 degrees it is upright and mirrored.
        upright = observation["agentview"][0]
        mirrored = Image.fromarray(np.ascontiguousarray(upright[::-1][::-1, ::-1]))
        expected = mirrored.resize((224, 224), Image.Resampling.BILINEAR)
        assert np.array_equal(sent["observation/image"], expected)
        assert sent["observation/wrist_image"].shape == (224, 224, 3)
        assert np.array_equal(sent["observation/state"], observation["proprio"][0])
        assert str(sent["prompt"]) == get_task("libero_goal/3").instruction


def test_nobody_answers():
    with pytest.raises(RemotePolicyError, match=r"No policy server answers at ws://127.0.0.1:9"):
        RemotePolicy("ws://127.0.0.1:9", ServerConfig())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--chunk", "3"), r"shape \(3, 7\), and 5 x 7 are to be executed"),
        (("--fail",), "the server failed with RuntimeError: out of memory"),
        (
            ("--key", "action"),
            r"it has action \[10, 7\], server_timing \[\], and 'actions' \[steps, 7\] is due",
        ),
        (("--bare",), r"it is array.* and a map with 'actions' \[steps, 7\] is due"),
    ],
)
def test_answers_of_no_use(serve, observation, options, message):
    policy = RemotePolicy(serve(*options).url, ServerConfig())
    policy.start(0, FakeSimulator, 0)
    policy.start(1, FakeSimulator, 0)
    with pytest.raises(RemotePolicyError, match=message):
        policy.act(observation, [0, 1])
    policy.close()


def test_a_server_that_closes_before_it_has_said_anything(serve):
    server = serve("--close")
    with pytest.raises(
        RemotePolicyError, match=r"No policy server answers at .*it closed the conn"
    ):
        RemotePolicy(server.url, ServerConfig())


@pytest.mark.parametrize("options", [("--close",), ("--fail",), ("--key", "x"), ("--chunk", "1")])
def test_no_password_of_an_address_is_told(serve, observation, options):
    url = serve(*options).url.replace("ws://", "ws://bob:s3cret@")

    def ask():
        policy = RemotePolicy(f"{url}/?api_key=t0ken", ServerConfig())
        policy.start(0, FakeSimulator, 0)
        policy.start(1, FakeSimulator, 0)
        policy.act(observation, [0, 1])

    with pytest.raises(RemotePolicyError) as caught:
        ask()
    assert "ws://127.0.0.1" in str(caught.value)
    for secret in ("bob", "s3cret", "t0ken"):
        assert secret not in str(caught.value)


def test_a_server_that_goes_away(serve, observation):
    server = serve()
    policy = RemotePolicy(server.url, ServerConfig())
    policy.start(0, FakeSimulator, 0)
    policy.start(1, FakeSimulator, 0)
    policy.act(observation, [0, 1])
    server.kill()
    with pytest.raises(RemotePolicyError, match="went away"):
        policy.act(observation, [0, 1])
