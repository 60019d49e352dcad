"""`prego-metrics tenants --sizes` beside `du`, on one bench of 200 sites with 200,000 files, and a table of 10,000 sites.

All are whole processes on a warm cache. Before that, the sizes of each site are held to du's, to the byte. du walks
the same trees, all in one process.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT / "benchmarks"))

import census  # noqa: E402
from turns import by_turns, of_process, plain_environment, show  # noqa: E402

SITES = 200
FILES = 1_000  # of each site
FOLDERS = 10  # that they are spread over, half of them private
PAIRS = 7
AIM = 1.1
TABLE_AIM_SECONDS, TABLES = 1.0, 5
PREGO_METRICS = str(Path(sys.executable).with_name("prego-metrics"))
ENVIRON = plain_environment()
TREES = ("public/files", "private/files", "private/backups")


def main() -> None:
	with tempfile.TemporaryDirectory(prefix="prego-tenants-") as folder:
		sites = lay_out(Path(folder))
		trees = [str(sites / name / tree) for name in names() for tree in TREES]
		du = ["du", "-s", "--block-size=1", *trees]
		ours = [PREGO_METRICS, "tenants", "--sizes", "--json", "--bench", folder]
		files = compare(json.loads(output(ours)), dict_of(output(du)), sites)
		pairs = by_turns(lambda: of_process(ours, ENVIRON), lambda: of_process(du, ENVIRON), PAIRS)
	print(f"every size of {files:,} files equal to du's, to the byte; Python {platform.python_version()}")
	show(f"tenants --sizes / du on {SITES} sites with {files:,} files", AIM, "wall", pairs)
	show_table()


def show_table() -> None:
	with tempfile.TemporaryDirectory(prefix="prego-table-") as folder:
		census.lay_out(Path(folder))
		table = [PREGO_METRICS, "tenants", "--bench", folder]
		taken = [of_process(table, ENVIRON) for _ in range(TABLES)]
	wall, cpu = (min(column) for column in zip(*taken, strict=True))
	print(
		f"table of {census.SITES:,} sites: aim {TABLE_AIM_SECONDS:g} s; {wall:.2f} s at least of {TABLES} runs, "
		f"{cpu:.2f} s of CPU; load {os.getloadavg()[0]:.1f}"
	)


def names() -> list[str]:
	return [f"tenant-{number:03}.example.com" for number in range(SITES)]


def lay_out(bench: Path) -> Path:
	"""Make the sites, with hard links and sparse files among their files; return the sites folder."""
	sites = bench / "sites"
	sites.mkdir()
	(sites / "apps.txt").write_text("frappe\n")
	for name in names():
		for tree in TREES:
			(sites / name / tree).mkdir(parents=True)
		(sites / name / "site_config.json").write_text(json.dumps({"db_name": "_0123456789abcdef"}))
		for number in range(FILES):
			fill(sites / name, number)
	return sites


def fill(site: Path, number: int) -> None:
	part = number % FOLDERS
	folder = site / TREES[part % 2] / f"folder-{part}"
	folder.mkdir(exist_ok=True)
	path = folder / f"file-{number}.bin"
	if number % 50 == FOLDERS:
		os.link(folder / f"file-{number - FOLDERS}.bin", path)
		return
	with open(path, "wb") as file:
		if number % 100 == 7:
			file.truncate(10_000_000)
		else:
			file.write(b"x" * (number * 37 % 9000))


def output(command: list[str]) -> str:
	return subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRON).stdout


def dict_of(du: str) -> dict[str, int]:
	return {path: int(size) for size, path in (line.split("\t") for line in du.splitlines())}


def compare(found: dict[str, list[dict[str, dict[str, int]]]], du: dict[str, int], sites: Path) -> int:
	"""Assert that each site's sizes are du's; return how many files there are."""
	assert len(found["sites"]) == SITES
	for site in found["sites"]:
		disk = site["disk"]
		for tree in TREES[:2]:
			figure = f"{tree.split('/')[0]}_files_bytes"
			path = str(sites / str(site["site"]) / tree)
			assert disk[figure] == du[path], (path, disk[figure], du[path])
	return sum(len(files) for tree in names() for _, _, files in os.walk(sites / tree)) - SITES


if __name__ == "__main__":
	main()
