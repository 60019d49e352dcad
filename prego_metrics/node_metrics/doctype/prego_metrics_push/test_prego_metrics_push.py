"""The log of pushes: what is copied into it, once, and that nobody else writes it."""

import os
import tempfile
import time
from unittest.mock import patch

import frappe
from frappe.desk.doctype.notification_settings.notification_settings import is_notifications_enabled

from prego_metrics.agent.base.messages import coded
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.state.model import Push, State, Tick
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.desk import notifications, push_log, tick
from prego_metrics.desk.page.push_series import delivered_series
from prego_metrics.desk.push_log import DOCTYPE, catch_up
from prego_metrics.node_metrics.doctype.prego_metrics_push.prego_metrics_push import PregoMetricsPush
from prego_metrics.node_metrics.frappe_tests import FrappeTestCase

ALERT = "Prego Metrics Alert"
PAYLOAD = {"node_id": "test-node", "tenant_count": 0, "disk_pct": 99.0, "source": "node_push"}


def push(number: int, **changes: object) -> Push:
	one = Push(f"{number:016x}", time.time(), "timer", "delivered", PAYLOAD, 200, 1, 12, None)
	return one._replace(**changes)


class TestPregoMetricsPush(FrappeTestCase):
	def setUp(self):
		frappe.db.delete(DOCTYPE, {"name": ("like", "000000%")})
		sites = tempfile.TemporaryDirectory()
		self.addCleanup(sites.cleanup)
		self.folder = StateFolder(sites.name)
		self.config = load_config(open_bench(frappe.local.sites_path), {"PREGO_METRICS_NODE_ID": "test-node"})

	def tearDown(self):
		frappe.db.delete("Notification Log", {"document_name": ("like", "000000%")})
		frappe.db.delete(
			"Communication", {"reference_doctype": DOCTYPE, "reference_name": ("like", "000000%")}
		)
		frappe.db.delete("Error Log", {"method": ("like", "Prego Metrics: Node test-node%")})
		frappe.db.delete(DOCTYPE, {"name": ("like", "000000%")})
		frappe.db.commit()  # nosemgrep: frappe-manual-commit -- the rows would outlive the test

	def names(self):
		return frappe.get_all(DOCTYPE, {"name": ("like", "000000%")}, pluck="name", order_by="name", limit=0)

	def test_the_log_catches_up_oldest_first_and_writes_nothing_twice(self):
		pushes = [push(number) for number in range(250)]
		for one in pushes:
			self.folder.append_history(one)
		self.assertEqual([catch_up(self.folder, self.config, 100) for _ in range(4)], [100, 100, 50, 0])
		self.assertEqual(self.names(), [one.id for one in pushes])

	def test_what_was_cleared_stays_cleared(self):
		for number in range(5):
			self.folder.append_history(push(number))
		catch_up(self.folder, self.config)
		frappe.db.delete(DOCTYPE, {"name": ("in", [push(0).id, push(1).id])})
		self.assertEqual(catch_up(self.folder, self.config), 0)

	def test_in_the_hardened_mode_the_pictures_are_of_the_node_that_the_unit_pushes_as(self):
		root = os.path.dirname(self.folder.path)
		os.makedirs(os.path.join(root, "sites"))
		open(os.path.join(root, "sites", "apps.txt"), "w").close()
		config = load_config(open_bench(root), {"PREGO_METRICS_SCHEDULER_PUSHES": "false"})
		folder = StateFolder(config.bench.sites)
		for number, node in ((1, "another-node"), (2, "test-node")):
			folder.append_history(push(number, payload={**PAYLOAD, "node_id": node, "disk_pct": number}))
		folder.append_history(push(3, outcome="not_sent", payload=None))
		folder.write_tick(Tick("timer", time.time(), 60.0, "test-node", "delivered"))
		catch_up(folder, config)
		self.assertEqual(frappe.db.get_value(DOCTYPE, push(3).id, "node_id"), "test-node")
		os.remove(os.path.join(folder.path, "history.jsonl"))
		for _ in ("from the log", "from the state"):
			buckets = delivered_series(config, "day", time.time())["buckets"]
			self.assertEqual([one["disk_pct"] for one in buckets if one["disk_pct"]], [[2.0, 2.0, 2.0]])
			folder.append_history(push(2, payload={**PAYLOAD, "disk_pct": 2}))

	def test_a_young_nodes_axis_starts_at_its_first_push_and_an_old_ones_a_day_ago(self):
		now = 1_800_000_000.0
		sites = os.path.dirname(self.folder.path)
		open(os.path.join(sites, "apps.txt"), "w").close()
		config = load_config(open_bench(sites), {"PREGO_METRICS_NODE_ID": "test-node"})
		for number, ago in ((1, 1800), (2, 60)):
			self.folder.append_history(push(number, at=now - ago))
		young = delivered_series(config, "day", now)
		self.folder.append_history(push(3, at=now - 3 * 86400))
		old = delivered_series(config, "day", now)
		self.assertEqual((young["bucket_seconds"], len(young["buckets"])), (120, 16))
		self.assertLessEqual(young["buckets"][0]["at"], now - 1800)
		self.assertEqual(young["buckets"][0]["disk_pct"], [99.0, 99.0, 99.0])
		self.assertEqual((old["bucket_seconds"], len(old["buckets"])), (600, 144))

	def test_what_is_unknown_is_empty_and_a_zero_is_a_zero(self):
		self.folder.append_history(push(1))
		self.folder.append_history(push(2, outcome="not_sent", payload=None, status_code=None))
		catch_up(self.folder, self.config)
		row = frappe.get_doc(DOCTYPE, push(1).id)
		self.assertEqual((row.tenant_count, row.disk_pct, row.cpu_pct), ("0", "99.0", None))
		self.assertEqual(
			frappe.db.get_value(DOCTYPE, push(2).id, ["node_id", "tenant_count"]), ("test-node", None)
		)

	def test_hostile_values_fit_and_are_shown_as_escapes(self):
		payload = {**PAYLOAD, "node_id": "\u202e" * 250, "tenant_count": 10**11}
		hostile = push(
			3, payload=payload, status_code=10**10, duration_ms=10**11, attempts=10**10, who="\u202e" * 140
		)
		self.folder.append_history(hostile._replace(error="a\x1b[2J\nb" * 200))
		self.assertEqual(catch_up(self.folder, self.config), 1)
		row = frappe.get_doc(DOCTYPE, hostile.id)
		self.assertTrue(row.node_id.isprintable() and row.pushed_by.isprintable())

	def test_an_error_stands_in_the_log_with_its_code(self):
		self.folder.append_history(push(3, outcome="refused", error=coded("key_refused", answer=401)))
		self.assertEqual(catch_up(self.folder, self.config), 1)
		row = frappe.get_doc(DOCTYPE, push(3).id)
		self.assertEqual(row.error_code, "key_refused")
		self.assertIn("401", row.error)

	def test_what_a_server_said_is_no_html_in_the_log(self):
		markup = "<img src=x onerror=alert(1)>"
		payload = {**PAYLOAD, "node_id": markup * 10}
		self.folder.append_history(push(4, payload=payload, who=markup * 9, error=f"it says: {markup}\n&lt;"))
		self.assertEqual(catch_up(self.folder, self.config), 1)
		row = frappe.get_doc(DOCTYPE, push(4).id)
		self.assertEqual(row.error, "it says: &lt;img src=x onerror=alert(1)&gt;\n&amp;lt;")
		self.assertEqual((len(row.node_id), len(row.pushed_by)), (255, 140))
		self.assertNotIn("<", row.node_id + row.pushed_by)

	def test_nobody_writes_renames_or_deletes_a_row(self):
		with self.assertRaises(frappe.PermissionError):
			frappe.get_doc({"doctype": DOCTYPE, "name": push(9).id}).insert(ignore_permissions=True)
		self.folder.append_history(push(1))
		catch_up(self.folder, self.config)
		row = frappe.get_doc(DOCTYPE, push(1).id)
		self.assertRaises(frappe.PermissionError, row.save, ignore_permissions=True)
		self.assertRaises(frappe.PermissionError, frappe.delete_doc, DOCTYPE, row.name)

	def test_the_site_keeps_the_log_for_thirty_days_from_the_first(self):
		self.assertTrue(frappe.db.exists("Logs To Clear", {"ref_doctype": DOCTYPE}))

	def test_old_rows_are_cleared(self):
		self.folder.append_history(push(1, at=time.time() - 31 * 86400))
		self.folder.append_history(push(2))
		catch_up(self.folder, self.config)
		PregoMetricsPush.clear_old_logs(30)
		self.assertEqual(self.names(), [push(2).id])

	def test_each_channel_sends_an_alert_once_and_one_that_fails_holds_up_no_other(self):
		failed = push(7, outcome="failed", error="no connection")
		self.folder.append_history(failed)
		self.folder.write(State().recorded(failed, 1))
		catch_up(self.folder, self.config)
		frappe.db.commit()  # nosemgrep: frappe-manual-commit -- as the tick does between both
		logged = []

		def broken(*_):
			raise ConnectionError("Redis is down")

		# This site's own Notifications may be enabled: nobody is mailed by a test.
		mails = patch.dict(notifications.CHANNELS, {"email": lambda *_: None})
		mails.start()
		self.addCleanup(mails.stop)
		with patch.dict(notifications.CHANNELS, {"notification": broken}):
			notifications.notify(self.folder, self.config, logged.append)
		self.assertEqual(logged, ["failing was not sent by notification: ConnectionError"])
		self.assertEqual(frappe.db.count("Notification Log", {"document_name": failed.id}), 0)
		for _ in range(3):
			notifications.notify(self.folder, self.config, logged.append)
		notified = frappe.get_all("Notification Log", {"document_name": failed.id}, pluck="for_user")
		self.assertEqual(
			sorted(notified), [user for user in notifications.recipients() if is_notifications_enabled(user)]
		)
		title = "Prego Metrics: Node test-node: pushes are failing"
		self.assertEqual(frappe.db.count("Error Log", {"method": title}), 1)

	def test_a_log_that_cannot_be_written_silences_nobody(self):
		self.folder.append_history(push(1, outcome="failed", error="no connection"))
		calls = []
		with (
			patch.object(push_log, "catch_up", side_effect=frappe.DoesNotExistError),
			patch.object(notifications, "notify", lambda *_: calls.append("notify")),
			patch.object(tick, "log_to_bench", calls.append),
		):
			tick.catch_up_and_notify(self.folder, self.config)
		self.assertEqual(
			calls,
			["The log of pushes was not written: DoesNotExistError. The next tick tries again", "notify"],
		)

	def test_an_alert_without_a_row_in_the_log_is_mailed(self):
		self.folder.append_history(push(1))
		catch_up(self.folder, self.config)
		lost = push(8, outcome="not_sent", error="the key file is gone", payload=None)
		self.folder.write(State().recorded(lost, 1))
		alert = frappe.get_doc("Notification", ALERT)
		others = frappe.get_all("Notification", {"enabled": 1, "document_type": DOCTYPE}, pluck="name")
		for name in others:
			frappe.db.set_value("Notification", name, "enabled", 0)
		frappe.db.set_value("Notification", ALERT, "enabled", 1)
		frappe.clear_cache(doctype=DOCTYPE)
		sent, logged = [], []
		try:
			with (
				patch("frappe.sendmail", lambda **mail: sent.append(mail["subject"])),
				patch.object(type(alert), "get_list_of_recipients", lambda *_: (["ops@example.com"], [], [])),
				patch.object(notifications, "CHANNELS", {"email": notifications.CHANNELS["email"]}),
			):
				notifications.notify(self.folder, self.config, logged.append)
		finally:
			frappe.db.set_value("Notification", ALERT, "enabled", alert.enabled)
			for name in others:
				frappe.db.set_value("Notification", name, "enabled", 1)
			frappe.db.commit()  # nosemgrep: frappe-manual-commit -- what was changed must be put back
			frappe.clear_cache(doctype=DOCTYPE)
		self.assertEqual((sent, logged), (["Node test-node: pushes are failing"], []))
		self.assertEqual(self.names(), [push(1).id])
