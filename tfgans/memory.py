"""How much memory a training step takes, estimated from its graph without running it."""

import tensorflow as tf

ALIASES = {"Identity", "IdentityN", "Reshape", "ExpandDims", "Squeeze", "ReadVariableOp"}


def peak_bytes(graph) -> int:
    """Most bytes of tensors alive at a time if the operations ran in the order of their creation.

    Tensors of unknown size count as nothing, and so do those that share another one's memory.
    """
    operations = graph.get_operations()
    owner, last_use = {}, {}
    for i, operation in enumerate(operations):
        for k, tensor in enumerate(operation.outputs):
            shares = operation.type in ALIASES and k < len(operation.inputs)
            source = operation.inputs[k].ref() if shares else tensor.ref()
            owner[tensor.ref()] = owner.get(source, tensor.ref())
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


def training_bytes(model, batch) -> tuple[int, int]:
    """Bytes of a compiled model's variables, and of the tensors of its fullest training step.

    Args:
        model: Compiled. Without stages its graph is traced as at step 0, when everything that is
            `due` is due; with stages, as at the first step of the last one.
        batch: The data of one step, a dict of tensors or TensorSpecs.
    """
    variables = list(model.variables)
    for optimizer in model.optimizers.values():
        variables += optimizer.variables
    stored = sum(size(v.value) for v in variables)
    model._now = sum(model.stage_steps)
    step = tf.function(model._seeded_train_step, autograph=False)
    return stored, peak_bytes(step.get_concrete_function(batch).graph)
