import av
import numpy as np
import pytest

from rl_datagen.data.images import RenderedEpisode, decode_images, images_table, write_video


def gradient(length=10, height=48, width=64):
    ramp = np.linspace(0, 255, width)[None, :] * np.linspace(0.3, 1, height)[:, None]
    frames = np.stack([np.roll(ramp, t, axis=1) for t in range(length)])
    return np.repeat(frames[..., None], 3, axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("encoding", "tolerance"), [("png", 0), ("jpeg", 16)])
def test_images_round_trip(encoding, tolerance):
    frames = gradient()
    episode = decode_images(images_table(RenderedEpisode("a", frames, frames[::-1], encoding)))
    assert (episode.episode_id, episode.encoding) == ("a", encoding)
    for got, want in [(episode.agentview, frames), (episode.wrist, frames[::-1])]:
        assert np.abs(got.astype(int) - want).max() <= tolerance


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_video_plays_in_browsers(tmp_path, size):
    path = tmp_path / "videos/episode.mp4"
    write_video(path, gradient(20, *size))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == 20
    assert len(frames) == 20
    height, width = frames[0].shape[:2]
    assert (height, width) == (size[0] & ~1, size[1] & ~1)
    want = gradient(20, *size)[0, :height, :width].astype(int)
    assert np.abs(frames[0].astype(int) - want).mean() < 6
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
