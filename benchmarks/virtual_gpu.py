"""Counts what TensorFlow runs of a step on a GPU: `python benchmarks/virtual_gpu.py NAMES`.

No GPU is needed. TensorFlow's graph optimizer (Grappler) gets the description of a GPU in place of
one, and the traced graph as a GPU would get it, with its rules for layouts, fusion and constants.
Nothing is run. The demo setting is traced; `--set` changes it as in `tools/train.py`.

The layout optimizer turns all convolutions to the layout that it thinks faster, NCHW in float32 and
NHWC in 16 bits on tensor cores, and adds transpositions at the borders. Where it gives up, with
"layout failed" on stderr, the whole graph stays as it is: NCHW is 0. It does so after a `tf.where`
of an image and a scalar, and where the gradient of `tf.where`, `tf.maximum` or `tf.clip_by_value`
of images has a gradient itself, because that one holds a scalar zero.
"""

import argparse
import collections
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")

import keras  # noqa: E402
import record  # noqa: E402
from tensorflow.core.protobuf import (  # noqa: E402
    config_pb2,
    device_properties_pb2,
    meta_graph_pb2,
)
from tensorflow.python.grappler import cluster, tf_optimizer  # noqa: E402

GPU = "/job:localhost/replica:0/task:0/device:GPU:0"
FREE = {"Const", "Placeholder", "NoOp", "Identity", "IdentityN", "Reshape", "ReadVariableOp"}
FREE |= {"Squeeze", "ExpandDims", "ShapeN", "Shape"}  # no kernel of the GPU, or no time
CONVOLUTIONS = ("Conv2D", "DepthwiseConv2d")
SHOWN = "kernels convolutions NCHW Transpose Cast SelectV2 Pad compiled applied".split()


def machine():
    """A description of one H100 and its host, as Grappler takes it."""
    gpu = device_properties_pb2.NamedDevice(name=GPU)
    gpu.properties.type, gpu.properties.vendor = "GPU", "NVIDIA"
    gpu.properties.environment["architecture"] = "9.0"
    gpu.properties.num_cores, gpu.properties.frequency = 132, 1500
    gpu.properties.memory_size = 80 << 30
    host = device_properties_pb2.NamedDevice(name=GPU.replace("GPU", "CPU"))
    host.properties.type, host.properties.num_cores, host.properties.frequency = "CPU", 8, 2000
    return cluster.Cluster(devices=[host, gpu])


def optimized(graph):
    """The operations that a GPU gets of a graph.

    Args:
        graph: A FuncGraph, as of a concrete function.

    Returns:
        A GraphDef. An optimizer that gives up says so on stderr, in TensorFlow's own words.
    """
    found = graph.as_graph_def(add_shapes=True)
    for node in found.node:
        node.device = GPU
    meta = meta_graph_pb2.MetaGraphDef(graph_def=found)
    wanted = [tensor.op.name for tensor in graph.outputs]
    wanted += [operation.name for operation in graph.control_outputs]
    meta.collection_def["train_op"].node_list.value.extend(wanted)
    settings = config_pb2.ConfigProto()
    settings.graph_options.rewrite_options.min_graph_nodes = -1
    return tf_optimizer.OptimizeGraph(settings, meta, cluster=machine(), verbose=False)


def counts(graph) -> collections.Counter:
    """How many operations of each type a GraphDef has, and sums of them."""
    found = collections.Counter(node.op for node in graph.node)
    compiled = {
        function.signature.name
        for function in graph.library.function
        if function.attr["_XlaMustCompile"].b
    }
    for node in graph.node:
        found["kernels"] += node.op not in FREE
        found["applied"] += node.op.startswith("ResourceApply")
        found["compiled"] += node.attr["f"].func.name in compiled
        if node.op.startswith(CONVOLUTIONS):
            found["convolutions"] += 1
            found[node.attr["data_format"].s.decode()] += 1
    return found


def main():
    from models import Steps

    from tfgans.config import Config

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", help="configurations")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="changes")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    args = parser.parse_args()
    rows = []
    print(f"{'':16}{'step':10}" + "".join(f"{word:>13}" for word in SHOWN))
    for name in args.names:
        steps = Steps(Config.load(name, "demo", args.changes))
        for k, step in enumerate(steps.graphs.values()):
            found = counts(optimized(step.graph))
            rows.append({"name": name, "step": k, **found})
            print(f"{name:16}{k:<10}" + "".join(f"{found[word]:13}" for word in SHOWN), flush=True)
        keras.backend.clear_session()
    record.write(args.json, rows)


if __name__ == "__main__":
    main()
