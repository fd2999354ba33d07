"""Damaged images: each damage is the right one, exact where it is exact, and repeats itself."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from stand_in import StandIn

from tfgans import config, data, models
from tfgans.config import Config, Data
from tfgans.data import degraded
from tfgans.data.scenes import SyntheticScenes
from tfgans.errors import BadInput
from tfgans.ops.lab import rgb_to_lab

KINDS = ("gray", "grain", "lightness", "jpeg", "bicubic4", "noise", "hole", "blobs")
FILL = (-0.0824, -0.1843, -0.0353)  # the paper's mean color, (117, 104, 123)


def model(*degradations, shape=(32, 32, 3), input_channels=3, overlap=2):
    return StandIn(
        data_kind="degraded",
        image_shape=shape,
        input_channels=input_channels,
        degradations=degradations or KINDS,
        overlap=overlap,
    )


def batches(kind, steps=2, seed=0, source=None, like=None, batch_size=4, **settings):
    like = like or model(kind)
    source = source or SyntheticScenes(like.image_shape, textured=True)
    chosen = Data("synthetic", degrade=kind, batch_size=batch_size, **settings)
    found = data.batches(like, source, chosen, seed)
    return [
        {key: value.numpy() for key, value in batch.items()}
        for _, batch in zip(range(steps), found, strict=False)
    ]


def rng(seed=0):
    return np.random.default_rng(seed)


def picture(side=32):
    image = SyntheticScenes((side, side, 3), textured=True).read(5)
    return (image / 127.5 - 1).astype("float32")


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_is_a_function_of_seed_and_position(kind):
    """A run that begins at step 1, a worker and another batch of workers see the same."""
    first, second = batches(kind)
    source, chosen = SyntheticScenes((32, 32, 3), True), Data("synthetic", batch_size=4)
    chosen.degrade = kind
    later = next(iter(data.batches(model(kind), source, chosen, 0, start=1)))
    half = next(iter(data.batches(model(kind), source, chosen, 0, start=1, shard=(1, 2))))
    for key, value in second.items():
        np.testing.assert_array_equal(later[key], value)
        np.testing.assert_array_equal(half[key], value[2:])
    assert np.abs(first["input"] - second["input"]).max() > 0.1
    (other,) = batches(kind, steps=1, seed=1)
    assert np.abs(other["input"] - first["input"]).max() > 0.1


@pytest.mark.parametrize("kind", ["jpeg", "noise", "blobs"])
def test_the_same_image_is_damaged_anew_in_each_pass(kind):
    source = SyntheticScenes((32, 32, 3), True, count=1)
    first, second = batches(kind, batch_size=1, source=source)
    np.testing.assert_array_equal(first["target"], second["target"])
    assert np.abs(first["input"] - second["input"]).max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_form_and_range_are_those_of_the_signature(kind):
    like = model(kind)
    wanted = data.signature(like)
    (found,) = batches(kind, steps=1, like=like)
    assert list(found) == list(wanted)
    assert ("mask" in found) == (kind in ("hole", "blobs"))
    for key, spec in wanted.items():
        assert found[key].shape == (4, *spec.shape) and found[key].dtype == np.float32
        assert found[key].min() >= -1 and found[key].max() <= 1
    assert found["target"].std() > 0.2
    assert (found["input"].shape[1] == 8) == (kind == "bicubic4")


def test_a_configuration_may_ask_for_each():
    assert set(config.CHOICES["data.degrade"]) == {"auto", *KINDS}


def test_gray_is_the_luma():
    (found,) = batches("gray", steps=1, like=model("gray", input_channels=1))
    luma = found["target"] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(found["input"][..., 0], luma, atol=1e-6)
    (three,) = batches("gray", steps=1)
    np.testing.assert_array_equal(three["input"], np.repeat(found["input"], 3, axis=-1))


def test_grain_is_noise_of_30_on_at_most_two_fifths_of_the_pixels():
    """0.1 to 40 % of the pixels are drawn, with returning; each draw adds -30 to 29 of 255."""
    gray = np.zeros([50, 40, 1], "float32")
    shares = []
    for seed in range(200):
        noise = degraded.grainy(gray, rng(seed))
        assert noise.shape == gray.shape and noise.dtype == np.float32
        shares.append(np.mean(noise != 0))
        steps = noise * 127.5
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert 0 < min(shares) < 0.02 and 0.3 < max(shares) < 0.4
    assert np.mean(shares) == pytest.approx(0.18, abs=0.02)  # 1 - exp(-0.2), nearly
    once = np.concatenate([degraded.grainy(gray, rng(seed)) for seed in range(50)]) * 127.5
    assert once.min() <= -30 and once.max() >= 29
    assert np.abs(once[once != 0]).mean() == pytest.approx(15, abs=1.5)


def test_lightness_is_that_of_the_color():
    (found,) = batches("lightness", steps=1)
    wanted, gray = (rgb_to_lab(found[key]).numpy() for key in ("target", "input"))
    np.testing.assert_allclose(gray[..., 0], wanted[..., 0], atol=1e-3)
    np.testing.assert_allclose(gray[..., 1:], 0, atol=1e-3)
    luma = found["target"] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(found["input"][..., 0] - luma).max() > 0.1  # saturated colors are darker there


def test_bicubic_is_without_aliasing():
    """The finest checkers become gray, a ramp stays one, factor 1 returns the image."""
    y, x = np.mgrid[:32, :32]
    checkers = np.where((x + y) % 2, 1.0, -1.0).astype("float32")[..., None]
    assert np.abs(degraded.reduced(checkers, 4)[2:-2, 2:-2]).max() < 0.02
    assert np.abs(checkers[::4, ::4]).min() == 1  # as picking every fourth pixel would give
    ramp = (x / 31 * 2 - 1).astype("float32")[..., None]
    middles = ramp[:, 1::4] / 2 + ramp[:, 2::4] / 2
    np.testing.assert_allclose(degraded.reduced(ramp, 4)[2:6, 2:6], middles[2:6, 2:6], atol=1e-3)
    np.testing.assert_array_equal(degraded.reduced(picture(), 1), picture())


def test_noise_has_the_deviation_that_is_drawn():
    gray = np.zeros([200, 200, 3], "float32")
    for sigma in (5 / 255, 50 / 255):
        noise = degraded.noisy(gray, rng(), sigma) * 127.5  # of 255
        assert noise.std() == pytest.approx(sigma * 255, rel=0.02) and abs(noise.mean()) < 0.5
    np.testing.assert_array_equal(degraded.noisy(picture(), rng(), 0.0), picture())
    found = [degraded.degraded("noise", gray, rng(k))[0].std() * 127.5 for k in range(60)]
    assert 5 <= min(found) < 10 and 45 < max(found) <= 51  # uniform between the two


def test_jpeg_is_small_compressed_and_has_its_quality_written_on_it():
    image, marks = picture(256) / 2 - 0.5, []  # dark, so that white shows
    for k in range(6):
        found = degraded.compressed(image, rng(k))
        assert found.shape == image.shape
        random = rng(k)
        quality = int(random.integers(10, 70, endpoint=True))
        column, row = (int(random.integers(48, endpoint=True)) for _ in range(2))
        small = degraded.resized(image, 96, 96, Image.Resampling.BILINEAR)
        file = io.BytesIO()
        small = np.rint((small + 1) * 127.5).astype("uint8")
        Image.fromarray(small).save(file, "JPEG", quality=quality)
        plain = np.asarray(Image.open(file), "float32") / 127.5 - 1
        plain = degraded.resized(plain, 256, 256, Image.Resampling.BILINEAR)
        places = np.argwhere(np.abs(found - plain).max(axis=2) > 0.3) * 96 / 256
        marks += [(column, row)]
        # The number is where it was drawn, and near it the blocks of 8 pixels that it changes.
        assert (places >= np.array([row, column]) - 9).all()
        assert (places <= np.array([row + 23, column + 27])).all() and len(places) > 10
    assert len(set(marks)) == 6
    rough, fine = (np.abs(degraded.compressed(image, Fixed(q)) - image).mean() for q in (10, 70))
    assert rough > 1.2 * fine


class Fixed:
    """Draws one quality, and a place at the corner."""

    def __init__(self, quality):
        self.draws = [quality, 0, 0]

    def integers(self, *args, **kwargs):
        return self.draws.pop(0)


def test_a_hole_has_the_fill_values_of_the_paper():
    """128 pixels: the inner 56x56 of the middle 64x64 are missing, the rim of 4 is visible."""
    mask = degraded.middle((128, 128, 3), 4)
    assert mask.sum() == 56**2 and mask[36:92, 36:92].all()
    image = picture(128)
    found, again = degraded.degraded("hole", image, rng(), overlap=4)
    np.testing.assert_array_equal(again, mask)
    np.testing.assert_allclose(found[36:92, 36:92], np.broadcast_to(FILL, [56, 56, 3]), atol=5e-5)
    outside = np.broadcast_to(mask == 0, image.shape)
    np.testing.assert_array_equal(found[outside], image[outside])
    np.testing.assert_array_equal(degraded.without(image, 0 * mask), image)
    assert degraded.middle((128, 64, 3), 0).sum() == 64 * 32


@pytest.mark.parametrize("shape", [(128, 128, 3), (32, 48, 3)])
def test_random_holes_are_blobs_of_20_to_30_percent(shape):
    """A hundred masks: areas, connected parts of more than 10 pixels, and all places missing."""
    masks = np.stack([degraded.blobs(shape, rng(k))[..., 0] for k in range(100)])
    assert set(np.unique(masks)) == {0.0, 1.0}
    area = masks.mean(axis=(1, 2))
    assert area.min() > 0.2 and area.max() < 0.3
    parts = sum(ndimage.label(mask)[1] for mask in masks)
    assert masks.sum() / parts > 10
    assert 0.05 < masks.mean(axis=0).min() and masks.mean(axis=0).max() < 0.5


def test_crops_and_mirrors_come_before_the_damage(tmp_path):
    """Input and target agree: a mirrored, cropped target has its own reduced image as input."""
    rows = np.random.RandomState(0).randint(0, 256, [6, 40, 40, 3], "uint8")
    for i, image in enumerate(rows):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    like, settings = model("bicubic4"), {"flip": True, "jitter": 8}
    source = data.open_images(tmp_path)
    seen = set()
    for batch in batches("bicubic4", 10, like=like, source=source, **settings):
        for damaged, target in zip(batch["input"], batch["target"], strict=True):
            np.testing.assert_allclose(damaged, degraded.reduced(target, 4), atol=1e-6)
            seen.add(target.tobytes())
    assert len(seen) > 35


def test_broken_images_are_replaced(tmp_path, capsys):
    for i in range(4):
        Image.new("RGB", (32, 32), (60 * i,) * 3).save(tmp_path / f"{i}.png")
    (tmp_path / "2.png").write_bytes(b"no image")
    (found,) = batches("gray", 1, source=data.open_images(tmp_path))
    levels = np.rint((found["target"][:, 0, 0, 0] + 1) * 127.5)
    assert set(levels) == {0, 60, 180}
    assert "skipped broken image" in capsys.readouterr().out


def test_the_model_says_which_damage_it_undoes():
    like = model("gray", "noise")
    source = SyntheticScenes((32, 32, 3), True)
    assert data.reader(like, source, Data("synthetic")).kind == "gray"
    assert data.reader(like, source, Data("synthetic", degrade="noise")).kind == "noise"
    with pytest.raises(data.DataError, match="'bicubic4', and StandIn .* undoes gray, noise"):
        data.reader(like, source, Data("synthetic", degrade="bicubic4"))
    with pytest.raises(data.DataError, match="'hole' takes gray or RGB images, not 4 channels"):
        data.reader(model("hole", shape=(32, 32, 4)), source, Data("synthetic"))
    with pytest.raises(BadInput, match="No data.degrade named 'grey'. Did you mean 'gray'"):
        Config.load("pix2pix", "tiny", ["data.degrade=grey"])


def test_the_setting_belongs_to_this_kind_alone():
    settings = Config.load("pix2pix", "tiny", ["data.degrade=gray"])
    with pytest.raises(data.DataError, match="no setting 'degrade'"):
        data.resolve(settings, models.get("pix2pix"))


def test_gray_images_and_small_ones():
    gray = picture()[..., :1]
    for kind in KINDS:
        found, mask = degraded.degraded(kind, gray, rng(), overlap=1)
        assert found.shape[2] == 1 and np.isfinite(found).all()
    hole, mask = degraded.degraded("hole", gray, rng())
    np.testing.assert_allclose(hole[mask > 0], np.dot([0.299, 0.587, 0.114], FILL), atol=1e-4)
    assert degraded.blobs((4, 4, 3), rng()).sum() == 4
