"""Writes, reads, prints and compares the results of evaluations."""

import json
import pathlib

from tfgans import durable
from tfgans.errors import BadInput, command

OF_NETWORKS = (  # entries of the protocol that describe networks
    "extractor",
    "extractor_sha256",
    "resize",
    "comparable_with_published",
    "distance",
    "distance_sha256",
)


def write_result(result: dict, path) -> None:
    """Writes a result at a path as JSON; the file appears only when it is complete."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_text(path, json.dumps(result, indent=1) + "\n")


def read_result(path) -> dict:
    """Reads the result at a path.

    Raises:
        BadInput: The file is not a result.
    """
    try:
        result = json.loads(pathlib.Path(path).read_text("utf-8-sig"))
        result["protocol"], result["values"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is not a result of `{command('evaluate')}` ({error!r}).") from error
    return result


def table(result: dict) -> str:
    """A result as text: notes, numbers, numbers of images, and the networks used."""
    protocol, subject = result["protocol"], result["subject"]
    lines = [f"{subject['name']} ({subject['kind']}) against {result['data']}"]
    lines += [f"Note: {note}" for note in result["notes"]]
    for name, digest in subject.get("losses_through", {}).items():
        lines.append(f"losses of its training: {name}" + (f" ({digest[:12]})" if digest else ""))
    width = max(map(len, result["values"]))
    for name, value in result["values"].items():
        spread = "" if value["std"] is None else f" +- {value['std']:.3g}"
        lines.append(f"  {name:<{width}}  {value['mean']:.5g}{spread}")
    runs = len(protocol["seeds"])
    lines.append(
        f"{protocol['generated_images']:,} generated and {protocol['real_images']:,} real images, "
        f"{runs} {'seeds: mean and deviation' if runs > 1 else 'run'}"
    )
    if protocol["extractor"]:
        sha256 = short(protocol["extractor_sha256"])
        lines.append(f"features: {protocol['extractor']} ({sha256}), resize {protocol['resize']}")
    if protocol["distance"]:
        lines.append(f"distance: {protocol['distance']} ({short(protocol['distance_sha256'])})")
    return "\n".join(lines)


def short(sha256: str | None) -> str:
    """The beginning of a hash; a function has none."""
    return sha256[:12] if sha256 else "no hash"


def compare(first: dict, second: dict) -> str:
    """The `first` and the `second` result side by side, as text.

    Raises:
        BadInput: Their protocols differ, or they have no metric in common.
    """
    one, other = first["protocol"], second["protocol"]
    differences = [
        f"{key}: {one.get(key)} -> {other.get(key)}"
        for key in dict.fromkeys([*one, *other])
        if one.get(key) != other.get(key)
        # If one result used no such network, none of the metrics in common depends on it.
        and not (key in OF_NETWORKS and None in (one.get(key), other.get(key)))
    ]
    if differences:
        raise BadInput(
            "These results are not comparable, because they were measured differently:\n  "
            + "\n  ".join(differences)
        )
    names = [name for name in first["values"] if name in second["values"]]
    if not names:
        raise BadInput("The two results have no metric in common.")
    rows = [("", *(str(result["subject"]["name"]) for result in (first, second)))]
    for name in names:
        values = [result["values"][name] for result in (first, second)]
        rows.append((name, *(f"{v['mean']:.5g} +- {v['std'] or 0:.2g}" for v in values)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
