"""The page "Prego Node": a form without a row of its own, filled from the state on disk."""

from __future__ import annotations

import time
from typing import Any

import frappe
from frappe.model.document import Document

from prego_metrics.agent.base.messages import translated
from prego_metrics.agent.state.status import judge_status
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.agent.state.trigger_settings import as_pushed
from prego_metrics.desk.operator_site import operator_config, refusal


class PregoNode(Document):
	"""A virtual Single. Nothing of it is ever written: the state belongs into no database."""

	def load_from_db(self) -> None:
		"""Fill in whether the node is delivering, or why this site does not show it.

		Frappe calls this for realtime permission checks too, for any user: it reads the state file only, and
		shows nothing to users who may not read it.
		"""
		super(Document, self).__init__({})
		if "System Manager" not in frappe.get_roles():
			return
		config = operator_config()
		if config is None:
			self.not_shown = refusal()
			return
		folder = StateFolder(config.bench.sites)
		state, _ = folder.read()
		status = judge_status(state, as_pushed(config, folder, state), time.time(), folder=folder)
		self.verdict = status.verdict
		self.sentence = translated(status.sentence, frappe._)

	def update_single(self, values: dict[str, Any]) -> None:
		"""Write nothing: Frappe saves every Single when an app is installed, into tabSingles."""

	def db_insert(self, *args: Any, **kwargs: Any) -> None:
		"""Write nothing."""

	def db_update(self, *args: Any, **kwargs: Any) -> None:
		"""Write nothing."""

	def delete(self, *args: Any, **kwargs: Any) -> None:
		"""Delete nothing; raising here would break uninstalling the app."""

	# Frappe calls these without checking permissions, so they return nothing.

	@staticmethod
	def get_list(args: Any = None, **kwargs: Any) -> list[Any]:
		return []

	@staticmethod
	def get_count(args: Any = None, **kwargs: Any) -> int:
		return 0

	@staticmethod
	def get_stats(args: Any = None, **kwargs: Any) -> dict[str, Any]:
		return {}
