#!/usr/bin/env python3
"""Prints a table of medians and ratios from result files of Google Benchmark.

    bench_report.py RESULT.json...

A benchmark is named CASE/VARIANT, as in softmax_4096x1024/fused; arguments may follow the variant and count as part of
the case (matmul/fused/1024). Ratios are against the variant 'fused' of the same case, or its first variant by name if
there is no such one: 5.00 beside 'unfused' says that unfused takes five times as long.
"""

import json
import re
import sys

BASE = "fused"
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
# What Google Benchmark itself adds to a name.
ADDED = re.compile(r"(real_time|process_time|manual_time|(threads|iterations|repeats|min_time|min_warmup_time):.*)$")
ARGUMENT = re.compile(r"(\w+:)?-?\d+$")


def split_name(name):
    """'matmul/fused/1024/real_time' -> ('matmul/1024', 'fused')."""
    parts = [part for part in name.split("/") if not ADDED.match(part)]
    words = [i for i, part in enumerate(parts) if not ARGUMENT.match(part)]
    variant = parts.pop(words[-1]) if len(words) > 1 else ""
    return "/".join(parts), variant


def read_medians(paths):
    """Returns {case: {variant: seconds}} and the errors that benchmarks reported."""
    cases, errors = {}, []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            runs = json.load(file)["benchmarks"]
        for run in runs:
            if run.get("error_occurred"):
                errors.append(f"{run['name']}: {run.get('error_message', '')}")
            elif run.get("aggregate_name") == "median":
                case, variant = split_name(run["run_name"])
                cases.setdefault(case, {})[variant] = run["real_time"] * SECONDS[run["time_unit"]]
    return cases, errors


def show_time(seconds):
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.4g} {unit}"
    return f"{seconds / 1e-9:.4g} ns"


def table(cases):
    rows = [("case", "variant", "median", "ratio")]
    for case, medians in sorted(cases.items()):
        # The runs come in mixed order; the base stands first.
        variants = sorted(medians, key=lambda variant: (variant != BASE, variant))
        for variant in variants:
            ratio = f"{medians[variant] / medians[variants[0]]:.2f}" if len(variants) > 1 else ""
            rows.append((case if variant == variants[0] else "", variant, show_time(medians[variant]), ratio))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}"


def main(paths):
    if not paths:
        sys.exit(__doc__)
    try:
        cases, errors = read_medians(paths)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"bench_report.py: {error}")
    print(*table(cases), sep="\n")
    if errors or not cases:
        sys.exit("bench_report.py: " + ("; ".join(errors) or "no medians in these files"))


if __name__ == "__main__":
    main(sys.argv[1:])
