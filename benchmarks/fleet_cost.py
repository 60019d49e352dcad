"""What a fleet costs a month on Cloudflare, as the tables of docs/scaling.md. Change a price, and run it again.

Prices are those that developers.cloudflare.com had on 2026-11-27; the document names the pages. A month has 30 days.
"""

from __future__ import annotations

from dataclasses import dataclass

SECONDS_A_MONTH = 30 * 86400
MILLION = 1_000_000

PLAN_DOLLARS = 5.00  # Workers Paid, with all that is included below
# Included in a month, and dollars for each million more.
REQUESTS = (10 * MILLION, 0.30)
CPU_MILLISECONDS = (30 * MILLION, 0.02)
ROWS_WRITTEN = (50 * MILLION, 1.00)
DURABLE_OBJECT_REQUESTS = (1 * MILLION, 0.15)
DURABLE_OBJECT_GB_SECONDS = (400_000, 12.50)
QUEUE_OPERATIONS = (1 * MILLION, 0.40)
DATA_POINTS = (10 * MILLION, 0.25)
# Workers Free, a day: requests, and rows written.
FREE_A_DAY = 100_000

# Measured in workerd with our own Worker: 2.3 ms of CPU a push, D1 and HTTP included. Cloudflare bills the Worker's.
CPU_MILLISECONDS_A_PUSH = 2
# Assumed: Cloudflare says "several" for a write.
D1_MILLISECONDS_A_PUSH = 5
SNAPSHOTS_A_MONTH = SECONDS_A_MONTH // 3600
# Measured on a D1 of miniflare, without an index and with one on (node_id, recorded_at).
SNAPSHOT_BYTES, INDEXED_SNAPSHOT_BYTES = 80, 126


@dataclass(frozen=True)
class Fleet:
	"""So many nodes that push every `interval` seconds and ask for a snapshot each hour."""

	nodes: int
	interval: int

	@property
	def pushes(self) -> int:
		return self.nodes * SECONDS_A_MONTH // self.interval

	@property
	def snapshots(self) -> int:
		return self.nodes * SNAPSHOTS_A_MONTH

	def rows(self, rows_a_push: int) -> int:
		return self.pushes * rows_a_push + self.snapshots

	def dollars(self, rows_a_push: int) -> float:
		return (
			PLAN_DOLLARS
			+ charged(self.pushes, REQUESTS)
			+ charged(self.pushes * CPU_MILLISECONDS_A_PUSH, CPU_MILLISECONDS)
			+ charged(self.rows(rows_a_push), ROWS_WRITTEN)
		)

	@property
	def d1_busy(self) -> float:
		return self.nodes / self.interval * D1_MILLISECONDS_A_PUSH / 1000


def charged(used: float, price: tuple[int, float]) -> float:
	included, dollars = price
	return max(0.0, used - included) / MILLION * dollars


def fleets() -> str:
	lines = [
		"| nodes | interval | pushes, million | rows written, million | a month | with 2 rows a push | D1 busy |",
		"|---|---|---|---|---|---|---|",
	]
	for nodes in (300, 1_000, 3_000, 10_000):
		for interval in (60, 120, 300):
			fleet = Fleet(nodes, interval)
			lines.append(
				f"| {nodes} | {interval} | {fleet.pushes / MILLION:.1f} | {fleet.rows(1) / MILLION:.1f} | "
				f"${fleet.dollars(1):.2f} | ${fleet.dollars(2):.2f} | {100 * fleet.d1_busy:.1f} % |"
			)
	return "\n".join(lines)


def free_plan() -> str:
	lines = [
		"| interval | nodes: requests | nodes: rows, with hourly snapshots | with 2 rows a push |",
		"|---|---|---|---|",
	]
	for interval in (60, 120, 300):
		pushes = 86400 // interval
		nodes = [FREE_A_DAY // daily for daily in (pushes, pushes + 24, 2 * pushes + 24)]
		lines.append(f"| {interval} | {' | '.join(str(count) for count in nodes)} |")
	return "\n".join(lines)


def others() -> str:
	fleet = Fleet(10_000, 60)
	rows = charged(fleet.rows(1), ROWS_WRITTEN)
	objects = 3
	running = objects * 0.128 * SECONDS_A_MONTH
	durable = charged(fleet.pushes, DURABLE_OBJECT_REQUESTS) + charged(running, DURABLE_OBJECT_GB_SECONDS)
	queues = charged(3 * fleet.pushes, QUEUE_OPERATIONS)
	points = charged(fleet.pushes, DATA_POINTS)
	every_5_minutes = charged(Fleet(10_000, 300).rows(1), ROWS_WRITTEN)
	return "\n".join(
		(
			f"D1's rows: ${rows:.2f}",
			f"Durable Objects, {objects} that never sleep: ${durable:.2f}; D1's rows if written every 300 s: "
			f"${every_5_minutes:.2f}",
			f"Queues: ${queues:.2f}",
			f"Analytics Engine, every push: ${points:.2f}; snapshots alone: ${charged(fleet.snapshots, DATA_POINTS):.2f}",
		)
	)


def snapshots() -> str:
	a_year = 10_000 * 24 * 365
	return "\n".join(
		f"10,000 nodes hourly, {size} bytes: {a_year * size / 1e9:.1f} GB a year, 10 GB in {12e10 / a_year / size:.0f} months"
		for size in (SNAPSHOT_BYTES, INDEXED_SNAPSHOT_BYTES)
	)


if __name__ == "__main__":
	print(fleets(), free_plan(), others(), snapshots(), sep="\n\n")
