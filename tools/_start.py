"""The first import of each tool: TensorFlow starts without its own log on the screen.

While it starts, TensorFlow writes lines about processors and drivers to the terminal, and obeys
TF_CPP_MIN_LOG_LEVEL only later. So that part of its log goes to a temporary file, which is shown
where the start fails. With TF_CPP_MIN_LOG_LEVEL=0, 1 or 2, nothing is held back.

oneDNN is on, as `import tfgans` has it (`tfgans/keras_settings.py`).
"""

import os
import sys
import tempfile


def start():
    """Imports TensorFlow and lists its devices; descriptor 2 points to a file meanwhile."""
    with tempfile.TemporaryFile() as log:
        sys.stderr.flush()
        screen = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            log.seek(0)
            os.write(screen, log.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)


os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and sys.stderr is not None:
    start()
