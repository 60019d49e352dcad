"""The report of tenants and the job that fills it, where `bench run-tests` runs; the job's own work is tested on a bench."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

import frappe

from prego_metrics import api
from prego_metrics.agent.base.errors import NotSent
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors.census import Census
from prego_metrics.agent.collectors.sites import Site
from prego_metrics.desk import scan_job
from prego_metrics.desk.adapters.jobs import Workers
from prego_metrics.desk.doctor import bench_frappe
from prego_metrics.doctor.check import Examination, Finding
from prego_metrics.doctor.queues import workers
from prego_metrics.node_metrics.doctype.prego_node.test_prego_node import set_to
from prego_metrics.node_metrics.frappe_tests import FrappeTestCase
from prego_metrics.node_metrics.report.prego_tenants import prego_tenants, scan_message
from prego_metrics.tenants.inventory.backups import Backups
from prego_metrics.tenants.inventory.database import DatabaseUsage
from prego_metrics.tenants.inventory.quota import Quota
from prego_metrics.tenants.inventory.site_folder import SiteOnDisk
from prego_metrics.tenants.inventory.tenant import Tenant
from prego_metrics.tenants.usage.scan import ScanResult
from prego_metrics.tenants.usage.scan_status import ScanStatus
from prego_metrics.tenants.usage.store import StoreError

NOW = time.time()
ACME = Site("acme.example", "/bench", True, "tenant", False, False, False)
BRIGHT = ACME._replace(name="bright.example")
HOSTILE = ACME._replace(name="=1+1<img src=x onerror=alert(1)>")
DISK = SiteOnDisk("mariadb", "acme", False, (), 1_500_001, 500_000, 0, Backups(1, 250_000, NOW, True, False))
BASE = DatabaseUsage(7_000_000, 1_000_000, {"frappe": "15.0.0"}, 3, NOW, 0, 2)


def shown(*sites: Site, scanned: tuple[Tenant, ...] = (), status: ScanStatus | None = None, **filters):
	"""Return what the report shows on the operator's site of a bench with these sites."""
	with ExitStack() as stack:
		stack.enter_context(set_to(frappe.local.site))
		stack.enter_context(patch.object(prego_tenants, "count_tenants", lambda config: Census(sites, ())))
		stack.enter_context(patch.object(prego_tenants, "stored_tenants", lambda path: list(scanned)))
		stack.enter_context(patch.object(scan_message, "last_scan", lambda path: status))
		return prego_tenants.execute(filters)


