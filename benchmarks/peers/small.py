"""Every workload at sizes that take no time, for a quick look at all systems."""

from rows import Row

# The most that a size of this name may be; shapes are cut in each place.
MOST = {"n": 96, "m": 80, "k": 72, "shape": 70, "steps": 1000, "count": 12, "turns": 12, "batch": 6, "times": 7, "heads": 3, "queries": 33,
        "keys": 33, "tokens": 18, "megabytes": 1, "ops": 10, "h": 14, "exponent": 20}
# These are part of what is computed.
KEPT = {"conv": ("k",), "heat": ("steps",), "call": ("n",)}


def cut(row):
    """The row with its sizes cut."""
    sizes = {}
    for key, value in row.sizes.items():
        most = None if key in KEPT.get(row.workload, ()) else MOST.get(key)
        if most is None or isinstance(value, str):
            sizes[key] = value
        else:
            sizes[key] = tuple(min(v, most) for v in value) if isinstance(value, tuple) else min(value, most)
    return Row(row.group, row.workload, sizes, row.drawn)


def small(rows):
    """Cut rows, each once."""
    found = {}
    for row in map(cut, rows):
        found.setdefault(row.name, row)
    return list(found.values())
