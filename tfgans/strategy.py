"""The devices a process trains on."""

import json
import os

import tensorflow as tf

from tfgans.errors import BadInput

STRATEGIES = ("auto", "mirrored", "multiworker", "tpu")


def choose_strategy(kind: str = "auto") -> tf.distribute.Strategy:
    """The distribution strategy of this process.

    Args:
        kind: One of `STRATEGIES`. "auto" is the caller's own `strategy.scope()` where there is
            one, else "multiworker" where TF_CONFIG is set, else "mirrored" where there are several
            GPUs, else one device.

    Raises:
        BadInput: There is nothing here that this strategy could run on.
    """
    if kind == "auto" and tf.distribute.has_strategy():
        return tf.distribute.get_strategy()
    if "TF_CONFIG" in os.environ:
        try:
            json.loads(os.environ["TF_CONFIG"])
        except ValueError as error:
            raise BadInput(f"TF_CONFIG is no JSON text ({error}). See docs/scale.md.") from None
        if kind not in ("auto", "multiworker"):
            raise BadInput(
                f"TF_CONFIG makes this process a worker of a cluster, and --strategy is {kind}. "
                "Take away one of the two: `unset TF_CONFIG`, or --strategy multiworker."
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "multiworker":
        raise BadInput(
            "--strategy multiworker needs the environment variable TF_CONFIG on each machine: "
            "the addresses of all workers and the number of this one. See docs/scale.md."
        )
    if kind == "tpu":
        return tpu_strategy()
    if kind == "mirrored" or len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def tpu_strategy():
    """All cores of the TPU named by TPU_NAME, or of this machine."""
    name = os.environ.get("TPU_NAME", "local")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise BadInput(
            f"--strategy tpu found no TPU named {name!r}: {str(error).splitlines()[0]} Run it on "
            "a TPU machine with TensorFlow for TPUs, or name one by TPU_NAME."
        ) from None
    return tf.distribute.TPUStrategy(resolver)


def is_chief() -> bool:
    """True if this process writes the files; only one of several workers does."""
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    first = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) in ((None, None), (first, 0))
