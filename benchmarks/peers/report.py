"""Markdown tables of the comparison; plain Python, so that its test needs no package."""

from rows import GROUPS
from stats import (LOST_BELOW, OURS, SUMMARY_FROM_US, WON_ABOVE, best_peer, by_group, cell_of, empty_calls, is_right, ratio,
                   summary)

# Tables of their own: what a call costs and how long compilation takes.
CALLS, COMPILES = (16,), (17, 18, 19)


def time_text(us):
    """Three digits, thousands apart."""
    if us >= 1000:
        return f"{us:,.0f}"
    return f"{us:.2f}" if us < 10 else f"{us:.1f}" if us < 100 else f"{us:.0f}"


def error_text(cell):
    if cell.get("error") is None:
        return "nan"
    return "0" if cell["error"] == 0 else f"{cell['error']:.0e}".replace("e-0", "e-")


def cell_text(cell):
    """A median with its error; what went wrong; or a dash."""
    if cell is None or "unsupported" in cell:
        return "–"
    if "late_s" in cell:
        return f"> {cell['late_s']:.0f} s"
    if "median_us" not in cell:
        return "failed"
    text = f"{time_text(cell['median_us'])} ({error_text(cell)})"
    if cell.get("part"):
        return f"{text} {cell['part']}"
    return text if cell.get("right", True) else f"~~{text}~~ wrong"


def spread_text(cell):
    if not is_right(cell):
        return cell_text(cell)
    return f"{time_text(cell['median_us'])} ({time_text(cell['p10_us'])}–{time_text(cell['p90_us'])})"


def ratio_text(value):
    """Losses are printed as plainly as wins."""
    if value is None:
        return "–"
    return f"**{value:.2f}**" if value < LOST_BELOW else f"{value:.2f}"


def peers_of(rows):
    """The peers that have a time in one of the rows, in their own order."""
    found = []
    for row in rows:
        found += [name for name in row["cells"] if name not in OURS and name not in found]
    return [name for name in found
            if any("median_us" in (cell_of(row, name) or {}) or "late_s" in (cell_of(row, name) or {}) for row in rows)]


def table(header, lines):
    """A Markdown table; the first column is text, the others are numbers."""
    head = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join(head + ["| " + " | ".join(line) + " |" for line in lines])


def row_line(row, peers, empty, outputs="fresh"):
    """The cells of a row in a group's table."""
    ours, best = cell_of(row, "etch", outputs), best_peer(row, outputs=outputs)
    share = "–"
    if row.get("limit_us") and is_right(ours):
        share = f"{100 * row['limit_us'] / ours['median_us']:.0f} %"
    others = " / ".join(time_text(cell["median_us"]) if is_right(cell) else "–"
                        for cell in (cell_of(row, name, outputs) for name in OURS[1:]))
    return [row["name"] + (" *" if row["drawn"] else ""), spread_text(ours), f"{best[0]} {time_text(best[1])}" if best else "–",
            ratio_text(ratio(row, outputs=outputs)), ratio_text(ratio(row, empty, outputs)), share,
            error_text(ours) if ours and "error" in ours else "–", others,
            *(cell_text(cell_of(row, peer, outputs)) for peer in peers)]


HEADER = ["row", "Etch (p10–p90)", "best peer", "ratio", "net", "of limit", "Etch's error", "unfused / eager"]


def group_table(rows, empty, outputs="fresh"):
    """The rows of a group; `empty`: the empty calls of peers, taken off in the column `net`."""
    peers = [name for name in peers_of(rows) if outputs == "fresh" or any(cell_of(row, name, outputs) for row in rows)]
    return table(HEADER + peers, [row_line(row, peers, empty, outputs) for row in rows])


def compile_table(rows):
    """First calls in ms, and where Etch's go."""
    peers = peers_of(rows)

    def line(row):
        ours, best = cell_of(row, "etch"), best_peer(row)
        split = (ours or {}).get("split") or {}
        parts = ", ".join(f"{part} {ms:.2f}" for part, ms in split.items()) or "–"
        of_peers = [milliseconds(cell_of(row, peer)) for peer in peers]
        best_text = f"{best[0]} {best[1] / 1e3:,.1f}" if best else "–"
        return [row["name"], milliseconds(ours), best_text, ratio_text(ratio(row)), parts, *of_peers]
    return table(["first call, ms", "Etch", "best peer", "ratio", "of Etch's", *peers], [line(row) for row in rows])


def milliseconds(cell):
    return f"{cell['median_us'] / 1e3:,.1f}" if is_right(cell) else cell_text(cell)


def first_call_table(rows):
    """Each row's first call: trace, compilation and run, in ms."""
    peers = peers_of(rows)
    text = lambda cell: f"{cell['first_ms']:,.1f}" if cell and "first_ms" in cell else "–"
    return table(["first call, ms", "Etch", *peers],
                 [[row["name"], *(text(cell_of(row, name)) for name in ("etch", *peers))] for row in rows])


