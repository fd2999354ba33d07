"""The endings of the files that hold images, in small letters: capitals mean the same."""

IMAGES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
RECORDS = (".tfrecords", ".tfrecord")
IDX = ("ubyte", "ubyte.gz")
ZIP, NPY, NPZ, CIFAR = ".zip", ".npy", ".npz", ".bin"


def ends(name, endings) -> bool:
    """Returns true if a name, or path, has one of the endings."""
    return str(name).lower().endswith(endings)
