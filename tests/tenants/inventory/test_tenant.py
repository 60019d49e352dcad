"""What each tenant is and takes: sizes beside du's, backups by name, the usage store and scans."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from korean_sentences import in_korean, still_english
from made_tenants import stored_days
from scraping import openmetrics

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.base.redaction import WITHHELD
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.state.model import State
from prego_metrics.tenants.inventory.backups import read_backups
from prego_metrics.tenants.inventory.database import DatabaseUsage
from prego_metrics.tenants.inventory.database_session import (
	Credentials,
	DatabaseError,
	credentials,
	error_line,
)
from prego_metrics.tenants.inventory.disk_usage import disk_usage
from prego_metrics.tenants.inventory.site_folder import LocatedSite
from prego_metrics.tenants.inventory.tenant import Tenant, warnings_of
from prego_metrics.tenants.usage import scan
from prego_metrics.tenants.usage.reader import stored_tenants
from prego_metrics.tenants.usage.store import StoreError
from prego_metrics.tenants.usage.writer import UsageWriter

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_tree_takes_what_du_says_with_hard_links_and_sparse_files(tmp_path: Path) -> None:
	tree = tmp_path / "tree"
	(tree / "deep" / "deeper").mkdir(parents=True)
	(tree / "plain").write_bytes(b"x" * 70_000)
	os.link(tree / "plain", tree / "deep" / "linked")
	with open(tree / "deep" / "sparse", "wb") as file:
		file.truncate(50_000_000)
	os.symlink("/usr", tree / "deep" / "deeper" / "elsewhere")
	du = subprocess.run(["du", "-s", "--block-size=1", str(tree)], capture_output=True, text=True, check=True)
	assert disk_usage(str(tree)).bytes == int(du.stdout.split()[0])


def test_a_backup_is_complete_only_with_both_kinds_of_files(tmp_path: Path) -> None:
	backups = tmp_path / "acme.example" / "private" / "backups"
	backups.mkdir(parents=True)
	stem = "20261123_010203-acme_example"
	(backups / f"{stem}-database-enc.sql.gz").write_bytes(b"x")
	(backups / f"{stem}-files-enc.tar").write_bytes(b"x")
	found = read_backups(str(tmp_path / "acme.example"), sizes=True)
	assert (found.count, found.newest_complete, found.newest_encrypted) == (1, False, True)
	(backups / f"{stem}-private-files-enc.tar").write_bytes(b"x")
	assert read_backups(str(tmp_path / "acme.example")).newest_complete


def test_a_dump_that_a_full_disk_left_empty_is_no_backup(tmp_path: Path) -> None:
	backups = tmp_path / "acme.example" / "private" / "backups"
	backups.mkdir(parents=True)
	(backups / "20261123_010203-acme_example-database.sql.gz").touch()
	assert read_backups(str(tmp_path / "acme.example")).count == 0


def test_a_scan_that_was_killed_goes_on_where_it_was(
	bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
	config = load_config(open_bench(str(bench_folder)), {})
	read: list[str] = []
	genuine = scan._read

	def killed_at_the_second(located: LocatedSite, *rest: object) -> Tenant:
		if len(read) == 1:
			raise KeyboardInterrupt
		read.append(located.site.name)
		return genuine(located, *rest)  # type: ignore[arg-type]

	monkeypatch.setattr(scan, "_read", killed_at_the_second)
	with pytest.raises(KeyboardInterrupt):
		scan.scan_tenants(config, {})
	monkeypatch.setattr(scan, "_read", genuine)
	result = scan.scan_tenants(config, {})
	assert (result.scanned, result.scanned_before, result.remaining) == (2, 1, 0)
	assert len(stored_tenants(str(bench_folder / "sites"))) == 3


def test_days_older_than_four_hundred_are_forgotten(bench_folder: Path) -> None:
	config = load_config(open_bench(str(bench_folder)), {})
	now = 1_795_000_000.0
	scan.scan_tenants(config, {}, clock=lambda: now - 401 * 86400)
	scan.scan_tenants(config, {}, clock=lambda: now)
	assert stored_days(bench_folder / "sites") == {int(now // 86400)}


def test_the_store_is_the_owners_alone_and_never_a_symlink(bench_folder: Path, tmp_path: Path) -> None:
	scan.scan_tenants(load_config(open_bench(str(bench_folder)), {}), {})
	store = bench_folder / "sites" / ".prego-metrics" / "tenants.sqlite"
	assert store.stat().st_mode & 0o777 == 0o600
	store.rename(tmp_path / "elsewhere")
	store.symlink_to(tmp_path / "elsewhere")
	with pytest.raises(StoreError, match="symlink"):
		stored_tenants(str(bench_folder / "sites"))


def test_a_tenant_nobody_can_ask_fails_alone_and_without_its_password(
	bench_folder: Path, make_site: Callable[..., Path], run_agent: Run
) -> None:
	make_site(bench_folder, "shut.example", db_password="hunter2-hunter2", db_host="127.0.0.1", db_port=1)
	result = run_agent("tenants", "--database", "--json", "--bench", bench_folder)
	assert result.returncode == 0 and "hunter2" not in result.stdout + result.stderr
	by_name = {site["site"]: site for site in json.loads(result.stdout)["sites"]}
	assert by_name["shut.example"]["database"]["error"]
	assert "no db_password" in by_name["acme.example"]["database"]["error"]


def test_a_figure_that_was_not_read_is_no_zero() -> None:
	assert DatabaseUsage(error="refused").bytes is None


@pytest.mark.parametrize(("most", "series"), [("10000", 3), ("1", 1), ("0", 0)])
def test_a_scrape_shows_the_store_of_as_many_sites_as_allowed(
	bench_folder: Path, most: str, series: int
) -> None:
	config = load_config(open_bench(str(bench_folder)), {"PREGO_METRICS_TENANT_SERIES": most})
	scan.scan_tenants(config, {})
	text = openmetrics(config, State())
	assert text.count("prego_tenant_files_bytes{") == series
	assert ("prego_tenant_info{" in text) == (series == 3)


def test_what_the_store_says_of_a_site_is_still_ours_to_translate(
	bench_folder: Path, make_site: Callable[..., Path], settings: Callable[..., Path]
) -> None:
	settings(bench_folder, exclude_sites=["pool-*"])
	make_site(bench_folder, "kim.example", db_type="oracle")
	make_site(bench_folder, "pool-9.example", db_name=None)
	scan.scan_tenants(load_config(open_bench(str(bench_folder)), {}), {})
	found = {tenant.site.name: tenant for tenant in stored_tenants(str(bench_folder / "sites"))}
	[warning] = (one for one in warnings_of(found["kim.example"], 0.0) if one.startswith("database"))
	assert warning == "database: db_type oracle is not supported: only mariadb and postgres"
	assert still_english(warning) == [] and "oracle" in in_korean(warning) != warning
	reason = found["pool-9.example"].site.reason
	assert reason == "excluded by exclude_sites: pool-*" and in_korean(reason).endswith("pool-*")
	assert still_english(reason) == []


def test_a_sentence_that_somebody_else_wrote_into_the_store_stays_as_it_stands(bench_folder: Path) -> None:
	scan.scan_tenants(load_config(open_bench(str(bench_folder)), {}), {})
	sites = str(bench_folder / "sites")
	with UsageWriter(sites) as store:
		forged = json.dumps({"reason": {"code": "tenant_unclear", "params": {"number": "0 tenants"}}})
		with store._connection as connection:
			connection.execute("UPDATE latest SET content = json_set(content, '$.codes', json(?))", (forged,))
	assert [tenant.site.reason.template for tenant in stored_tenants(sites)] == [""] * 3
	for odd in ("7", '{"reason": 7}', '{"reason": {"code": "tenant"}}'):
		with UsageWriter(sites) as store:
			with store._connection as connection:
				connection.execute(
					"UPDATE latest SET content = json_set(content, '$.codes', json(?))", (odd,)
				)
		assert stored_tenants(sites) == []


@pytest.mark.parametrize(
	"site_config",
	[
		{"db_type": "oracle"},
		{"db_password": "x"},
		{"db_name": "x"},
		{"db_name": "x", "db_password": "x", "db_port": "no number"},
	],
)
def test_what_a_sites_database_lacks_is_said_in_korean_too(site_config: dict[str, object]) -> None:
	with pytest.raises(DatabaseError) as raised:
		credentials(site_config, {})
	sentence = raised.value.args[0]
	assert still_english(sentence, "no number") == [] and in_korean(sentence) != sentence


def test_a_servers_words_stay_and_ours_are_translated() -> None:
	access: Credentials = credentials({"db_name": "x", "db_password": "secret-7"}, {})
	denied = "Access denied (using password: YES)"
	assert error_line(access, OSError(1045, denied)) == denied
	assert error_line(access, OSError(1045, "Access denied (using password secret-7)")) == WITHHELD
	waited = TimeoutError(coded("database_late", seconds=20))
	assert in_korean(error_line(access, waited)) != "no answer within 20 s"
