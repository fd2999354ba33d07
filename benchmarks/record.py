"""Records measurements: a line that names the machine, and a JSON file."""

import importlib.metadata
import json
import os
import pathlib
import platform


def machine():
    """Returns processor, cores and versions as one line."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras")]
    processor = names[0] if names else platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {', '.join(versions)}"


def write(path, rows, **more):
    """Writes the rows of a table, the machine and `more` as JSON; does nothing without a path."""
    if path:
        path.write_text(json.dumps({"machine": machine(), **more, "rows": rows}, indent=1) + "\n")
