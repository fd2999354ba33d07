"""Estimates the memory of training from the graphs of the steps, without running them.

A training process holds five things:

    TensorFlow, Keras and this package, before a model is built     0.63 GB
    weights, averages, states of the optimizers                     counted
    the graphs of the steps, ready to run                           20 kB for each operation
    the tensors of a step                                           1.3 times the counted peak
    copies of the filters, kept by convolutions                     the size of all filters

The first, the third and the factor 1.3 were measured (`benchmarks/memory.py`, docs/scale.md) with
TensorFlow 2.21 on a CPU. Each graph operation costs 20 kB because TensorFlow keeps the traced and
the optimized operation, the executor's node and the prepared kernel. All graphs of a training stay
in memory. Convolution kernels keep memory between steps and free it with their function: 108 MB for
DCGAN, whose filters take 137 MB. An accelerator's own memory holds the second and the fourth.
"""

import dataclasses

PROCESS = 630_000_000
OPERATION = 20_000
SPARE = 1.3  # on a CPU the allocator returns free blocks larger than requested

ALIASES = {"Identity", "IdentityN", "Reshape", "ExpandDims", "Squeeze", "ReadVariableOp"}


def needed(graph) -> set:
    """Returns the operations that TensorFlow runs: those that a result depends on."""
    found, left = set(), [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    while left:
        operation = left.pop()
        if operation not in found:
            found.add(operation)
            left += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
    return found


def peak_bytes(graph) -> int:
    """Returns the largest sum of bytes of live tensors if operations run in order of creation.

    Tensors of unknown size count as 0, and so do tensors that share another one's memory.
    """
    run = needed(graph)
    operations = [operation for operation in graph.get_operations() if operation in run]
    owner, last_use = {}, {}  # tensor -> tensor that holds its memory; owner -> last reader
    for i, operation in enumerate(operations):
        for k, tensor in enumerate(operation.outputs):
            shares = operation.type in ALIASES and k < len(operation.inputs)
            source = operation.inputs[k].ref() if shares else tensor.ref()
            owner[tensor.ref()] = owner.get(source, tensor.ref())
            last_use.setdefault(owner[tensor.ref()], i)
        for tensor in operation.inputs:
            last_use[owner[tensor.ref()]] = i
    freed = {}
    for ref, i in last_use.items():
        freed.setdefault(i, []).append(ref)
    alive = peak = 0
    for i, operation in enumerate(operations):
        if operation.type not in ("Placeholder", "ReadVariableOp", "Const"):
            alive += sum(size(t) for t in operation.outputs if owner[t.ref()] == t.ref())
        peak = max(peak, alive)
        for ref in freed.get(i, ()):
            kept = ref.deref().op.type in ("Placeholder", "ReadVariableOp", "Const")
            alive -= 0 if kept else size(ref.deref())
    return peak


def size(tensor):
    elements = tensor.shape.num_elements()
    return 0 if elements is None else elements * tensor.dtype.size


@dataclasses.dataclass
class Memory:
    """Memory of a training process, in bytes.

    Args:
        stored: Size of weights, averages and states of the optimizers.
        step: Peak size of the tensors, in the step where it is largest.
        operations: Number of operations in all graphs.
        filters: Size of the trained filters of all convolutions.
    """

    stored: int
    step: int
    operations: int
    filters: int

    @property
    def process(self):
        """The sum: the resident memory of a process that trains on a CPU."""
        graphs, step = OPERATION * self.operations, int(SPARE * self.step)
        return PROCESS + self.stored + graphs + step + self.filters


def training_memory(model, batch) -> Memory:
    """Estimates the memory of training.

    Args:
        model: A compiled model. All its stages and patterns of `due` answers are traced.
        batch: Data of one step, as `model.graphs` takes it.
    """
    return memory_of(model, model.graphs(batch, whole=False))


def memory_of(model, graphs) -> Memory:
    """Estimates the memory of training from traced steps.

    Args:
        model: A compiled model.
        graphs: Pattern -> concrete function, as `model.graphs` gives them.
    """
    variables = list(model.variables)
    for optimizer in model.optimizers.values():
        variables += optimizer.variables
    graphs = [step.graph for step in graphs.values()]
    return Memory(
        stored=sum(size(v.value) for v in variables),
        step=max(map(peak_bytes, graphs)),
        operations=sum(len(graph.get_operations()) for graph in graphs),
        filters=sum(size(w.value) for w in model.trainable_variables if len(w.shape) == 4),
    )
