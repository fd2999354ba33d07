"""Evaluating a model or a folder gives the values of the pure functions."""

import hashlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfgans import data, durable, metrics, models, training
from tfgans.config import Config, Data
from tfgans.data.images import ImageReader
from tfgans.data.synthetic import polygons
from tfgans.errors import BadInput
from tfgans.features import own_small
from tfgans.features.pixel_pyramid import pixel_pyramid_l2
from tfgans.images import to_uint8
from tfgans.metrics import evaluation
from tfgans.ops import machine

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "evaluate.py"


class Pixels:
    """A feature network for tests: means of 2 x 2 pixels."""

    name, sha256, resize, comparable = "pixels", "0" * 64, "none", False
    calls = 0

    def __call__(self, images):
        self.calls += 1
        n, height, width, _ = images.shape
        x = images.reshape(n, height // 2, 2, width // 2, 2, -1).mean(axis=(2, 4))
        return x.reshape(n, -1).astype("float32") / 255

    def with_logits(self, images):
        features = self(images)
        return features, 10 * features[:, :5]


@pytest.fixture(scope="module")
def model():
    """A GAN whose untrained images differ."""
    model = training.build(Config.load("gan", "tiny"))
    for weight in model.generator.trainable_variables:
        if weight.path.endswith("kernel"):
            weight.assign(5 * weight)
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "gan.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def real():
    return np.clip(4 * polygons(300, side=8)[..., None].astype(int), 0, 255).astype("uint8")


@pytest.fixture(scope="module")
def real_path(real, tmp_path_factory):
    path = tmp_path_factory.mktemp("real") / "real.npy"
    np.save(path, real)
    return path


@pytest.fixture(scope="module")
def evaluator(real_path):
    """Makes an Evaluator for 8 x 8 triangles."""

    def make(**changes):
        settings = {"metrics": ("fid", "is"), "extractor": Pixels(), "samples": 150, "seeds": 2}
        return metrics.Evaluator(Data(path=str(real_path)), (8, 8, 1), **settings | changes)

    return make


def test_values_are_those_of_the_whole_sets_at_once(model, evaluator, real):
    result = evaluator(metrics=("kid", "fid", "is", "pr", "dc"))(model, {})
    protocol, pixels = result["protocol"], Pixels()
    real = pixels(real)
    assert protocol["real_images"] == 300 and protocol["generated_images"] == 150
    for seed in (0, 1):
        parts = [model.sample(64, seed=(seed << 20) + k) for k in range(3)]
        fake = pixels(to_uint8(np.concatenate(parts)[:150]))
        found = {name: value["runs"][seed] for name, value in result["values"].items()}
        assert found["own_fid"] == pytest.approx(metrics.fid(real, fake), rel=1e-9)
        score, _ = metrics.inception_score(10 * fake[:, :5])
        assert found["own_is"] == pytest.approx(score, rel=1e-6)
        _, coverage = metrics.density_coverage(real, fake)
        assert found["own_coverage"] == coverage
    runs = result["values"]["own_fid"]["runs"]
    assert result["values"]["own_fid"]["mean"] == pytest.approx(np.mean(runs))
    assert result["values"]["own_fid"]["std"] == pytest.approx(np.std(runs, ddof=1))
    assert runs[0] != runs[1]


def test_many_images_are_made_under_xla_on_a_gpu(model, evaluator, monkeypatch, capsys):
    here = evaluator(metrics=["fid"])(model, {})["values"]["own_fid"]["runs"]
    monkeypatch.setenv("TFGANS_MACHINE", "gpu")
    monkeypatch.setattr(machine, "MANY", 6)  # two seeds of three batches
    there = evaluator(metrics=["fid"])(model, {})["values"]["own_fid"]["runs"]
    assert there == pytest.approx(here, rel=1e-3)
    assert "6 calls with one shape: XLA compiles all as one." in capsys.readouterr().out


def test_numbers_have_their_names(evaluator, real):
    """Pairs of numbers that a swap would exchange, for a generator that copies some real images."""

    class Copier:
        label_dim = 0

        def sample(self, n, seed):
            rng = np.random.default_rng(seed)
            images = real[rng.integers(20, size=n)] / 127.5 - 1
            return np.clip(images + rng.normal(0, 0.05, images.shape), -1, 1)

    names = ("pr", "dc", "prd", "ms_ssim")
    result = evaluator(metrics=names, seeds=1)(Copier(), {})
    found = {name: value["mean"] for name, value in result["values"].items()}
    copies = np.concatenate([Copier().sample(64, k) for k in range(3)])[:150]
    shuffled = real[np.random.default_rng(0).permutation(300)]  # k-means depends on the order
    features, fakes = Pixels()(shuffled), Pixels()(to_uint8(copies))
    for first, second, wanted in (
        ("own_precision", "own_recall", metrics.improved_precision_recall(features, fakes)),
        ("own_density", "own_coverage", metrics.density_coverage(features, fakes)),
        ("own_prd_f8", "own_prd_f1/8", metrics.prd_summary(*metrics.prd(features, fakes))),
    ):
        assert (found[first], found[second]) == pytest.approx(wanted, rel=1e-5)
        assert abs(wanted[0] - wanted[1]) > 0.1
    similar = metrics.ms_ssim_diversity(to_uint8(copies))
    assert found["ms_ssim"] == pytest.approx(similar, rel=1e-9) != found["ms_ssim_of_real"]


def test_few_images_put_kid_first_and_say_so(model, evaluator):
    result = evaluator(metrics=["fid"], seeds=1)(model, {"name": "x", "kind": "GAN"})
    assert list(result["values"]) == ["own_kid", "own_fid"]
    assert "150 images are fewer than 10,000" in result["notes"][0]
    assert "not comparable with published" in result["notes"][1]
    text = metrics.table(result)
    assert text.index("own_kid") < text.index("own_fid") and "150 images are fewer" in text
    assert "features: pixels (000000000000), resize none" in text


def test_real_images_measured_against_themselves_have_no_distance(tmp_path):
    """A folder that holds the data set: FID 0, precision and recall 1."""
    rng = np.random.default_rng(0)
    for k in range(130):
        picture = Image.fromarray(rng.integers(0, 256, [8, 8, 3], "uint8"))
        picture.save(tmp_path / f"{k:03}.png")
    names = ["fid", "pr", "kid", "ms_ssim"]
    result = metrics.evaluate(tmp_path, tmp_path, names, Pixels(), seeds=3)
    values = {name: value["mean"] for name, value in result["values"].items()}
    assert abs(values["own_fid"]) < 1e-6
    assert next(iter(values)) == "own_kid" and "130 images are fewer" in result["notes"][0]
    assert values["own_precision"] == values["own_recall"] == 1
    assert 0 <= values["ms_ssim"] < 0.2 and 0 <= values["ms_ssim_of_real"] < 0.2
    assert result["protocol"]["seeds"] == [0]  # a folder has no latents
    assert result["protocol"]["generated_images"] == 130


def test_another_order_or_size_of_batches_changes_nothing_but_other_data_do(
    tmp_path, model, evaluator
):
    a = evaluator(metrics=["fid"], seeds=1)(model, {})
    b = evaluator(metrics=["fid"], seeds=1)(model, {})
    assert a == b
    arrays = np.zeros([70, 8, 8, 1], "uint8")
    arrays[:, 1:7, 2:6] = np.arange(70)[:, None, None, None]
    np.save(tmp_path / "other.npy", arrays)
    other = metrics.Evaluator(
        Data(path=str(tmp_path / "other.npy")), (8, 8, 1), 0, ["fid"], Pixels(), 150, 1
    )
    with pytest.raises(BadInput, match="data_sha256: .* -> ") as error:
        metrics.compare(a, other(model, {}))
    assert "real_images: 300 -> 70" in str(error.value)


def test_features_of_real_images_are_cached(model, tmp_path, evaluator):
    first, second = Pixels(), Pixels()
    a = evaluator(metrics=["fid"], extractor=first, cache=tmp_path, seeds=1)(model, {})
    b = evaluator(metrics=["fid"], extractor=second, cache=tmp_path, seeds=1)(model, {})
    assert a == b and len(list(tmp_path.iterdir())) == 1
    assert first.calls - second.calls == 5
    nameless = Pixels()
    nameless.sha256 = None
    with pytest.raises(BadInput, match="no hash"):
        evaluator(extractor=nameless, cache=tmp_path)


def test_real_images_are_read_once(model, evaluator, monkeypatch, real, tmp_path):
    rows, read = [], ImageReader.read

    def count(self, indices):
        rows.extend(indices)
        return read(self, indices)

    monkeypatch.setattr(ImageReader, "read", count)
    result = evaluator(metrics=["fid"], seeds=1)(model, {})
    assert sorted(rows) == list(range(300))
    shuffled = real[np.random.default_rng(0).permutation(300)]
    assert result["protocol"]["data_sha256"] == hashlib.sha256(shuffled.tobytes()).hexdigest()
    rows.clear()
    cached = evaluator(metrics=["fid"], seeds=1, cache=tmp_path)(model, {})
    assert sorted(rows) == sorted(2 * list(range(300))) and cached == result


def test_labels_are_drawn_from_the_data_and_class_distances_need_them(tmp_path, evaluator):
    images = np.zeros([90, 8, 8, 1], "uint8")
    images[:, :, 4:] = np.random.default_rng(0).integers(0, 256, [90, 8, 4, 1])
    labels = np.repeat([0, 1, 2], [60, 20, 10])
    images[labels == 1] = images[labels == 1][:, :, ::-1]
    images[labels == 2] = np.swapaxes(images[labels == 2], 1, 2)
    np.savez(tmp_path / "data.npz", images=images, labels=labels)

    class Copier:
        """A generator that copies the data of the class it is told."""

        shift, seen, label_dim = 0, [], 3

        def sample(self, n, seed, labels):
            self.seen.append(labels)
            rng = np.random.default_rng(seed)
            told = (labels + self.shift) % 3
            rows = [rng.choice(np.flatnonzero(arrays["labels"] == label)) for label in told]
            return images[rows] / 127.5 - 1

    arrays = {"labels": labels}
    copier = Copier()
    measure = metrics.Evaluator(
        Data(path=str(tmp_path / "data.npz")), (8, 8, 1), 3, ["intra_fid", "fid"], Pixels(), 2000, 1
    )
    right = measure(copier, {})["values"]
    shares = np.bincount(np.concatenate(copier.seen)) / 2048  # whole batches
    np.testing.assert_allclose(shares, [6 / 9, 2 / 9, 1 / 9], atol=0.04)
    copier.shift = 1
    wrong = measure(copier, {})["values"]
    assert wrong["own_intra_fid"]["mean"] > 5 * right["own_intra_fid"]["mean"]
    with pytest.raises(BadInput, match="intra_fid needs a model with classes"):
        evaluator(metrics=["intra_fid"])


@pytest.mark.thorough
def test_metrics_without_a_network(saved, tmp_path):
    """SWD of two folders and the polygon study need no extractor."""
    images = np.random.default_rng(0).integers(0, 256, [2, 40, 16, 16, 3], "uint8")
    for name, pictures in zip(("a", "b"), images, strict=True):
        np.save(tmp_path / f"{name}.npy", pictures[: 40 if name == "a" else 30])
    np.save(tmp_path / "dark.npy", np.sort(images[1], axis=2))
    paths = [tmp_path / f"{name}.npy" for name in ("a", "b", "dark")]
    close = metrics.evaluate(paths[1], paths[0], ["swd"])["values"]
    far = metrics.evaluate(paths[2], paths[0], ["swd"])["values"]
    assert list(close) == ["swd", "swd_16"]
    assert far["swd"]["mean"] > 5 * close["swd"]["mean"] > 0
    study = metrics.evaluate(saved, "synthetic", ["polygons"], samples=4, seeds=1)["values"]
    assert set(study) == {"polygon_precision", "polygon_recall", "polygon_f1"}
    assert study["polygon_precision"]["mean"] == 0  # an untrained model


def test_an_image_that_is_left_over_has_no_neighbor(tmp_path):
    """65 images are a batch of 64 and one image, which has no pair."""
    images = np.random.default_rng(0).integers(0, 256, [65, 8, 8, 1], "uint8")
    np.save(tmp_path / "a.npy", images)
    values = metrics.evaluate(tmp_path / "a.npy", str(tmp_path / "a.npy"), ["ms_ssim"])["values"]
    order = np.random.default_rng(0).permutation(65)[:64]
    wanted = metrics.ms_ssim_diversity(images[order])
    assert values["ms_ssim"]["mean"] == pytest.approx(wanted) and wanted > 0
    assert values["ms_ssim_of_real"]["mean"] == pytest.approx(wanted)


def test_a_batch_of_broken_images_alone_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "BATCH", 8)
    last = np.random.default_rng(0).permutation(17)[-1]  # the only image of the third batch
    random = np.random.default_rng(1)
    for name in ("broken", "whole"):
        (tmp_path / name).mkdir()
    for i in range(17):
        file = f"{i:02}.png"
        if i == last:
            (tmp_path / "broken" / file).write_bytes(b"half")
            continue
        image = Image.fromarray(random.integers(0, 256, [16, 16, 3], "uint8"))
        image.save(tmp_path / "broken" / file)
        image.save(tmp_path / "whole" / file)
    names, broken = ["swd", "ms_ssim", "kid"], tmp_path / "broken"
    for _ in range(2):  # computes features, then reads them from the cache
        result = metrics.evaluate(broken, str(broken), names, Pixels(), cache=tmp_path / "cache")
        assert result["protocol"]["real_images"] == result["protocol"]["generated_images"] == 16
        assert result["values"]["own_kid"]["mean"] < 0.01
        assert 0 < result["values"]["ms_ssim"]["mean"] < 1
    keep = sorted((tmp_path / "whole").iterdir())[0]
    for file in broken.iterdir():
        file.write_bytes(keep.read_bytes() if file.name == keep.name else b"half")
    for pair, noun in ((("broken", "whole"), "images to measure"), (("whole", "broken"), "real")):
        with pytest.raises(BadInput, match=f"at least two intact {noun}.*, not 1"):
            metrics.evaluate(tmp_path / pair[0], str(tmp_path / pair[1]), ["swd"])


