"""How much memory training takes, estimated from the graphs of its steps without running them.

A training process holds five things:

    TensorFlow, Keras and this package, before there is a model     0.63 GB
    weights, averages, states of the optimizers                     counted
    the graphs of the steps, prepared to run                        20 kB for each operation
    the tensors of a step                               1.3 times what is counted, at their fullest
    copies of their filters that convolutions keep                  the size of all filters

The first, the third and the factor were measured (`benchmarks/memory.py`, docs/scale.md) with
TensorFlow 2.21 on a CPU. An operation of a graph costs so much because it is kept several times: as
it was traced, as it was optimized, as a node of the executor, as a kernel with what it has
prepared. All graphs of a training stay. The kernels of convolutions keep memory from step to step
that goes when their function goes: 108 MB of DCGAN, whose filters are 137 MB. On an accelerator its
own memory holds the second and the fourth.
"""

import dataclasses

PROCESS = 630_000_000
OPERATION = 20_000
SPARE = 1.3  # on a CPU the allocator hands out free pieces larger than what is asked for

ALIASES = {"Identity", "IdentityN", "Reshape", "ExpandDims", "Squeeze", "ReadVariableOp"}


def needed(graph) -> set:
    """The operations that TensorFlow runs: it leaves out what no result depends on."""
    found, left = set(), [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    while left:
        operation = left.pop()
        if operation not in found:
            found.add(operation)
            left += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
    return found


def peak_bytes(graph) -> int:
    """Most bytes of tensors alive at a time if the operations ran in the order of their creation.

    Tensors of unknown size count as nothing, and so do those that share another one's memory.
    """
    run = needed(graph)
    operations = [operation for operation in graph.get_operations() if operation in run]
    owner, last_use = {}, {}
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
    """What a training process holds, in bytes.

    Args:
        stored: Weights, averages, states of the optimizers.
        step: The tensors of the fullest step.
        operations: Number of operations in all graphs.
        filters: The trained filters of all convolutions.
    """

    stored: int
    step: int
    operations: int
    filters: int

    @property
    def process(self):
        """All of it together, the resident memory of a process that trains on a CPU."""
        graphs, step = OPERATION * self.operations, int(SPARE * self.step)
        return PROCESS + self.stored + graphs + step + self.filters


def training_memory(model, batch) -> Memory:
    """Estimates the memory of training.

    Args:
        model: Compiled. The graphs of all its stages and patterns of `due` answers are traced.
        batch: The data of one step, a dict of tensors or TensorSpecs.
    """
    variables = list(model.variables)
    for optimizer in model.optimizers.values():
        variables += optimizer.variables
    graphs = [step.graph for step in model.graphs(batch).values()]
    return Memory(
        stored=sum(size(v.value) for v in variables),
        step=max(map(peak_bytes, graphs)),
        operations=sum(len(graph.get_operations()) for graph in graphs),
        filters=sum(size(w.value) for w in model.trainable_variables if len(w.shape) == 4),
    )
