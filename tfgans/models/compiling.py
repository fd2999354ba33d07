"""A training step that XLA compiles as a whole, while single operations train."""

import threading
import time

import tensorflow as tf

from tfgans.digests import variables_of
from tfgans.ops import machine

_one = threading.Lock()  # one at a time: the compiler takes all cores, and memory for a step


def whole_moves(moves, zeros):
    """`moves` of a batch whose shapes are known to be those of `zeros`."""
    return lambda batch: moves({k: tf.ensure_shape(batch[k], zeros[k].shape) for k in zeros})


class CompiledStep:
    """A step of single operations; as soon as XLA has compiled it as a whole, that one.

    Equals: a step of single operations, to rounding. Under `xla-first` (`ops/machine.py`) the
    constructor waits for the compiler. Lines say when XLA begins and ends, or why it cannot.

    Args:
        model: The model, a `Stepping`, at the step in question.
        zeros: A batch as `train_step` takes it, of zeros.
        graph: Traces a step, a function of an iterator, from its moves, a function of a batch.
    """

    def __init__(self, model, zeros, graph):
        self._model, self._zeros, self._graph = model, zeros, graph
        self._step = graph(model._moves)  # the pattern of the step is known after this
        self._whole, self._error, self._began = machine.Whole(model._moves), None, time.monotonic()
        shapes = {key: (value.dtype.name, *value.shape) for key, value in zeros.items()}
        with machine.numbered(f"{type(model).__name__} {model.pattern(model.now)} {shapes}"):
            called = tf.function(lambda batch: self._whole.compiled(batch), autograph=False)
            called = called.get_concrete_function(zeros)
        variables = [v.value for group in variables_of(model).values() for v in group]
        self._thread = threading.Thread(target=self._rehearse, args=(called, variables))
        first = machine.kind() == "xla-first"
        when = "before it runs" if first else "while single operations train"
        print(f"{self}: XLA compiles it as a whole {when}. {machine.cache()}", flush=True)
        self._thread.start()
        if first:
            self._thread.join()

    def __str__(self):
        return f"Step {self._model.now:,}"

    def __call__(self, iterator):
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
            if self._error is None:
                self._step = self._graph(whole_moves(self._whole, self._zeros))
                seconds = time.monotonic() - self._began
                print(f"{self} is compiled as a whole, after {seconds:.0f} s.", flush=True)
            elif isinstance(self._error, tf.errors.OpError):
                reason = machine.first_line(self._error)
                print(f"{self} is not compiled as a whole: {reason}", flush=True)
            else:
                raise self._error
        return self._step(iterator)

    def _rehearse(self, called, variables):
        """Calls the compiled function once, in a thread, on copies of all variables of the model.

        XLA keeps what it has compiled for that, and finds it by the name of the function and the
        shapes of its arguments: the variables are among those. The copies are zeros.
        """
        known = {id(variable.handle): variable for variable in variables}
        copies, handles = [], []
        with _one:
            if not threading.main_thread().is_alive():
                return  # the process ends
            try:
                for handle in called.captured_inputs:
                    if id(handle) in known:  # all others the step only reads
                        like = known[id(handle)]
                        with tf.device(handle.device):
                            copies.append(tf.Variable(tf.zeros(like.shape, like.dtype)))
                        handle = copies[-1].handle
                    handles.append(handle)
                tf.raw_ops.StatefulPartitionedCall(
                    args=[*tf.nest.flatten(self._zeros), *handles],
                    Tout=[output.dtype for output in called.outputs],
                    f=called,
                )
            except Exception as error:  # the thread of the training says it
                self._error = error