def test_functions_are_networks_and_distances(real_path, evaluator):
    """They have no hash; the table says so."""

    def mean(images):
        return images.mean(axis=(1, 2))

    result = metrics.evaluate(str(real_path), str(real_path), ["kid"], extractor=mean)
    assert "features: function mean (no hash), resize none" in metrics.table(result)
    model = models.get("wgan_gp")((8, 8, 1), width=4)
    measure = evaluator(metrics=["ppl_zend"], samples=4, seeds=1, distance=pixel_pyramid_l2)
    result = measure(model, SUBJECT)
    assert result["values"]["own_ppl_zend"]["mean"] > 0
    assert result["protocol"]["distance"] == "function pixel_pyramid_l2"
    assert "distance: function pixel_pyramid_l2 (no hash)" in metrics.table(result)


def test_polygons_are_for_models_without_classes(tmp_path):
    settings = Config.load("cgan", "tiny").model | {"num_classes": 2, "image_shape": (8, 8, 1)}
    model = models.get("cgan")(**settings)
    with pytest.raises(BadInput, match="polygons needs a model without classes.*CGAN also takes"):
        metrics.check_model(model, ["polygons"])
    metrics.check_model(model, ["kid"])


def test_settings_say_how_many_images_a_metric_takes(model, evaluator):
    settings = evaluator(metrics=["kid", "fid", "is", "pr"], seeds=1)(model, SUBJECT)["settings"]
    for name in ("kid", "is", "pr"):
        assert "at most 50,000 images" in settings[name]
    assert "at most" not in settings["fid"]


