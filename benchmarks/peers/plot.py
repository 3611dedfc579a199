"""The plot of ratios as SVG; plain Python."""

import math
from html import escape

from rows import GROUPS
from stats import LOST_BELOW, empty_calls, geometric_mean, ratio

WIDTH, LEFT, RIGHT, TOP, LINE = 920, 310, 40, 64, 26
LOW, HIGH = 0.125, 16.0
COLOURS = {1: "#1f77b4", 2: "#ff7f0e"}
STYLE = "font-family:Helvetica,Arial,sans-serif"


def place(value):
    """Where a ratio stands on the logarithmic axis."""
    share = math.log(min(max(value, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def text(x, y, content, size=13, anchor="start", fill="#333"):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">{escape(content)}</text>'


def axis(bottom):
    """A line at each power of two; the one at 1 is dark."""
    parts = []
    for power in range(-3, 5):
        x, value = place(2.0**power), 2.0**power
        colour = "#333" if power == 0 else "#ddd"
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}" stroke="{colour}"/>')
        parts.append(text(x, TOP - 14, f"{value:g}", 12, "middle"))
    return parts


def group_ratios(results):
    """{group: {threads: [(name, ratio)]}}"""
    found = {}
    for row in results["rows"]:
        value = ratio(row, empty_calls(results, row["threads"]) if row["group"] not in (16, 17, 18, 19) else None)
        if value is not None:
            found.setdefault(row["group"], {}).setdefault(row["threads"], []).append((row["name"], value))
    return found


def dots(y, threads, values):
    """A dot for each row, which says its name, and a bar at the mean."""
    colour = COLOURS.get(threads, "#2ca02c")
    parts = []
    for name, value in values:
        fill = colour if value >= LOST_BELOW else "#fff"
        parts.append(f'<circle cx="{place(value):.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}" fill-opacity="0.7">'
                     f'<title>{escape(name)}, {threads} thread{"s" if threads > 1 else ""}: {value:.2f}</title></circle>')
    x = place(geometric_mean([value for _, value in values]))
    parts.append(f'<line x1="{x:.1f}" y1="{y - 9:.1f}" x2="{x:.1f}" y2="{y + 9:.1f}" stroke="{colour}" stroke-width="3"/>')
    return parts


def render(results):
    """The SVG's text."""
    groups = group_ratios(results)
    lines = [(group, threads, values) for group in GROUPS if group in groups for threads, values in sorted(groups[group].items())]
    bottom = TOP + LINE * len(lines)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 34}" width="{WIDTH}" style="{STYLE}">',
             f'<rect width="{WIDTH}" height="{bottom + 34}" fill="#fff"/>',
             text(LEFT, 22, "Best peer's time / Etch's, a dot for each row, a bar at the geometric mean", 14)]
    parts += axis(bottom)
    last = None
    for i, (group, threads, values) in enumerate(lines):
        y = TOP + LINE * i + LINE / 2
        if group != last:
            parts.append(text(12, y + 4, f"{group}. {GROUPS[group]}"))
            parts.append(f'<line x1="8" y1="{y - LINE / 2:.1f}" x2="{WIDTH - 8}" y2="{y - LINE / 2:.1f}" stroke="#eee"/>')
        last = group
        parts.append(text(LEFT - 10, y + 4, f"{threads}t", 11, "end", COLOURS.get(threads, "#2ca02c")))
        parts += dots(y, threads, values)
    parts.append(text(place(1) + 6, bottom + 20, "Etch is faster →", 12))
    parts.append(text(place(1) - 6, bottom + 20, "← the peer is faster", 12, "end"))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
