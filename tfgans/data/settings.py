"""The section `data` of a configuration."""

import dataclasses


@dataclasses.dataclass
class Data:
    """What to train on.

    Args:
        path: A folder, zip, TFRecord, IDX, CIFAR or NumPy path, or "synthetic".
        batch_size: Images per update, over all replicas together.
        labels: Read labels too; the model is then conditional on them.
        flip: Mirror every second image at random; both images of a pair.
        jitter: Make images this many pixels higher and wider than the model wants them, and cut a
            window at random; the same one out of both images of a pair.
        direction: "a_to_b" or "b_to_a": which image of a pair is the input, which the target.
        broken: What to do with an unreadable image: "skip" reports it and takes the next one,
            "fail" stops the run.
        value_range: [lowest, highest] value of the stored pixels, needed for float arrays only.
    """

    path: str | None = None
    batch_size: int = 64
    labels: bool = False
    flip: bool = False
    jitter: int = 0
    direction: str = "a_to_b"
    broken: str = "skip"
    value_range: list | None = None