class Squared:
    """A distance for tests: the squared difference of pixels."""

    name, sha256, comparable = "squared", "2" * 64, False

    def __call__(self, a, b):
        return np.square(np.asarray(a) - np.asarray(b)).sum(axis=(1, 2, 3))


def test_path_lengths_of_a_model(saved, real_path, evaluator, tmp_path, monkeypatch):
    model = models.get("wgan_gp")((8, 8, 1), width=4)
    result = evaluator(metrics=["ppl_zend", "ppl_zfull"], samples=20, distance=Squared())(model, {})
    assert set(result["values"]) == {"own_ppl_zend", "own_ppl_zfull"}
    for seed in (0, 1):
        wanted = metrics.ppl_of_model(model, Squared(), 20, "z", "full", seed=seed)
        assert result["values"]["own_ppl_zfull"]["runs"][seed] == wanted
    assert result["protocol"]["distance_sha256"] == "2" * 64
    assert "features of squared, not comparable" in result["notes"][0]
    assert "distance: squared (222222222222)" in metrics.table(result | {"subject": SUBJECT})
    for variable in ("TFGANS_VGG16", "TFGANS_LPIPS"):
        monkeypatch.delenv(variable, raising=False)

    def refused(match, subject=saved, names=("ppl_zend",), **options):
        with pytest.raises(BadInput, match=match):
            metrics.evaluate(subject, str(real_path), names, **options)

    model.save(tmp_path / "wgan_gp.keras")
    refused("LPIPS needs torchvision's vgg16-397923af.pth; nothing", tmp_path / "wgan_gp.keras")
    refused(r"z of GAN is not N\(0, I\)", distance=Squared())
    refused("GAN has no w", names=["ppl_wend"], distance=Squared())
    refused("ppl_zend needs a model's latents", subject=real_path, distance=Squared())
    refused("polygons needs a model's latents", subject=real_path, names=["polygons"])
    style = models.StyleGAN2((8, 8, 1), latent_dim=4, style_dim=4, channel_base=16, channel_max=4)
    style.save(tmp_path / "style.keras")
    refused("leave out the truncation", tmp_path / "style.keras", ["ppl_wend"], truncation=0.7)


