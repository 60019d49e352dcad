"""Requests and jobs by site: Frappe's lines are counted once each, and a hostile log harms nothing."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.tenant_count import count_tenants
from prego_metrics.agent.config.config import load_config
from prego_metrics.tenants.inventory.site_folder import locate_sites
from prego_metrics.tenants.usage import request_log as module
from prego_metrics.tenants.usage.request_log import Activity, Entry, Work, parse_line, read_activity

Run = Callable[..., subprocess.CompletedProcess[str]]
NOW = 1_795_000_000.0
DAY = 86400.0
ACME = "acme.example"


def line(
	site: object = ACME, *, ago: float = 60.0, seconds: float = 0.25, now: float = NOW, **fields: Any
) -> str:
	"""A line as Frappe 15, 16 and 17 write it: keys in order, no spaces, microseconds, UTC."""
	content = {
		"duration": int(seconds * 1_000_000),
		"request": {"ip": "127.0.0.1", "method": "GET", "path": "/app", "status_code": 200},
		"site": site,
		"timestamp": str(datetime.fromtimestamp(now - ago, timezone.utc)),
		"transaction_type": "request",
		"uuid": os.urandom(8).hex(),
		**fields,
	}
	return json.dumps(content, sort_keys=True, separators=(",", ":"))


def job(site: str = ACME, **how: Any) -> str:
	return line(site, transaction_type="job", job={"method": "x.y", "scheduled": True, "wait": 5}, **how)


def write_log(bench: Path, *lines: str, name: str = "monitor.json.log", now: float = NOW) -> Path:
	path = bench / "logs" / name
	path.parent.mkdir(exist_ok=True)
	path.write_text("".join(f"{one}\n" for one in lines))
	os.utime(path, (now, now))
	return path


def read(bench: Path, **how: Any) -> Activity:
	config = load_config(open_bench(str(bench)), {})
	return read_activity(config, locate_sites(config, count_tenants(config)), now=NOW, **how)


def of(found: Activity, site: str) -> Work | None:
	return {name: work for (_, name), work in found.by_site.items()}.get(site)


def test_requests_and_jobs_are_counted_by_site_with_their_seconds(bench_folder: Path) -> None:
	write_log(bench_folder, line(), line(seconds=0.75), job(seconds=2), job("brightfoods.example", seconds=1))
	found = read(bench_folder)
	assert of(found, ACME) == Work(2, 1.0, 1, 2.0)
	assert of(found, "brightfoods.example") == Work(0, 0.0, 1, 1.0)
	assert found.total == Work(2, 1.0, 2, 3.0)


def test_a_line_that_frappe_wrote_again_at_its_next_flush_counts_once(bench_folder: Path) -> None:
	kept, other = line(), line("brightfoods.example")
	write_log(bench_folder, line(), kept, other, kept, line(), other)
	found = read(bench_folder)
	assert of(found, ACME) == Work(3, 0.75, 0, 0.0) and of(found, "brightfoods.example") == Work(
		1, 0.25, 0, 0.0
	)


def test_only_what_began_within_the_day_counts_whatever_the_order_of_the_lines(bench_folder: Path) -> None:
	write_log(bench_folder, line(ago=60), line(ago=DAY + 1), line(ago=DAY - 1), line(ago=9 * DAY))
	found = read(bench_folder)
	assert of(found, ACME) == Work(2, 0.5, 0, 0.0)
	[log] = found.logs
	assert (log.first_at, log.last_at, log.not_understood) == (NOW - DAY + 1, NOW - 60, 0)


def test_a_time_without_an_offset_is_utc() -> None:
	stamp = datetime.fromtimestamp(NOW - 60, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
	entry = parse_line(line(timestamp=stamp).encode(), NOW - DAY, NOW)
	assert entry == Entry(ACME, False, NOW - 60, 0.25)


def test_sites_that_are_gone_are_summed_and_an_alias_is_its_site(bench_folder: Path) -> None:
	(bench_folder / "sites" / "www.acme.example").symlink_to(bench_folder / "sites" / ACME)
	write_log(bench_folder, line("gone.example"), job("gone2.example"), line("www.acme.example"))
	found = read(bench_folder)
	assert found.other == Work(1, 0.25, 1, 0.25) and of(found, ACME) == Work(1, 0.25, 0, 0.0)


def test_a_site_without_a_line_has_no_figures_and_no_zero(bench_folder: Path) -> None:
	write_log(bench_folder, line())
	assert of(read(bench_folder), "brightfoods.example") is None


def test_what_was_rotated_away_is_read_too_and_once(bench_folder: Path) -> None:
	write_log(bench_folder, line(ago=7200), line(ago=7100), name="monitor.json.log.1")
	current = write_log(bench_folder, line())
	assert read(bench_folder).total.requests == 3
	os.unlink(bench_folder / "logs" / "monitor.json.log.1")
	os.link(current, bench_folder / "logs" / "monitor.json.log.1")
	assert read(bench_folder).total.requests == 1


@pytest.mark.parametrize(
	"bad",
	[
		"not JSON",
		"[]",
		"5",
		'"text"',
		"{}",
		"[" * 30_000,
		'{"site":' * 5000,
		line(7),
		line(duration=True),
		line(duration=1.5),
		line(duration=-1),
		line(duration=10**40),
		line(transaction_type="party"),
		line(timestamp="yesterday"),
		line(timestamp=5),
		line(ago=-3600),
		line(ago=60, seconds=600),
		"x" * (2 * module.MAX_LINE_BYTES + 7),
	],
)
def test_a_line_that_is_none_of_frappes_is_counted_as_such_and_harms_no_other(
	bench_folder: Path, bad: str
) -> None:
	write_log(bench_folder, line(), bad, line())
	found = read(bench_folder)
	assert found.total == Work(2, 0.5, 0, 0.0) and found.logs[0].not_understood == 1


@given(
	st.lists(
		st.one_of(st.binary(max_size=80), st.sampled_from([b"genuine", b"\n", b'{"timestamp":"'])),
		max_size=30,
	)
)
def test_whatever_bytes_stand_in_a_log_the_genuine_lines_count(
	tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
	bench = tmp_path_factory.mktemp("bench")
	(bench / "sites" / ACME).mkdir(parents=True)
	(bench / "sites" / "apps.txt").write_text("frappe\n")
	(bench / "sites" / ACME / "site_config.json").write_text("{}")
	genuine = sum(piece == b"genuine" for piece in pieces)
	content = b"".join(b"\n" + line().encode() + b"\n" if piece == b"genuine" else piece for piece in pieces)
	write_log(bench).write_bytes(content)
	os.utime(bench / "logs" / "monitor.json.log", (NOW, NOW))
	assert read(bench).total == Work(genuine, genuine * 0.25, 0, 0.0)


@given(st.binary(max_size=300))
def test_a_line_is_an_entry_within_the_day_or_a_value_error(content: bytes) -> None:
	try:
		entry = parse_line(content, NOW - DAY, NOW)
	except ValueError:
		return
	assert entry is None or (entry.began_at >= NOW - DAY and entry.seconds >= 0)


def test_a_log_of_ten_gigabytes_is_read_from_its_end_in_bounded_memory(bench_folder: Path) -> None:
	path = write_log(bench_folder, line())
	end = "".join(f"{line(f'{number}.example')}\n" for number in range(10_000)) + "".join(
		f"{line()}\n" for _ in range(3)
	)
	with open(path, "r+b") as file:
		file.truncate(10 * 10**9)  # a hole: one line of ten gigabytes
		file.seek(0, os.SEEK_END)
		file.write(b"\n" + end.encode())
	os.utime(path, (NOW, NOW))
	told: list[int] = []
	tracemalloc.start()
	found = read(bench_folder, progress=told.append)
	_, most = tracemalloc.get_traced_memory()
	tracemalloc.stop()
	assert found.total.requests == 10_003 and of(found, ACME) == Work(3, 0.75, 0, 0.0)
	assert found.logs[0].cut and sum(told) == module.MAX_BYTES
	assert most < 16 << 20


@pytest.mark.parametrize("kind", ["fifo", "folder", "loop"])
def test_a_log_that_is_no_file_is_named_and_holds_nothing_up(bench_folder: Path, kind: str) -> None:
	path = bench_folder / "logs" / "monitor.json.log"
	path.parent.mkdir()
	if kind == "fifo":
		os.mkfifo(path)
	elif kind == "folder":
		path.mkdir()
	else:
		path.symlink_to(path)
	[log] = read(bench_folder).logs
	assert log.error


def monitored(bench: Path) -> None:
	path = bench / "sites" / "common_site_config.json"
	path.write_text(json.dumps({**json.loads(path.read_text()), "monitor": 1}))


def test_where_the_monitor_is_off_the_command_says_how_it_is_switched_on_and_what_it_costs(
	bench_folder: Path, run_agent: Run
) -> None:
	ended = run_agent("tenants", "--activity", "--bench", bench_folder)
	shown = " ".join(ended.stdout.split())
	assert ended.returncode == 0 and "bench set-config -g monitor 1" in shown and "300 bytes" in shown
	monitored(bench_folder)
	shown = " ".join(run_agent("tenants", "--activity", "--bench", bench_folder).stdout.split())
	assert "no line of the last day yet" in shown and "set-config" not in shown


def test_the_table_says_what_the_share_is_and_what_the_log_leaves_out(
	bench_folder: Path, run_agent: Run
) -> None:
	monitored(bench_folder)
	now = time.time()
	lines = [line(seconds=3, now=now), job("gone.example", seconds=1, now=now), "junk"]
	write_log(bench_folder, *lines, now=now)
	ended = run_agent("tenants", "--activity", "--sort", "activity", "--bench", bench_folder)
	assert max(map(len, ended.stdout.splitlines())) <= 80
	rows = [row.split() for row in ended.stdout.splitlines()]
	assert rows[2] == [ACME, "1", "3.0", "0", "0.0", "75.0", "%"]
	assert ["brightfoods.example", "?", "?", "?", "?", "?"] in rows
	shown = " ".join(ended.stdout.split())
	assert "That is no CPU time" in shown and "other (sites that are" in shown
	assert "what the log has of that begins at" in shown and "1 lines of" in shown
	assert "2 of 3 sites have no line in the log (?)" in shown


def test_json_and_csv_carry_the_same_figures_beside_the_sizes(bench_folder: Path, run_agent: Run) -> None:
	monitored(bench_folder)
	now = time.time()
	write_log(bench_folder, line(seconds=3, now=now), job("brightfoods.example", seconds=1, now=now), now=now)
	options = ("tenants", "--sizes", "--activity", "--bench", bench_folder)
	content = json.loads(run_agent(*options, "--json").stdout)
	by_name = {site["site"]: site["activity"] for site in content["sites"]}
	assert by_name[ACME] == {
		"requests": 1,
		"request_seconds": 3.0,
		"jobs": 0,
		"job_seconds": 0.0,
		"wall_seconds_pct": 75.0,
	}
	assert [name for name, work in by_name.items() if work is None] == ["cedar.example"]
	assert (
		content["activity"]["total"]["jobs"] == 1 and content["sites"][0]["disk"]["public_files_bytes"] == 0
	)
	rows = {row["site"]: row for row in csv.DictReader(run_agent(*options, "--csv").stdout.splitlines())}
	assert (rows[ACME]["requests"], rows[ACME]["wall_seconds_pct"]) == ("1", "75.0")
	assert rows["cedar.example"]["requests"] == ""


@pytest.mark.parametrize(
	"options",
	[["--sort", "activity", "--sizes"], ["--sort", "quota", "--activity"], ["--collect", "--activity"]],
)
def test_options_that_do_not_fit_are_refused(bench_folder: Path, run_agent: Run, options: list[str]) -> None:
	ended = run_agent("tenants", *options, "--bench", bench_folder)
	assert ended.returncode == 2 and "Error:" in ended.stderr
