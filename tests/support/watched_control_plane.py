"""A control plane on loopback whose key the tests know, and whose answers they can count."""

from __future__ import annotations

from typing import Any

from prego_metrics.sandbox.server import LocalControlPlane

KEY = "a-key-for-tests-0123456789"
NODE_ID = "node-1"


class WatchedControlPlane(LocalControlPlane):
	"""A control plane that knows its key and keeps a line, `POST /path 200`, for each answer."""

	key = KEY

	def __init__(self, **options: Any) -> None:
		self.answers: list[str] = []
		super().__init__(KEY, on_request=self.answers.append, **options)