SUBJECT = {"name": "x", "kind": "GAN"}


def test_comparison_of_results(model, tmp_path, evaluator):
    subject = {"name": "first", "kind": "GAN"}
    first = evaluator(metrics=["fid"])(model, subject)
    metrics.write_result(first, tmp_path / "first.json")
    first = metrics.read_result(tmp_path / "first.json")
    second = evaluator(metrics=["fid", "is"])(model, {"name": "second", "kind": "GAN"})
    lines = metrics.compare(first, second).splitlines()
    assert lines[0].split() == ["first", "second"]
    assert [line.split()[0] for line in lines[1:]] == ["own_kid", "own_fid"]  # the metrics of both
    for key, value in (("samples", 100), ("seeds", 1)):
        other = evaluator(metrics=["fid"], **{key: value})(model, subject)
        with pytest.raises(BadInput, match="measured differently"):
            metrics.compare(first, other)
    without = evaluator(metrics=["fid"])(model, subject)  # measured without a distance
    with_distance = without["protocol"] | {"distance": "lpips", "distance_sha256": "3" * 64}
    assert "own_fid" in metrics.compare(without, without | {"protocol": with_distance})
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(BadInput, match="is not a result"):
        metrics.read_result(tmp_path / "no.json")


def test_bad_requests_are_refused_before_any_work(model, saved, tmp_path, evaluator):
    with pytest.raises(BadInput, match="Did you mean 'fid'"):
        evaluator(metrics=["fit"])
    with pytest.raises(BadInput, match="two images and one seed, not 1"):
        evaluator(samples=1)
    with pytest.raises(BadInput, match="has no truncation"):
        metrics.evaluate(saved, "synthetic", ["swd"], truncation=0.7)
    with pytest.raises(FileNotFoundError, match="neither a run, nor a release"):
        metrics.evaluate(tmp_path / "nothing", "synthetic")
    (tmp_path / "run" / "snapshots").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="not saved anything"):  # ignores its pictures
        metrics.evaluate(tmp_path / "run", "synthetic")
    sequences = models.get("seqgan")
    with pytest.raises(BadInput, match="'tokens'"):
        metrics.check_model(sequences.__new__(sequences))
    with pytest.raises(BadInput, match="16 pixels, not 8 x 8"):
        metrics.evaluate(saved, "synthetic", ["swd"])  # the pyramid needs 16 x 16

    class Broken:
        label_dim = 0

        def sample(self, n, seed):
            return np.full([n, 8, 8, 1], np.nan, "float32")

    with pytest.raises(BadInput, match="NaN or infinite"):
        evaluator()(Broken(), {})
    with pytest.raises(data.DataError, match="nowhere"):
        metrics.evaluate(saved, "nowhere", ["ms_ssim"])


