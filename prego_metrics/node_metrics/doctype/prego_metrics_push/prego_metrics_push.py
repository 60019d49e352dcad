"""The log of pushes, as the Desk shows it: a copy of the state's history, written by `prego_metrics.desk.push_log`."""

from __future__ import annotations

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import add_days, now_datetime

from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.desk.node_method import node_method
from prego_metrics.desk.push_log import DOCTYPE, node_id_in_log


class PregoMetricsPush(Document):
	"""One attempted push. Rows are copied in bulk; nobody writes one here, Administrator included."""

	def before_insert(self) -> None:
		_refuse()

	def validate(self) -> None:
		_refuse()

	def before_rename(self, *_names: object, **_options: object) -> None:
		_refuse()

	def on_trash(self) -> None:
		if not frappe.flags.in_uninstall:
			_refuse()

	@staticmethod
	def clear_old_logs(days: int = 30) -> None:
		"""Delete what is older than `days`: called daily by Frappe's Log Settings."""
		table = frappe.qb.DocType(DOCTYPE)
		frappe.db.delete(table, filters=(table.pushed_at < add_days(now_datetime(), -days)))


def _refuse() -> None:
	frappe.throw(_("The node itself writes the push log: it is read-only."), frappe.PermissionError)


@frappe.whitelist(methods=["GET", "POST"])
@node_method()
def this_node(config: Config) -> str:
	"""Return this node's id as the log has it, to filter by: a restored backup holds another node's pushes too."""
	return node_id_in_log(StateFolder(config.bench.sites), config)
