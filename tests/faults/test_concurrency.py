"""A minute of editors, renames and moves beside censuses: no count outside the bounds that truly held."""

from __future__ import annotations

import collections
import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.lost_sites import marks_of
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config

SECONDS = 60.0
SITES, LINKED, POOL = 40, 10, 5
# From `begin` to `end`, on the clock of all processes, the number of tenants went from one to the other.
Change = tuple[float, float, int]


def _saves(paths: list[Path], over: Event, changes: list[Change], *, away: bool) -> None:
	"""Save configurations as editors and deploys do: renamed over the old one, or the old one away first."""
	while not over.is_set():
		path = random.choice(paths)
		try:
			content = path.read_text()
			new = path.with_name(f"new-{away}")
			new.write_text(content)
			if away:
				path.rename(path.with_name("old"))
				time.sleep(0.001)
			new.rename(path)
		except FileNotFoundError:
			pass  # the other editor has the file just now
		time.sleep(0.002)


def _assigns(sites: Path, over: Event, changes: list[Change], *, number: int) -> None:
	"""Assign a pool site to a tenant, and take it back."""
	pool, tenant = sites / f"pool-{number}", sites / f"assigned-{number}"
	while not over.is_set():
		for source, target, change in ((pool, tenant, 1), (tenant, pool, -1)):
			began = time.monotonic()
			source.rename(target)
			changes.append((began, time.monotonic(), change))
			time.sleep(random.uniform(0.0, 0.05))


def _moves(sites: Path, over: Event, changes: list[Change], *, other: Path) -> None:
	"""Move sites from bench to bench: their number stays the same."""
	names = [*(f"tenant-{number}" for number in range(10, 15)), *(f"linked-{number}" for number in range(5))]
	while not over.is_set():
		name = random.choice(names)
		here, there = sites / name, other / name
		here.rename(there) if os.path.lexists(here) else there.rename(here)
		time.sleep(random.uniform(0.0, 0.02))


def _deploys(volume: Path, over: Event, changes: list[Change]) -> None:
	"""Take the folder that a link leads to away for a moment."""
	while not over.is_set():
		folder = volume / f"linked-{random.randrange(LINKED)}"
		folder.rename(volume / "away")
		time.sleep(0.001)
		(volume / "away").rename(folder)
		time.sleep(random.uniform(0.0, 0.05))


def _process(work: Callable[..., None], place: object, over: Event, log: Path, **options: object) -> None:
	changes: list[Change] = []
	work(place, over, changes, **options)
	log.write_text(json.dumps(changes))


def _bounds(histories: list[list[Change]], began: float, ended: float) -> tuple[int, int]:
	"""Return the least and the greatest number of tenants that can have held between two moments."""
	low = high = SITES + LINKED
	for changes in histories:
		value, seen = 0, set()
		for change_began, change_ended, change in changes:
			if change_began > ended:
				break
			if change_ended >= began:
				seen |= {value, value + change}
			value += change
		low += min({value, *seen})
		high += max({value, *seen})
	return low, high


@pytest.mark.slow
def test_no_count_lies_outside_the_bounds_that_truly_held(
	tmp_path: Path, make_bench: Callable[..., Path], make_site: Callable[..., Path]
) -> None:
	names = [f"tenant-{number}" for number in range(SITES)]
	bench = make_bench(tmp_path / "one", *names[:30], *(f"pool-{number}" for number in range(POOL)))
	other = make_bench(tmp_path / "two", *names[30:])
	volume = tmp_path / "volume"
	for number in range(LINKED):
		make_site(tmp_path / "away", f"linked-{number}")
		(bench / "sites" / f"linked-{number}").symlink_to(volume / f"linked-{number}")
	(tmp_path / "away" / "sites").rename(volume)
	(other / "sites" / "www.example").symlink_to(bench / "sites" / "tenant-0")
	settings = {
		"node_id": "node-1",
		"control_plane_url": "http://127.0.0.1:9",
		"benches": [str(bench), str(other)],
		"exclude_sites": ["pool-*"],
	}
	(bench / "sites/common_site_config.json").write_text(json.dumps({"prego_metrics": settings}))

	context = multiprocessing.get_context("fork")
	over = context.Event()
	sites, other_sites = bench / "sites", other / "sites"
	# What moves is not saved: an editor would lose its file.
	saved = [
		sites / "common_site_config.json",
		*(sites / f"tenant-{n}" / "site_config.json" for n in range(10)),
	]
	deployed = [saved[0], *(other_sites / f"tenant-{n}" / "site_config.json" for n in range(30, 40))]
	work: list[tuple[Callable[..., None], object, dict[str, object]]] = [
		(_saves, saved, {"away": False}),
		(_saves, deployed, {"away": True}),
		(_moves, sites, {"other": other_sites}),
		(_deploys, volume, {}),
		*((_assigns, sites, {"number": number}) for number in range(POOL)),
	]
	processes = [
		context.Process(target=_process, args=(act, folder, over, tmp_path / f"log-{number}"), kwargs=options)
		for number, (act, folder, options) in enumerate(work)
	]
	for process in processes:
		process.start()
	censuses, marks = [], ()
	refused: collections.Counter[str] = collections.Counter()
	try:
		give_up_at = time.monotonic() + SECONDS
		while time.monotonic() < give_up_at:
			began = time.monotonic()
			try:
				census = count_tenants(load_config(open_bench(str(bench)), {}), marks)
			except NotSent as error:
				refused[error.code] += 1  # no count is no wrong count
				continue
			censuses.append((began, time.monotonic(), census.tenant_count))
			marks = marks_of(census)
	finally:
		over.set()
		for process in processes:
			process.join()
	assert [process.exitcode for process in processes] == [0] * len(processes)
	histories = [json.loads((tmp_path / f"log-{number}").read_text()) for number in range(len(work))]
	assert sum(map(len, histories)) > 1000, "too few renames for a test"
	assert len(censuses) > 100, f"too few censuses for a test; refused: {dict(refused)}"
	assert "sites_lost" not in refused
	outside = collections.Counter()
	for began, result, count in censuses:
		low, high = _bounds(histories, began, result)
		if not low <= count <= high:
			outside[count - low if count < low else count - high] += 1
	assert not outside, f"{sum(outside.values())} of {len(censuses)} counts were outside, by {dict(outside)}"