class TestPregoTenants(FrappeTestCase):
	def test_sizes_are_numbers_exact_to_the_byte_and_what_is_unknown_is_none(self) -> None:
		tenant = Tenant(ACME, DISK, BASE, NOW, Quota(20_000_002))
		acme, bright = shown(ACME, BRIGHT, scanned=(tenant,))[1]
		self.assertEqual((acme["files_mb"], acme["backups_mb"], acme["database_mb"]), (2.000001, 0.25, 8.0))
		self.assertEqual((acme["total_mb"], acme["quota_pct"]), (10.250001, 50.0))
		self.assertEqual((acme["enabled_users"], acme["backup_complete"]), (3, "Yes"))
		self.assertIn("stuck", acme["warnings"])
		for unknown in ("files_mb", "total_mb", "database_mb", "backup_hours", "enabled_users", "read_at"):
			self.assertIsNone(bright[unknown], unknown)
		self.assertEqual((bright["counted"], bright["reason"]), ("Yes", "tenant"))

	def test_a_database_that_could_not_be_asked_leaves_no_total(self) -> None:
		(row,) = shown(ACME, scanned=(Tenant(ACME, DISK, DatabaseUsage(error="denied"), NOW),))[1]
		self.assertIsNone(row["total_mb"])
		self.assertIn("denied", row["warnings"])

	def test_the_totals_are_those_of_counted_sites_and_say_what_they_lack(self) -> None:
		excluded = BRIGHT._replace(counted=False, reason="excluded by exclude_sites: bright.example")
		both = (Tenant(ACME, DISK, BASE, NOW), Tenant(excluded, DISK, BASE, NOW))
		self.assertEqual(self.totals(ACME, excluded, scanned=both), [1, "2.0 MB", "250 kB", "8.0 MB", 1])
		new = ACME._replace(name="new.example")
		sums = self.totals(ACME, new, scanned=both)
		self.assertEqual(sums, [2, "at least 2.0 MB", "at least 250 kB", "at least 8.0 MB", 1])
		self.assertEqual(self.totals(new), [1, "unknown", "unknown", "unknown", 0])

	def totals(self, *sites: Site, scanned: tuple[Tenant, ...] = ()) -> list[object]:
		return [total["value"] for total in shown(*sites, scanned=scanned)[4]]

	def test_the_count_is_live_though_the_usage_is_of_the_last_scan(self) -> None:
		then = Tenant(ACME, DISK, BASE, NOW)
		excluded = ACME._replace(counted=False, reason="excluded by exclude_sites: acme.example")
		(row,) = shown(excluded, scanned=(then,))[1]
		self.assertEqual((row["counted"], row["warnings"], row["database_mb"]), ("No", "", 8.0))

	def test_only_those_with_warnings_are_shown_when_asked_for(self) -> None:
		fine = Tenant(BRIGHT, DISK, replace(BASE, stuck_mails=0), NOW)
		rows = shown(ACME, BRIGHT, scanned=(Tenant(ACME, DISK, BASE, NOW), fine), with_warnings=1)[1]
		self.assertEqual([row["site"] for row in rows], ["acme.example"])

	def test_a_name_is_neither_html_nor_a_formula(self) -> None:
		(row,) = shown(HOSTILE)[1]
		self.assertNotIn("<img", frappe.as_json(row))
		self.assertFalse(row["site"].startswith("="))

	def test_before_the_first_scan_the_report_says_how_to_scan(self) -> None:
		message = shown(ACME)[2]
		self.assertIn("never scanned", message)
		self.assertIn("<code>prego-metrics tenants --scan</code>", message)

	def test_the_age_of_the_scan_stands_above_the_table(self) -> None:
		old = ScanStatus(NOW - 7200, NOW - 7100, 1, NOW - 7150)
		self.assertIn("119 min ago", shown(ACME, status=old)[2])
		self.assertIn("sites read 1", shown(ACME, status=replace(old, ended_at=None))[2])

	def test_a_store_that_cannot_be_read_is_said_above_the_census(self) -> None:
		def damaged(path: str) -> None:
			raise StoreError("it is <b>damaged</b>")

		with set_to(frappe.local.site), patch.object(prego_tenants, "stored_tenants", damaged):
			_, rows, message, *_ = prego_tenants.execute({})
		self.assertTrue(rows)
		self.assertIn("it is &lt;b&gt;damaged", message)

	def test_why_the_tenants_cannot_be_counted_is_no_html(self) -> None:
		def failing(config: object) -> None:
			raise NotSent("/srv/<img src=x onerror=alert(1)> is no bench")

		with set_to(frappe.local.site), patch.object(prego_tenants, "count_tenants", failing):
			_, rows = prego_tenants.execute({})
		self.assertEqual([list(row) for row in rows], [["reason"]])
		self.assertIn("cannot be counted: /srv/&lt;img src=x", rows[0]["reason"])

	def test_another_site_shows_one_row_that_says_why(self) -> None:
		with set_to("the-operators.example"):
			_, rows = prego_tenants.execute({})
		self.assertEqual([list(row) for row in rows], [["reason"]])


