"""Families of metrics as OpenMetrics text: what a family is by prometheus_client, its samples in lines of our own.

The library looks at each name of each of forty thousand samples anew, and at what ours never have (exemplars,
time stamps, native histograms): at ten thousand sites that was half of a scrape. A test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
	from prometheus_client import Metric

_END = "# EOF\n"


def as_text(families: Iterable[Metric]) -> str:
	"""Return families whose samples have a name, labels and a value alone, as a scrape wants them."""
	lines: list[str] = []
	for family in families:
		lines.append(_heading(family))
		lines += _samples(family)
	lines.append(_END)
	return "".join(lines)


@dataclass(frozen=True)
class _Collector:
	"""What the library takes for a registry."""

	family: Metric

	def collect(self) -> Iterable[Metric]:
		return (self.family,)


def _heading(family: Metric) -> str:
	from prometheus_client import Metric
	from prometheus_client.openmetrics.exposition import generate_latest

	bare = Metric(family.name, family.documentation, family.type, family.unit)
	text: bytes = generate_latest(_Collector(bare))  # type: ignore[no-untyped-call]
	return text.decode("utf-8").removesuffix(_END)


def _samples(family: Metric) -> Iterator[str]:
	from prometheus_client.utils import floatToGoString

	for sample in family.samples:
		labels = ",".join([f'{name}="{_escaped(value)}"' for name, value in sorted(sample.labels.items())])
		number = floatToGoString(sample.value)  # type: ignore[no-untyped-call]
		yield f"{sample.name}{{{labels}}} {number}\n" if labels else f"{sample.name} {number}\n"


def _escaped(value: str) -> str:
	return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