def counted(threads):
    return f"{threads} thread{'s' if threads > 1 else ''}"


def commits_text(results, threads):
    """The commits of a thread count's rows, and of which groups where they are several."""
    groups_of = {}
    for row in results["rows"]:
        if row["threads"] == threads:
            groups_of.setdefault(row.get("commit", results["commit"]), set()).add(row["group"])
    if len(groups_of) == 1:
        return f"commit {next(iter(groups_of))}"
    return "commits " + " and ".join(f"{commit} (rows of groups {ranges_text(sorted(groups))})" for commit, groups in groups_of.items())


def ranges_text(numbers):
    """Numbers in order, neighbours as ranges: 1 to 3, 5."""
    ranges = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(f"{first} to {last}" if first != last else f"{first}" for first, last in ranges)


def summary_text(results, threads):
    found = summary(results, threads)
    name = counted(threads)
    if not found:
        return f"{name}: no row that counts in the summary."
    worst = ", ".join(f"{name} {value:.2f}" for name, value in found["worst"])
    peers = ", ".join(f"{name} {mean:.2f} ({count})" for name, (mean, count) in found["alone"].items())
    return (f"**{name}**, {commits_text(results, threads)}: geometric mean of the best peer's time / Etch's **{found['mean']:.2f}** over {found['rows']} rows in which "
            f"Etch takes more than {SUMMARY_FROM_US:.0f} us (groups 1 to 15 and 20 to 23, each peer's empty call subtracted); "
            f"{found['won']} won (above {WON_ABOVE}), {found['lost']} lost (below {LOST_BELOW}), the others even.\n\n"
            f"Worst rows: {worst}.\n\nAgainst each peer alone (geometric mean, of how many rows): {peers}.")


def groups_table(results, threads):
    """A line for each group in the summary."""
    lines = [[f"{group}. {GROUPS[group]}", str(found["rows"]), f"{found['mean']:.2f}", str(found["won"]), str(found["lost"]),
              f"{found['worst'][0][0]} {ratio_text(found['worst'][0][1])}"] for group, found in by_group(results, threads).items()]
    return table([f"group, {counted(threads)}", "rows", "geometric mean", "won", "lost", "worst row"], lines)


def about(results):
    """Machine, date, and how each system is set."""
    machine = results["machine"]
    lines = [f"{machine['processor']}, {machine['processors']} processors, {machine['memory_gb']:.0f} GB, {machine['system']}; "
             f"{results['date']}, commit {results['commit']}, seed {results['seed']}, {results['rounds']} rounds of "
             f"{results['seconds']} s.", ""]
    for name, system in sorted(results["systems"].items()):
        for threads in sorted(key for key in system if key.isdigit()):
            of = system[threads]
            lines.append(f"- **{name}** {of['version']}, {counted(int(threads))}: {of['settings']}; empty call "
                         f"{of['empty_call_us']:.2f} us")
    return "\n".join(lines)


NOTES = """Times are medians in microseconds, with p10 and p90 over rounds; in brackets after a peer's the largest error against f64,
relative to the largest element. `ratio`: the best peer's time divided by Etch's; above 1 Etch is faster, below 0.95 it is printed in bold.
`net`: the same when each peer's empty call (from Python, mostly) is taken off first, at most half of its time, as the summary does.
`of limit`: the time that bytes or arithmetic take at the rates of the probe beside the rounds, divided by Etch's. A struck-out time has
wrong results and does not count. `*`: the sizes are drawn from the run's seed. `–`: the system has no way to do it; results.json says
why."""


TITLE = "# Etch beside other systems"


def render(results):
    """The whole page."""
    parts = [TITLE, about(results), NOTES]
    threads_of = sorted({row["threads"] for row in results["rows"]})
    for threads in threads_of:
        parts += [summary_text(results, threads), groups_table(results, threads)]
    for threads in threads_of:
        rows = [row for row in results["rows"] if row["threads"] == threads]
        parts += of_threads(rows, threads, empty_calls(results, threads))
    return "\n\n".join(parts) + "\n"


def of_threads(rows, threads, empty):
    """The tables of one number of threads."""
    parts = []
    for group, title in GROUPS.items():
        of_group = [row for row in rows if row["group"] == group]
        if not of_group:
            continue
        parts.append(f"## {group}. {title}, {counted(threads)}")
        if all(row.get("compile") for row in of_group):
            parts.append(compile_table(of_group))
            continue
        parts.append(group_table(of_group, empty))
        reused = [row for row in of_group if any("reused" in cells for cells in row["cells"].values())]
        if reused:
            parts += ["Into results that are used again:", group_table(reused, empty, "reused")]
        parts += ["<details><summary>First calls</summary>\n\n" + first_call_table(of_group) + "\n\n</details>"]
    return parts
