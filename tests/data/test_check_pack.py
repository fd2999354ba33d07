"""`tools/data.py check` and `tools/data.py pack`."""

import json
import os
import pathlib
import runpy
import shlex
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgans.data import DataError, open_images
from tfgans.data.check import check
from tfgans.data.convert import prepare
from tfgans.data.pack import pack
from tfgans.data.rewrite import rewrite
from tfgans.data.source import BrokenImage

ROOT = pathlib.Path(__file__).resolve().parents[2]


def truncate(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])


def by_name(findings):
    """File name -> finding; every finding must be complete."""
    assert all(f.name and f.problem and f.fix for f in findings)
    names = [f.name.rsplit("/", 1)[-1] for f in findings]
    assert len(set(names)) == len(names)
    return dict(zip(names, findings, strict=True))


def test_nothing_wrong(folder):
    assert check(folder) == []


def test_every_kind_of_finding(folder, pictures):
    Image.fromarray(np.zeros([5, 5, 3], "uint8")).save(folder / "cat" / "small.png")
    Image.fromarray(pictures[0, ..., 0]).save(folder / "cat" / "grey.png")
    Image.fromarray(pictures[2]).save(folder / "dog" / "twin.png")
    deep = pictures[3].astype("uint16") + 999
    (folder / "cat" / "deep.png").write_bytes(tf.io.encode_png(deep).numpy())
    (folder / "notes.txt").write_text("bought in 1994")
    truncate(folder / "dog" / "5.png")
    (folder / "dog" / "6.png").write_text("no image")
    found = by_name(check(folder))
    assert set(found) == {
        "small.png",
        "grey.png",
        "twin.png",
        "deep.png",
        "notes.txt",
        "5.png",
        "6.png",
    }
    assert "cannot be read" in found["5.png"].problem and "truncated" in found["5.png"].problem
    assert f"rm {folder / 'dog' / '6.png'}" in found["6.png"].fix
    assert "has 5x5; 9 of 10 images have 6x10" in found["small.png"].problem
    assert "channels is 1; 9 of 10 images have 3" in found["grey.png"].problem
    assert found["twin.png"].problem == f"has the same pixels as {folder / 'cat' / '2.png'}"
    assert "16 bits per channel; 9 of 10 images have 8" in found["deep.png"].problem
    assert found["notes.txt"].problem == "is not an image"


def follow(finding):
    """Runs the command of a finding as a user does."""
    command = shlex.split(finding.fix)
    if command[0] == "tfgans":
        command[0] = pathlib.Path(sys.executable).with_name("tfgans")
    subprocess.run(command, check=True, cwd=ROOT)


def test_fixes_are_commands_that_work(folder, pictures):
    Image.fromarray(pictures[0, ..., 0]).save(folder / "cat" / "a 'grey' one.png")
    Image.fromarray(pictures[2]).save(folder / "dog" / "the twin.png")
    for finding in check(folder):
        follow(finding)
    assert check(folder) == [] and len(open_images(folder)) == 9


def look(folder, channels):
    source = open_images(folder)
    shape = (*source.shape[:2], channels) if source.shape else (6, 10, channels)
    return {
        name: prepare(source.read(i), source.value_range, shape)
        for i, name in enumerate(source.names)
    }


