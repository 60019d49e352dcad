"""The page "Prego Node" where `bench run-tests` runs: what it shows, to whom, and that it writes nothing.

Who is refused over HTTP is tested over HTTP: `frappe.only_for` lets everybody pass in here.
"""

from __future__ import annotations

import inspect
import io
import os
from contextlib import redirect_stderr
from unittest.mock import patch

import frappe

from prego_metrics import api
from prego_metrics.agent.base.errors import NotSent
from prego_metrics.desk import operator_site
from prego_metrics.desk.error_boundary import Unforeseen
from prego_metrics.desk.page.status import node_page
from prego_metrics.node_metrics.frappe_tests import FrappeTestCase

PAGE = "Prego Node"


def set_to(site: str):
	"""Let the settings name this site as the operator's."""
	settings = {"SITE": site, "NODE_ID": "node-of-the-tests", "CONTROL_PLANE_URL": "http://127.0.0.1:9"}
	return patch.dict(os.environ, {f"PREGO_METRICS_{name}": value for name, value in settings.items()})


class TestPregoNode(FrappeTestCase):
	def tearDown(self) -> None:
		frappe.set_user("Administrator")

	def test_the_operators_site_shows_whether_the_node_delivers(self) -> None:
		with set_to(frappe.local.site):
			node = frappe.get_doc(PAGE)
		self.assertIn(node.get("verdict"), ("fresh", "failing", "stale", "never"))
		self.assertTrue(node.get("sentence"))
		self.assertIsNone(node.get("not_shown"))

	def test_another_site_shows_only_why_not(self) -> None:
		with set_to("the-operators.example"):
			node = frappe.get_doc(PAGE)
		self.assertIn("not the operator site", node.get("not_shown"))
		self.assertNotIn("the-operators.example", node.as_json())
		self.assertIsNone(node.get("verdict"))
		self.assertIsNone(node.get("sentence"))

	def test_a_plain_user_is_told_nothing(self) -> None:
		frappe.set_user("Guest")
		with set_to(frappe.local.site):
			node = frappe.get_doc(PAGE)
		self.assertIsNone(node.get("verdict"))
		self.assertIsNone(node.get("sentence"))
		self.assertFalse(node.has_permission("read"))

	def test_saving_and_deleting_write_nothing(self) -> None:
		with set_to(frappe.local.site):
			frappe.new_doc(PAGE).save(ignore_permissions=True)  # as installing an app does
			frappe.get_doc(PAGE).delete()
		self.assertEqual(frappe.db.count("Singles", {"doctype": PAGE}), 0)

	def test_a_fault_shows_no_password_and_no_environment_in_a_traceback_with_variables(self) -> None:
		report = frappe.get_attr("prego_metrics.node_metrics.report.prego_tenants.prego_tenants.execute")
		for broken, ask in (
			("agent.collectors.sites.Site", api.tenants),
			("agent.collectors.sites.Site", report),
			("agent.collectors.sites.Site", lambda: api.push(dry_run=True)),
			("exporters.metrics.metrics_text", api.metrics),
			("doctor.runner.Examination", api.doctor),
			("agent.config.api_key._load", api.status),
		):
			with (
				self.subTest(broken=broken, ask=ask),
				set_to(frappe.local.site),
				patch("prego_metrics.desk.adapters.bench_log.log_to_bench"),
				redirect_stderr(io.StringIO()),
				patch(f"prego_metrics.{broken}", side_effect=KeyError("x")),
			):
				error_log = ""
				try:
					ask()
				except Unforeseen:
					error_log = frappe.get_traceback(with_context=True)
				self.assertIn("unforeseen KeyError", error_log)
				self.assertNotIn("db_password", error_log)
				self.assertNotIn("environ(", error_log)

	def test_an_error_of_ours_reaches_the_caller_with_its_message_as_text(self) -> None:
		def refuse(config: object) -> None:
			raise NotSent("/srv/<img src=x onerror=alert(1)> is no bench")

		with (
			set_to(frappe.local.site),
			patch("prego_metrics.agent.collectors.tenant_count.count_tenants", refuse),
			self.assertRaises(frappe.ValidationError) as raised,
		):
			api.tenants()
		self.assertEqual(str(raised.exception), "/srv/&lt;img src=x onerror=alert(1)&gt; is no bench")
		self.assertEqual(frappe.response.pop("error_code"), "command_failed")

	def test_frappe_sees_the_parameters_of_a_method_and_not_the_settings(self) -> None:
		self.assertEqual(list(inspect.signature(api.tenant_sizes).parameters), ["days", "top", "contains"])
		# What Frappe wraps around it has none itself on Python 3.14, and checks by those below.
		checked = inspect.unwrap(api.tenant_sizes, stop=lambda method: bool(method.__annotations__))
		self.assertEqual(set(checked.__annotations__), {"days", "top", "contains", "return"})
		for method in vars(api).values():
			if getattr(method, "__module__", None) == api.__name__:
				self.assertIn(method, frappe.whitelisted)

	def test_a_fault_of_ours_keeps_no_desk_shut(self) -> None:
		with (
			patch.object(operator_site, "load_config", side_effect=KeyError("node-of-the-tests")),
			patch("prego_metrics.desk.error_boundary.log_fault") as log_fault,
		):
			self.assertFalse(operator_site.may_open_app())
		log_fault.assert_called_once()

	def test_lists_and_counts_of_it_are_empty(self) -> None:
		from frappe.model.base_document import get_controller

		controller = get_controller(PAGE)
		self.assertEqual(controller.get_list({}), [])
		self.assertEqual(controller.get_count({}), 0)
		self.assertEqual(controller.get_stats({}), {})

	def test_the_page_shows_each_setting_with_its_source_and_never_the_key(self) -> None:
		key = "a-key-that-nobody-may-see"
		with set_to(frappe.local.site), patch.dict(os.environ, {"INTERNAL_API_KEY": key}):
			page = node_page(operator_site.require_operator_site())
		self.assertNotIn(key, frappe.as_json(page))
		self.assertIn("INTERNAL_API_KEY", page["settings"]["api_key"])
		sources = {entry["name"]: entry["source"] for entry in page["settings"]["settings"]}
		self.assertIn("PREGO_METRICS_NODE_ID", sources["node_id"])
		self.assertTrue(all(sources.values()))
