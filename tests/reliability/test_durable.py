"""The order in which files reach the disk, and checksums that find one altered byte."""

import os
import pathlib
import shutil
import subprocess

import pytest

from tfgans import callbacks, durable, models, resuming, storage, training
from tfgans.config import Config


@pytest.fixture(scope="module")
def model():
    return training.build(Config.load("gan", "tiny"))


@pytest.fixture(scope="module")
def released(model, tmp_path_factory):
    root = tmp_path_factory.mktemp("releases")
    plain = type(model).from_config(model.get_config())
    return [storage.release(plain, "shapes", root) for _ in range(2)]


@pytest.fixture
def calls(monkeypatch):
    """Records calls to the disk, in order: ("fsync", path) and ("replace", from, to)."""
    record, fsync, replace = [], os.fsync, os.replace

    def recorded_fsync(number):
        record.append(("fsync", pathlib.Path(os.readlink(f"/proc/self/fd/{number}"))))
        fsync(number)

    def recorded_replace(source, target):
        record.append(("replace", pathlib.Path(source), pathlib.Path(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    return record


def test_a_snapshot_reaches_the_disk_before_it_gets_its_name(model, calls, tmp_path):
    path = tmp_path / "snapshots" / "00000010.keras"
    storage.save(model, path)
    partial, folder = path.parent / "partial", path.parent
    assert calls == [
        ("fsync", partial / "00000010.keras.sha256"),
        ("replace", partial / "00000010.keras.sha256", folder / "00000010.keras.sha256"),
        ("fsync", folder),
        ("fsync", partial / path.name),
        ("replace", partial / path.name, path),
        ("fsync", folder),
    ]
    assert sorted(os.listdir(folder)) == ["00000010.keras", "00000010.keras.sha256"]


def test_a_release_reaches_the_disk_before_it_gets_its_number(model, calls, tmp_path):
    plain = type(model).from_config(model.get_config())
    folder = storage.release(plain, "shapes", tmp_path)
    renamed = calls.index(("replace", tmp_path / "shapes" / "partial-1", folder))
    synced = {call[1].relative_to(tmp_path / "shapes" / "partial-1") for call in calls[:renamed]}
    parts = {path.relative_to(folder) for path in folder.rglob("*")}
    assert synced == parts | {pathlib.Path()} and len(parts) > 5
    assert calls[renamed + 1 :] == [("fsync", tmp_path / "shapes")]


def test_the_configuration_of_a_run_is_replaced_in_one_go(calls, tmp_path):
    resuming.write_settings(tmp_path, Config.load("gan", "tiny"))
    partial, path = tmp_path / "partial-config.yaml", tmp_path / "config.yaml"
    assert calls == [("fsync", partial), ("replace", partial, path), ("fsync", tmp_path)]


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_sha256sum_agrees(released):
    command = ["sha256sum", "--check", "--strict", "model.keras.sha256"]
    done = subprocess.run(command, cwd=released[0], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    parts = sum(path.is_file() for path in released[0].rglob("*"))
    assert done.stdout.count(": OK\n") == parts - 1  # all but the list itself


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("part", ["model.keras", "saved_model.pb", "variables/variables.index"])
def test_one_altered_byte_of_a_release_is_found_and_named(released, tmp_path, part, shift):
    for version in released:
        shutil.copytree(version, tmp_path / "shapes" / version.name)
    altered = tmp_path / "shapes" / "2" / part
    flip(altered, int(altered.stat().st_size * shift))
    with pytest.raises(durable.Altered) as error:
        models.load(tmp_path / "shapes")
    assert f": {part} is altered or missing" in str(error.value)
    assert f"The one before: {tmp_path / 'shapes' / '1'}" in str(error.value)
    models.load(tmp_path / "shapes" / "1")


def test_a_missing_part_and_altered_checksums_are_found(released, tmp_path):
    release = tmp_path / "1"
    for position in (3, 70, -3):  # a digit, a letter of a name, and in the last line
        shutil.rmtree(release, ignore_errors=True)
        shutil.copytree(released[0], release)
        flip(release / "model.keras.sha256", position)
        with pytest.raises(durable.Altered, match="Replace it with an intact copy"):
            models.load(release)
    shutil.rmtree(release)
    shutil.copytree(released[0], release)
    (release / "saved_model.pb").unlink()
    with pytest.raises(durable.Altered, match="saved_model.pb is altered or missing"):
        models.load(release)
    (release / "model.keras.sha256").write_text("")
    with pytest.raises(durable.Altered, match="model.keras is altered or missing"):
        models.load(release)


def test_the_release_that_comes_with_the_package_is_whole():
    path = storage.find("stylegan2-fashion")
    assert durable.checksums(path).exists()
    durable.check(path)


def test_an_altered_snapshot_is_passed_over_and_the_one_before_named(model, capsys, tmp_path):
    """It works even for a byte that a zip does not check: Keras reads the file without an error."""
    for step in (10, 20):
        storage.save(model, tmp_path / "snapshots" / f"{step:08}.keras")
    first, second = storage.snapshots(tmp_path)
    flip(second, 10)  # the time of day in the first header of the zip
    assert storage.resume(tmp_path) is not None
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 and "00000020.keras is altered" in printed[0]
    assert "trying the one before" in printed[0] and printed[1] == f"Going on from {first}."
    with pytest.raises(durable.Altered, match=f"The one before: {first}"):
        models.load(tmp_path)


def test_checksums_go_with_their_snapshots(model, tmp_path):
    snapshot = callbacks.Snapshot(1, tmp_path, keep=2)
    snapshot.set_model(model)
    folder = tmp_path / "snapshots"
    folder.mkdir()
    (folder / "00000004.keras.sha256").write_text("of a run that was killed between two renames")
    (folder / "partial").mkdir()
    (folder / "partial" / "tmp123").write_text("of a run that was killed while it wrote")
    for step in (5, 6, 7):
        snapshot.on_tick(step, {})
    left = [f"0000000{step}.keras{end}" for step in (6, 7) for end in ("", ".sha256")]
    assert sorted(os.listdir(folder)) == left
