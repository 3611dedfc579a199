"""Medians, means and ratios of the comparison; plain Python, so that its test needs no package."""

import math

# Rows whose call takes less are about calls and stand outside of the summary.
SUMMARY_FROM_US = 10.0
SUMMARY_GROUPS = frozenset(range(1, 16)) | frozenset(range(20, 24))
# A row that takes so much of its former speed is slower.
SLOWER_BELOW = 0.9
WON_ABOVE, LOST_BELOW = 1.05, 0.95
OURS = ("etch", "etch_unfused", "etch_eager")


def quantile(values, share):
    """The value below which so great a share of the values is, between neighbours in proportion."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values):
    return quantile(values, 0.5)


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def summarise(rounds):
    """Of the medians of rounds."""
    return {"median_us": median(rounds), "p10_us": quantile(rounds, 0.1), "p90_us": quantile(rounds, 0.9), "rounds": len(rounds)}


def limit_us(row, probe):
    """How long a row takes at least at the rates of its probe: arithmetic, or what is read once and written once."""
    arithmetic = row["flops"] / (probe["fma_f64" if row.get("dtype") == "f64" else "fma_f32"] * 1e3)
    read, written = row["bytes"] - row["result_bytes"], row["result_bytes"]
    # A copy moves as much in as out; what is read beyond that is read alone.
    copied = min(read, written)
    copy = max(probe["copy"], probe["stream"])
    rest = max(read, written) - copied
    memory = 2 * copied / copy + rest / (probe["read"] if read > written else copy)
    return max(arithmetic, memory / 1e3)


def is_right(cell):
    """Whether a cell has a time that counts."""
    return cell is not None and "median_us" in cell and cell.get("right", True)


def cell_of(row, system, outputs="fresh"):
    return row["cells"].get(system, {}).get(outputs)


def best_peer(row, empty_calls=None, outputs="fresh"):
    """(name, microseconds) of the fastest peer that does all of it with right results, or None; `empty_calls`: what is taken off of
    each peer's time, or what the row's own run found where results of several were merged."""
    times = {}
    taken_off = row.get("empty_calls", empty_calls) if empty_calls else {}
    for system in row["cells"]:
        cell = cell_of(row, system, outputs)
        if system in OURS or not is_right(cell) or cell.get("part"):
            continue
        # Beyond half of it the difference of two near numbers would say nothing.
        net = cell["median_us"] - taken_off.get(system, 0.0)
        times[system] = max(net, cell["median_us"] / 2)
    return min(times.items(), key=lambda item: item[1]) if times else None


def ratio(row, empty_calls=None, outputs="fresh"):
    """The best peer's time divided by Etch's, or None where one of them is missing."""
    ours, best = cell_of(row, "etch", outputs), best_peer(row, empty_calls, outputs)
    return best[1] / ours["median_us"] if is_right(ours) and best else None


def counts_in_summary(row):
    ours = cell_of(row, "etch")
    return row["group"] in SUMMARY_GROUPS and is_right(ours) and ours["median_us"] > SUMMARY_FROM_US


def empty_calls(results, threads):
    """Each system's empty call at a number of threads."""
    found = {}
    for name, system in results["systems"].items():
        of_threads = system.get(str(threads))
        if of_threads:
            found[name] = of_threads["empty_call_us"]
    return found


def counted_rows(results, threads):
    """The rows of a thread count that stand in the summary."""
    empty = empty_calls(results, threads)
    rows = [row for row in results["rows"] if row["threads"] == threads and counts_in_summary(row)]
    return [row for row in rows if ratio(row, empty) is not None]


def totals(rows, empty):
    """Of some rows: how many, the mean of their ratios, won and lost, the worst ones."""
    ratios = {row["name"]: ratio(row, empty) for row in rows}
    return {
        "rows": len(ratios), "mean": geometric_mean(ratios.values()), "worst": sorted(ratios.items(), key=lambda item: item[1])[:10],
        "won": sum(value > WON_ABOVE for value in ratios.values()), "lost": sum(value < LOST_BELOW for value in ratios.values()),
    }


def summary(results, threads):
    """The figures of a thread count, with each peer alone; None without a row."""
    rows, empty = counted_rows(results, threads), empty_calls(results, threads)
    return {**totals(rows, empty), "alone": alone(rows, empty)} if rows else None


def by_group(results, threads):
    """{group: the figures of its rows}, of groups that have rows in the summary."""
    rows, empty = counted_rows(results, threads), empty_calls(results, threads)
    groups = sorted({row["group"] for row in rows})
    return {group: totals([row for row in rows if row["group"] == group], empty) for group in groups}


def alone(rows, empty):
    """Of each peer alone: the geometric mean of its time divided by Etch's, and of how many rows."""
    found = {}
    for row in rows:
        for system in row["cells"]:
            only = {**row, "cells": {name: row["cells"][name] for name in ("etch", system)}}
            value = ratio(only, empty) if system not in OURS else None
            if value is not None:
                found.setdefault(system, []).append(value)
    return {system: (geometric_mean(values), len(values)) for system, values in sorted(found.items())}


def slower(now, before):
    """Rows of Etch that take longer than in earlier results: (name, threads, outputs, speed relative to before). What the probe of
    the row says about the machine itself is taken off."""
    earlier = {(row["name"], row["threads"]): row for row in before["rows"]}
    found = []
    for row in now["rows"]:
        old = earlier.get((row["name"], row["threads"]))
        for outputs in ("fresh", "reused"):
            new_cell, old_cell = cell_of(row, "etch", outputs), old and cell_of(old, "etch", outputs)
            if not is_right(new_cell) or not is_right(old_cell):
                continue
            drift = row["limit_us"] / old["limit_us"] if row.get("limit_us") and old.get("limit_us") else 1.0
            speed = old_cell["median_us"] * drift / new_cell["median_us"]
            if speed < SLOWER_BELOW:
                found.append((row["name"], row["threads"], outputs, speed))
    return sorted(found, key=lambda item: item[3])


def merge(parts):
    """One set of results from several; a row of a later one takes the place of the same row before. Rows keep their commits and what
    empty calls took when they were measured."""
    commits = ", ".join(dict.fromkeys(part["commit"] for part in parts))
    merged = {**parts[-1], "commit": commits, "systems": {}, "rows": []}
    rows = {}
    for part in parts:
        for name, system in part["systems"].items():
            merged["systems"].setdefault(name, {}).update(system)
        for row in part["rows"]:
            found = {"commit": part["commit"], "empty_calls": empty_calls(part, row["threads"])}
            rows[(row["name"], row["threads"])] = {**found, **row}
    merged["rows"] = sorted(rows.values(), key=lambda row: (row["threads"], row["group"]))
    return merged