class TestPregoScan(FrappeTestCase):
	def asked(self, site: str, **variables: str) -> int:
		"""Return how often the hourly job queues the scan where none ever ran."""
		names = {f"PREGO_METRICS_{name}": value for name, value in variables.items()}
		with (
			set_to(site),
			patch.dict(os.environ, names),
			patch.object(scan_job, "last_scan", lambda path: None),
			patch.object(scan_job, "queue_scan") as queued,
		):
			scan_job.scan_if_due()
		return queued.call_count

	def test_the_operators_site_alone_scans(self) -> None:
		self.assertEqual(self.asked(frappe.local.site), 1)
		self.assertEqual(self.asked("the-operators.example"), 0)

	def test_it_can_be_switched_off(self) -> None:
		self.assertEqual(self.asked(frappe.local.site, SCAN_TENANTS="false"), 0)

	def answer_where(self, queued: bool, living: int, under_way: bool = False) -> str:
		"""Return what Scan Now says where so many workers take jobs of the queue."""
		with (
			set_to(frappe.local.site),
			patch.object(scan_job, "queue_scan", lambda config: queued),
			patch.object(scan_job, "is_under_way", lambda path: under_way),
			patch.object(scan_job, "workers_of", lambda queue, _: Workers(living, living, 1)),
			patch.object(scan_job, "worker_processes", lambda queue, _: living),
		):
			return api.collect()["message"]

	def test_scan_now_says_when_no_worker_takes_the_job(self) -> None:
		self.assertIn("a worker of the queue long scans", self.answer_where(queued=True, living=1))
		self.assertIn("already running", self.answer_where(queued=False, living=1))
		for queued in (True, False):
			self.assertIn("the queue long has no worker", self.answer_where(queued=queued, living=0))
		# `prego-metrics tenants --scan` needs no worker.
		by_hand = self.answer_where(queued=False, living=0, under_way=True)
		self.assertIn("already running", by_hand)

	def workers_check(self, living: int, **variables: str) -> Finding:
		"""Return what the doctor says of the workers where one takes pushes, and so many the scan."""

		def workers_of(queue: str, _: object) -> Workers:
			return Workers(1, 1, 0) if queue == "default" else Workers(1, living, 7)

		environ = {f"PREGO_METRICS_{name}": value for name, value in variables.items()}
		environ["PREGO_METRICS_SITE"] = frappe.local.site
		bench = open_bench(os.path.abspath(frappe.local.sites_path))
		with patch.object(bench_frappe, "workers_of", workers_of):
			return workers(Examination(bench, environ, connect=bench_frappe.BenchFrappe))

	def test_the_doctor_warns_when_no_worker_takes_the_job(self) -> None:
		check = self.workers_check(0)
		self.assertEqual(check.state, "warn")
		self.assertIn("the queue long has no worker", check.seen)
		self.assertIn("7", check.seen)
		self.assertEqual(self.workers_check(1).state, "pass")
		self.assertEqual(self.workers_check(0, SCAN_TENANTS="false").state, "pass")

	def test_a_job_on_another_site_reads_nothing(self) -> None:
		with set_to("the-operators.example"), patch.object(scan_job, "scan_tenants") as scan:
			scan_job.scan_a_while()
		scan.assert_not_called()

	def test_a_job_is_nicer_than_whoever_runs_it_and_that_one_stays_as_it_was(self) -> None:
		niceness: list[int] = []

		def scan(*_: object, **__: object) -> ScanResult:
			niceness.append(os.nice(0))
			return ScanResult(1, 0, 0)

		before = os.nice(0)
		with set_to(frappe.local.site), patch.object(scan_job, "scan_tenants", scan):
			scan_job.scan_a_while()
		self.assertEqual((niceness, os.nice(0)), ([min(19, before + 10)], before))

	def test_what_is_left_is_queued_under_the_other_id(self) -> None:
		with (
			set_to(frappe.local.site),
			patch.object(scan_job, "scan_tenants", lambda *_, **__: ScanResult(1, 0, 5)),
			patch.object(scan_job, "get_job", lambda job_id: None),
			patch.object(frappe, "enqueue") as enqueue,
		):
			scan_job.scan_a_while(turn=1)
		self.assertEqual(enqueue.call_args.kwargs["job_id"], scan_job.JOB_IDS[0])
		self.assertEqual(enqueue.call_args.kwargs["queue"], "long")

	def test_an_error_is_told_once_a_day_without_what_its_frames_hold(self) -> None:
		def scan(*_: object, **__: object) -> ScanResult:
			password = "a-password-in-a-frame"
			raise KeyError(password)

		frappe.db.delete("Error Log", {"method": scan_job.ERROR_TITLE})
		with (
			set_to(frappe.local.site),
			patch.object(scan_job, "scan_tenants", scan),
			patch.object(frappe.db, "commit"),
		):
			scan_job.scan_a_while()
			scan_job.scan_a_while()
		logged = frappe.get_all("Error Log", {"method": scan_job.ERROR_TITLE}, pluck="error")
		self.assertEqual(len(logged), 1)
		self.assertIn("KeyError", logged[0])
		self.assertNotIn("a-password-in-a-frame", logged[0])
