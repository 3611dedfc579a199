"""Writes results into the documentation: a page with its plot, and for the main page README.md between its marks."""

import re

import plot
import report
import stats

BEGIN, END = "<!-- comparison: written by benchmarks/peers/compare --publish -->", "<!-- end of comparison -->"
MAIN = "comparison"
PAGE = """# The last run of the comparison{on}

What [benchmarks.md](benchmarks.md) explains, as `benchmarks/peers/compare` wrote it, without the first calls of each row. The ratios as a
picture:

![ratios]({name}.svg)
"""


def publish(results, root, name=MAIN):
    """Writes docs/NAME.md and docs/NAME.svg under the folder of the project, and for MAIN its README, which must have the marks."""
    page = report.render(results).removeprefix(report.TITLE)
    page = re.sub(r"<details>.*?</details>\n+", "", page, flags=re.DOTALL)
    on = "" if name == MAIN else f" on another machine: {results['machine']['processor']}"
    (root / "docs" / f"{name}.md").write_text(PAGE.format(on=on, name=name) + page)
    (root / "docs" / f"{name}.svg").write_text(plot.render(results))
    if name != MAIN:
        return
    readme = (root / "README.md").read_text()
    before, rest = readme.split(BEGIN)
    (root / "README.md").write_text(before + BEGIN + "\n" + section(results) + "\n" + END + rest.split(END)[1])


def section(results):
    """What README has of the results."""
    parts = []
    threads_of = sorted({row["threads"] for row in results["rows"]})
    for threads in threads_of:
        parts += [headline(results, threads), report.groups_table(results, threads)]
    parts += ["What is lost (`*`: sizes drawn by the seed; the limit is the time that bytes or arithmetic take at the rates of a probe beside "
              "the rounds):", lost_table(results), "Calls, us, and first calls, ms, on one thread; Etch is called from C++, the others from Python, and nothing is taken off:", short_table([row for row in results["rows"] if row["group"] in report.CALLS], "call", 1.0),
              short_table([row for row in results["rows"] if row["compile"]], "first call", 1e3)]
    return "\n\n".join(parts)


def headline(results, threads):
    found, machine = stats.summary(results, threads), results["machine"]
    alone = ", ".join(f"{name} {mean:.1f} ({rows} rows)" for name, (mean, rows) in sorted(found["alone"].items(), key=lambda item: item[1][0]))
    return (f"**{report.counted(threads)}**, {results['date'].split()[0]}, {report.commits_text(results, threads)}, {machine['processor']}, "
            f"{results['rounds']} rounds: **{found['mean']:.2f}** against the best of all over {found['rows']} rows ({found['won']} won by more than 5 %, "
            f"{found['lost']} lost by more than 5 %); against each alone: {alone}.")


def lost_table(results):
    lines = []
    for threads in sorted({row["threads"] for row in results["rows"]}):
        empty = stats.empty_calls(results, threads)
        for row in stats.counted_rows(results, threads):
            value = stats.ratio(row, empty)
            if value >= stats.LOST_BELOW:
                continue
            ours, (name, time) = stats.cell_of(row, "etch")["median_us"], stats.best_peer(row, empty)
            lines.append((value, [row["name"] + (" *" if row["drawn"] else ""), str(threads), report.time_text(ours),
                                  f"{name} {report.time_text(time)}", report.ratio_text(value), f"{100 * row['limit_us'] / ours:.0f} %"]))
    return report.table(["row", "threads", "Etch, us", "best other", "ratio", "of the limit"], [line for _, line in sorted(lines)])


def short_table(rows, title, unit):
    lines = []
    for row in rows:
        ours, best = stats.cell_of(row, "etch"), stats.best_peer(row)
        if row["threads"] == 1 and stats.is_right(ours) and best:
            texts = [f"{time / unit:,.2f}" if unit == 1 else f"{time / unit:,.1f}" for time in (ours["median_us"], best[1])]
            lines.append([row["name"], texts[0], f"{best[0]} {texts[1]}", report.ratio_text(stats.ratio(row))])
    return report.table([title, "Etch", "best other", "ratio"], lines)
