"""The census beside Frappe's own listing of its sites, on one folder of 10,000 sites.

`frappe.utils.get_sites` only lists; the census also reads every site's configuration and judges it. The real
function is used where it can be had: if frappe is importable here, or with the interpreter of the bench that
PREGO_TEST_BENCH names. Elsewhere its documented definition stands in, a few lines below.

Both run in this process by turns, on a warm cache.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "benchmarks")]

from turns import by_turns, of_call, show  # noqa: E402

from prego_metrics.agent.bench.locate import open_bench  # noqa: E402
from prego_metrics.agent.collectors.census import take_census  # noqa: E402

SITES = 10_000
POOL_SITES = 200
BESIDE = 100
PAIRS = 15
AIM = 1.2
BENCH_VARIABLE = "PREGO_TEST_BENCH"


def main() -> None:
	get_sites, origin = find_get_sites()
	with tempfile.TemporaryDirectory(prefix="prego-census-") as folder:
		sites = lay_out(Path(folder))
		time.sleep(0.1)  # the census waits for a folder that was changed a moment ago
		bench = open_bench(folder)

		def census() -> object:
			return take_census([bench], ["pool-*"])

		listed, counted = get_sites(str(sites)), take_census([bench], ["pool-*"])
		assert sorted(site.name for site in counted.sites) == listed and len(listed) == SITES
		assert counted.tenant_count == SITES - POOL_SITES

		pairs = by_turns(lambda: of_call(census), lambda: of_call(lambda: get_sites(str(sites))), PAIRS)
	print(f"get_sites is {origin}; Python {platform.python_version()}")
	show(f"census / get_sites on {SITES:,} sites", AIM, "wall", pairs)


def find_get_sites() -> tuple[Callable[[str], list[str]], str]:
	"""Return Frappe's function or what stands in for it, and which of them it is."""
	try:
		import frappe
		from frappe.utils import get_sites
	except ImportError:
		bench = os.environ.pop(BENCH_VARIABLE, "")
		if not bench:
			return documented_get_sites, "its documented definition, as Frappe is not here"
		python = os.path.join(bench, "env", "bin", "python")
		os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # nothing is written into that bench
		os.execv(python, [python, os.path.abspath(__file__)])
	return get_sites, f"the real one of Frappe {frappe.__version__}"


def documented_get_sites(sites: str) -> list[str]:
	"""List the real folders in `sites`, not links, that hold a site_config.json, sorted."""

	def is_site(name: str) -> bool:
		path = os.path.join(sites, name)
		if not os.path.isdir(path) or os.path.islink(path):
			return False
		return os.path.exists(os.path.join(path, "site_config.json"))

	return sorted(name for name in os.listdir(sites) if is_site(name))


def lay_out(bench: Path) -> Path:
	"""Make a bench of many sites, with what lies beside sites on a real one; return its sites folder."""
	sites = bench / "sites"
	sites.mkdir()
	(sites / "apps.txt").write_text("frappe\nerpnext\nprego_metrics\n")
	for number in range(SITES):
		pool = number < POOL_SITES
		site = sites / (f"pool-{number:05}.example.com" if pool else f"tenant-{number:05}.example.com")
		site.mkdir()
		(site / "site_config.json").write_text(json.dumps(site_config(number), indent=1))
	for number in range(BESIDE):
		(sites / f"stray-{number}").mkdir()
		(sites / f"alias-{number}.example.com").symlink_to(f"tenant-{number + POOL_SITES:05}.example.com")
		(sites / f"note-{number}.txt").touch()
	return sites


def site_config(number: int) -> dict[str, object]:
	"""Return what `bench new-site` and a platform write, about 300 bytes of it."""
	return {
		"db_name": f"_{number:016x}",
		"db_password": f"not-a-password-{number}",
		"db_type": "mariadb",
		"encryption_key": f"not-a-key-{number:034}",
		"limits": {"space_usage": {"database_size": 120.5, "files_size": 33.0}},
		"maintenance_mode": 1 if number % 100 == 0 else 0,
		"pause_scheduler": 0,
		"host_name": f"https://tenant-{number:05}.example.com",
	}


if __name__ == "__main__":
	main()