def test_the_tool_prints_a_table_writes_json_and_compares(saved, real_path, tmp_path):
    def run(*words):
        command = [sys.executable, str(TOOL), *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    options = ["--data", real_path, "--metrics", "ms_ssim", "--seeds", 2, "--out", "a.json"]
    done = run(saved, *options, "--samples", 70)
    assert done.returncode == 0, done.stderr
    assert f"{saved} (GAN) against {real_path}" in done.stdout and "ms_ssim_of_real" in done.stdout
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["subject"] == {
        "name": str(saved),
        "kind": "GAN",
        "step": 0,
        "averaged_weights": False,
    }
    assert result["protocol"]["seeds"] == [0, 1] and result["tfgans"]
    changed = result | {"protocol": result["protocol"] | {"generated_images": 50_000}}
    (tmp_path / "b.json").write_text(json.dumps(changed))
    refused = run("--compare", "a.json", "b.json")
    assert refused.returncode != 0 and "Traceback" not in refused.stderr
    assert "generated_images: 70 -> 50000" in refused.stderr


@pytest.mark.thorough
def test_a_result_names_the_network_of_a_perceptual_loss(tmp_path):
    """The stand-in for VGG too, with its hash in a training; a release knows the name alone."""
    settings = Config.load("gaugan", "tiny")
    training.resolve(settings)
    model = training.build(settings)
    model.compile()
    model.save(tmp_path / "model.keras")
    name, digest = own_small.WEIGHTS.name, durable.sha256(own_small.WEIGHTS)
    protocol = {"seeds": [0], "generated_images": 1, "real_images": 1}
    result = {"data": "x", "notes": [], "values": {"v": {"mean": 1.0, "std": None}}}
    result["protocol"] = protocol | {"extractor": None, "distance": None}
    for found, known, line in (
        (model, digest, f"losses of its training: {name} ({digest[:12]})"),
        (models.load(tmp_path / "model.keras"), None, f"losses of its training: {name}"),
    ):
        subject = metrics.describe(found, "x")
        assert subject["losses_through"] == {name: known}
        assert line in metrics.table(result | {"subject": subject}).splitlines()


@pytest.mark.thorough
def test_translations_are_measured_against_the_wanted_images(monkeypatch, tmp_path):
    """A pix2pix that returns the targets is perfect; one that returns its inputs is not."""
    settings = Config.load("pix2pix", "tiny")
    training.resolve(settings)
    model = training.build(settings)
    model.save(tmp_path / "model.keras")
    found = []
    for key in ("target", "input"):
        spec = {key: model.image_spec()}
        directions = {
            "translate": (spec, lambda image: image + np.zeros(model.image_shape, "float32"))
        }
        monkeypatch.setattr(type(model), "directions", lambda self, d=directions: d)
        result = metrics.evaluate(
            tmp_path / "model.keras", "synthetic", ["fid"], extractor=Pixels(), samples=128, seeds=1
        )
        found.append(result["values"]["own_fid"]["mean"])
    assert found[0] < 0.1 * found[1]
    with pytest.raises(BadInput, match="ppl_zend needs a model's latents"):
        metrics.evaluate(tmp_path / "model.keras", "synthetic", ["ppl_zend"], samples=2, seeds=1)
    wrong = {"translate": (spec, lambda image: image + np.full(model.image_shape, np.nan, "f4"))}
    monkeypatch.setattr(type(model), "directions", lambda self: wrong)
    with pytest.raises(BadInput, match="NaN or infinite pixels"):
        metrics.evaluate(tmp_path / "model.keras", "synthetic", ["ms_ssim"], samples=2, seeds=1)