def odd_ones(folder, rgb):
    """Images of another form than most; each is [6, 10] when it is upright."""
    alpha = np.random.RandomState(1).randint(0, 256, [6, 10], "uint8")
    rgba = np.dstack([rgb, alpha])
    exif = Image.Exif()
    exif[0x0112] = 6
    gray = Image.fromarray(np.linspace(0, 255, 60).reshape(10, 6).astype("uint8"))
    gray.save(folder / "turned.jpg", exif=exif, quality=95)
    Image.fromarray(rgba).save(folder / "rgba.png")
    Image.fromarray(rgba).save(folder / "rgba.webp", lossless=True)
    Image.fromarray(rgba).save(folder / "rgba.tif")
    Image.fromarray(rgba[..., 2:]).save(folder / "la.png")
    Image.fromarray(rgb[..., 0]).save(folder / "gray.bmp")
    palette = Image.fromarray(np.arange(60, dtype="uint8").reshape(6, 10) % 3, "P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    palette.save(folder / "p.png", transparency=1)
    palette.save(folder / "p.gif", transparency=1)
    Image.fromarray(rgb[..., 0] > 99).save(folder / "bits.png")
    for channels in (1, 2, 3, 4):
        wide = np.random.RandomState(2).randint(0, 65536, [6, 10, channels], "uint16")
        (folder / f"wide{channels}.png").write_bytes(tf.io.encode_png(wide).numpy())


@pytest.mark.parametrize("channels, bits", [(3, 8), (1, 8), (4, 8), (3, 16)])
def test_the_advice_leaves_the_pictures_as_they_read(tmp_path, pictures, channels, bits):
    for i in range(20):
        keys = np.random.RandomState(i)
        image = keys.randint(0, 2**bits, [6, 10, channels], f"uint{bits}")
        (tmp_path / f"most{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    odd_ones(tmp_path, pictures[0])
    before, rewritten = look(tmp_path, channels), set()
    main = runpy.run_path(str(ROOT / "tools" / "data.py"))["main"]
    for finding in check(tmp_path):
        words = shlex.split(finding.fix)
        if words[:3] == ["tfgans", "data", "rewrite"]:
            assert main(words[2:]) == 0
            rewritten.add(pathlib.Path(words[3]).name)
    after = look(tmp_path, channels)
    assert after.keys() == before.keys() and len(rewritten) > 5
    for name, image in before.items():
        limit = 0.05 if name.endswith("jpg") else 0.009
        np.testing.assert_allclose(after[name], image, atol=limit, err_msg=name)
    if (channels, bits) == (3, 8):
        left = [f.name for f in check(tmp_path) if "same pixels" not in f.problem]
        assert left == [str(tmp_path / "p.gif")]  # has no more than a palette


def test_rewrite_refuses_what_a_format_cannot_hold(tmp_path, pictures):
    for name, options in (("a.gif", {"channels": 1}), ("a.jpg", {"channels": 4})):
        Image.fromarray(pictures[0]).save(tmp_path / name)
        before = (tmp_path / name).read_bytes()
        with pytest.raises(DataError, match="cannot hold . channels of 8 bits"):
            rewrite(tmp_path / name, **options)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(DataError, match="There is no file"):
        rewrite(tmp_path / "none.png")


def test_sizes_that_all_differ_are_one_finding(tmp_path):
    for i in range(6):
        noise = np.random.RandomState(i).randint(0, 256, [4 + i // 2, 4, 3], "uint8")
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    (finding,) = check(tmp_path)
    assert finding.name == str(tmp_path) and "2 of 6 images have 4x4" in finding.problem
    assert f"pack {tmp_path}" in finding.fix and "--size 4 4" in finding.fix


def test_labels_are_checked(folder):
    names = [f"{'cat' if i < 4 else 'dog'}/{i}.png" for i in range(7)]
    labels = [[name, 1] for name in [*names, "dog/gone.png"]]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    found = by_name(check(folder))
    assert set(found) == {"7.png", "gone.png"}
    assert "no label" in found["7.png"].problem and "not an image" in found["gone.png"].problem
    labels = [[name, [1.0] * (1 + (i == 3))] for i, name in enumerate([*names, "dog/7.png"])]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    (finding,) = check(folder)
    assert "differ in length" in finding.problem
    (folder / "dataset.json").write_text("[")
    (finding,) = check(folder)
    assert "dataset.json is not valid" in finding.problem


def test_zip_is_checked(tmp_path, folder):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for image in sorted(folder.rglob("*.png")):
            file.write(image, image.name)
        file.write(image, "twin.png")
    (finding,) = check(path)
    assert finding.name == f"{path}: twin.png" and finding.fix == f"zip -d {path} twin.png"


def test_arrays_are_checked(tmp_path):
    array = np.random.RandomState(0).rand(4, 3, 3).astype("float32")
    array[1, 0, 0], array[2, 0, 0] = np.nan, 1.5
    np.save(tmp_path / "a.npy", array)
    found = check(tmp_path / "a.npy", value_range=(0, 1))
    assert [f.name.split()[-1] for f in found] == ["1", "2"]
    assert "outside 0 to 1, or NaN" in found[0].problem
    (finding,) = check(tmp_path / "a.npy")
    assert "type does not tell" in finding.problem and "data.value_range" in finding.fix
    (finding,) = check(tmp_path / "nothing.npy")
    assert "There is no" in finding.problem


def test_records_are_checked(tmp_path, folder):
    pack(folder, tmp_path / "set", shards=1)
    (path,) = (tmp_path / "set").iterdir()
    assert check(tmp_path / "set") == []
    data = bytearray(path.read_bytes())
    data[-60] ^= 255  # a pixel of the last image
    path.write_bytes(data)
    (finding,) = check(tmp_path / "set")
    assert finding.name == str(path) and "damaged" in finding.problem


# Packing.


def test_pack_and_open(tmp_path, folder, pictures, capsys):
    assert pack(folder, tmp_path / "new" / "set", shards=3) == 8
    names = [f"set-0000{k}-of-00003.tfrecords" for k in range(3)]
    assert sorted(os.listdir(tmp_path / "new" / "set")) == names
    assert os.listdir(tmp_path / "new") == ["set"]  # no temporary files
    assert capsys.readouterr().out.splitlines()[-1] == f"{names[2]}: 8 of 8 images"
    source = open_images(tmp_path / "new" / "set")
    assert len(source) == 8
    for i in (7, 0, 3, 2, 5):
        np.testing.assert_array_equal(source.read(i), pictures[i])
    assert source.labels.dtype == np.int32 and source.labels.tolist() == [0] * 4 + [1] * 4
    assert source.describe(2) == f"{tmp_path / 'new' / 'set' / names[1]} record 0"
    one = open_images(tmp_path / "new" / "set" / names[0])
    assert len(one) == 2


def test_official_readers_understand_what_was_packed(tmp_path, folder, pictures):
    pack(folder, tmp_path / "set", shards=2)
    files = sorted(str(path) for path in (tmp_path / "set").iterdir())
    features = {
        "shape": tf.io.FixedLenFeature([3], tf.int64),
        "data": tf.io.FixedLenFeature([], tf.string),
    }
    for k, record in enumerate(tf.data.TFRecordDataset(files)):
        parsed = tf.io.parse_single_example(record, features)
        image = tf.reshape(tf.io.decode_raw(parsed["data"], tf.uint8), parsed["shape"])
        np.testing.assert_array_equal(image, pictures[k].transpose(2, 0, 1))


def test_vector_labels_survive_bit_by_bit(tmp_path, pictures):
    vectors = np.random.RandomState(0).randn(8, 3).astype("float32")
    np.savez(tmp_path / "a.npz", images=pictures, labels=vectors)
    pack(tmp_path / "a.npz", tmp_path / "set")
    labels = open_images(tmp_path / "set").labels
    assert labels.dtype == np.float32 and np.array_equal(labels, vectors)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_other_types_survive(tmp_path, dtype):
    array = (np.random.RandomState(0).rand(3, 4, 5, 2) * 60000).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    pack(tmp_path / "a.npy", tmp_path / "set", value_range=(0, 60000))
    source = open_images(tmp_path / "set", value_range=(0, 60000))
    assert source.dtype == dtype and source.labels is None
    np.testing.assert_array_equal([source.read(i) for i in range(3)], array)


def test_pack_resizes(tmp_path, folder, pictures):
    pack(folder, tmp_path / "set", size=(6, 6))
    source = open_images(tmp_path / "set")
    assert source.shape == (6, 6, 3)
    np.testing.assert_array_equal([source.read(i) for i in range(8)], pictures[:, :, 2:8])


def test_pack_leaves_broken_images_out(tmp_path, folder, pictures, capsys):
    truncate(folder / "cat" / "1.png")
    assert pack(folder, tmp_path / "set", shards=2) == 7
    assert f"skipped broken image {folder / 'cat' / '1.png'}" in capsys.readouterr().out
    source = open_images(tmp_path / "set")
    assert source.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    np.testing.assert_array_equal(source.read(1), pictures[2])


def test_pack_never_overwrites(tmp_path, folder, monkeypatch):
    pack(folder, tmp_path / "set")
    before = {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()}
    with pytest.raises(DataError, match="exists already"):
        pack(folder, tmp_path / "set")
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "set").iterdir()}

    def disk_full(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("tfgans.data.pack.crop_resize", disk_full)
    with pytest.raises(OSError):
        pack(folder, tmp_path / "other", size=(4, 4))
    assert sorted(os.listdir(tmp_path)) == ["animals", "set"]  # no incomplete set
    np.save(tmp_path / "wide.npy", np.zeros([2, 4, 4], "int32"))
    with pytest.raises(DataError, match="int32 pixels"):
        pack(tmp_path / "wide.npy", tmp_path / "other", value_range=(0, 1))


def test_a_damaged_record_is_one_broken_image(tmp_path, folder):
    pack(folder, tmp_path / "set", shards=1)
    (path,) = (tmp_path / "set").iterdir()
    data = path.read_bytes()
    path.write_bytes(data.replace(b"shape", b"shope", 1))
    source = open_images(tmp_path / "set")
    broken = []
    for i in range(8):
        try:
            source.read(i)
        except BrokenImage as error:
            broken.append(error.name)
    assert broken == [f"{path} record 0"]


# The command line.


@pytest.mark.thorough
def test_command_line_in_a_shell(folder, pictures):
    Image.fromarray(pictures[2]).save(folder / "dog" / "twin.png")
    result = subprocess.run(
        [sys.executable, "tools/data.py", "check", folder],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1 and f"{folder}: 1 problem found." in result.stdout
    assert "wrong: has the same pixels as" in result.stdout and "fix:   rm" in result.stdout


def test_command_line(tmp_path, folder, capsys):
    main = runpy.run_path(str(ROOT / "tools" / "data.py"))["main"]
    assert main(["check", str(folder)]) == 0
    assert f"{folder}: no problems found." in capsys.readouterr().out
    arguments = ["pack", str(folder), str(tmp_path / "set"), "--size", "3", "5", "--shards", "2"]
    assert main(arguments) == 0
    assert "8 images written" in capsys.readouterr().out
    assert open_images(tmp_path / "set").shape == (3, 5, 3)
    with pytest.raises(SystemExit, match="exists already"):
        main(arguments)


def test_tokens(tmp_path):
    path = tmp_path / "poems.txt"
    path.write_text("1 2 3\n4 5 6\n7 8\n1 -2 x\n")
    found = [(finding.name[-6:], finding.problem) for finding in check(path)]
    assert found == [
        ("line 3", "2 tokens; 3 of 4 lines have 3"),
        ("line 4", "'-2' is not a token"),
    ]
    path.write_text("1 2 3\n4 5 6\n")
    assert check(path) == []
    path.write_text("1 2\n\n\n3 4\n\n5\n")  # training skips blank lines
    found = [(finding.name[-6:], finding.problem) for finding in check(path)]
    assert found == [("line 6", "1 tokens; 2 of 3 lines have 2")]
    path.write_text("\n\n")
    assert [finding.problem for finding in check(path)] == ["holds no tokens"]
    path.write_text("")
    assert [finding.problem for finding in check(path)] == ["holds no tokens"]
    assert "No such file" in check(tmp_path / "none.txt")[0].problem
