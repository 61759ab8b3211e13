"""A chart as SVG: one small panel for each measurement, with its value at each size."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from benchmarks.table import format_figure

COLUMNS = 2
WIDTH, HEIGHT = 380, 170
LEFT, RIGHT, TOP, BOTTOM = 45, 45, 52, 30
STYLE = (
    "text { font: 12px sans-serif; fill: #333 } .title { font-weight: bold }"
    " line { stroke: #2563eb; stroke-width: 2 } circle { fill: #2563eb }"
    " .axis { stroke: #bbb; stroke-width: 1 }"
)


@dataclass(frozen=True)
class Panel:
    """A measurement, its unit, and its value at each number of orders."""

    title: str
    unit: str
    values: Sequence[tuple[int, float]]


def draw(panels: Sequence[Panel]) -> str:
    """Return the panels as an SVG document; each vertical axis begins at zero."""
    width, height = COLUMNS * WIDTH, -(-len(panels) // COLUMNS) * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">',
        f'<style>{STYLE}</style><rect width="{width}" height="{height}" fill="white"/>',
    ]
    for n, panel in enumerate(panels):
        row, column = divmod(n, COLUMNS)
        parts.append(f'<g transform="translate({column * WIDTH} {row * HEIGHT})">')
        parts += [*_draw_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


def _draw_panel(panel: Panel) -> list[str]:
    largest = max(value for _, value in panel.values) or 1
    step = (WIDTH - LEFT - RIGHT) / max(1, len(panel.values) - 1)
    bottom, left, right = HEIGHT - BOTTOM, LEFT // 2, WIDTH - RIGHT // 2
    points = [
        (LEFT + n * step, bottom - value / largest * (bottom - TOP))
        for n, (_, value) in enumerate(panel.values)
    ]
    parts = [
        f'<text class="title" x="{left}" y="20">{escape(panel.title)}</text>',
        f'<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
    ]
    parts += [
        f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{next_x:.0f}" y2="{next_y:.0f}"/>'
        for (x, y), (next_x, next_y) in pairwise(points)
    ]
    for (x, y), (size, value) in zip(points, panel.values, strict=True):
        parts += [
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3"/>',
            f'<text x="{x:.0f}" y="{y - 8:.0f}" text-anchor="middle">'
            f"{format_figure(value, panel.unit)}</text>",
            f'<text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle">{size:,}</text>',
        ]
    return parts
