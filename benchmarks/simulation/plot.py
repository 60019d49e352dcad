"""A plot of small panels, as SVG and without a library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 210
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 34, 28
COLUMNS = 2
_COLORS = {"before": "#8c959f", "now": "#0969da"}
_HEAD = 34
# Right of the last column: its title and its last number may reach over the panel.
_MARGIN = 20


@dataclass(frozen=True)
class Curve:
	"""A series with one value a minute."""

	label: str
	values: Sequence[float]


@dataclass(frozen=True)
class Panel:
	"""A titled set of curves over the same minutes."""

	title: str
	curves: Sequence[Curve]


def plot(panels: Sequence[Panel], title: str, unit: str) -> str:
	"""Return an SVG of the panels, two in a row."""
	rows = -(-len(panels) // COLUMNS)
	width, height = WIDTH * COLUMNS + _MARGIN, _HEAD + HEIGHT * max(1, rows)
	parts = [
		f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
		'font-family="system-ui, sans-serif" font-size="11" fill="#1f2328">',
		f"<title>{escape(title)}</title>",
		f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
		f'<text x="{LEFT}" y="20" font-size="14" font-weight="600">{escape(title)}</text>',
	]
	for number, (label, color) in enumerate(_COLORS.items()):
		x = width - 160 + 80 * number
		parts.append(
			f'<path d="M{x} 16h20" stroke="{color}" stroke-width="2"/><text x="{x + 25}" y="20">{label}</text>'
		)
	for number, panel in enumerate(panels):
		x, y = WIDTH * (number % COLUMNS), _HEAD + HEIGHT * (number // COLUMNS)
		parts += [f'<g transform="translate({x} {y})">', *_panel(panel, unit), "</g>"]
	return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, unit: str) -> list[str]:
	minutes = max(len(curve.values) for curve in panel.curves)
	top = max(1.0, *(max(curve.values) for curve in panel.curves))
	right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

	def x(minute: float) -> float:
		return LEFT + (right - LEFT) * minute / max(1, minutes - 1)

	def y(value: float) -> float:
		return bottom - (bottom - TOP) * value / top

	parts = [f'<text x="{LEFT}" y="18" font-weight="600">{escape(panel.title)}</text>']
	for value in dict.fromkeys((0.0, 1.0, top)):
		parts.append(f'<path d="M{LEFT} {y(value):.1f}H{right}" stroke="#d0d7de"/>')
		parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
	for hour in range(0, minutes + 1, 60):
		parts.append(f'<text x="{x(hour):.1f}" y="{bottom + 16}" text-anchor="middle">{hour}</text>')
	parts.append(f'<text x="{right}" y="{bottom + 26}" text-anchor="end">{escape(unit)}</text>')
	for curve in panel.curves:
		points = " ".join(f"{x(minute):.1f},{y(value):.1f}" for minute, value in enumerate(curve.values))
		color = _COLORS[curve.label]
		parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>')
	return parts
