"""A control plane on loopback whose key the tests know, and whose answers they can count."""

from __future__ import annotations

from typing import Any

from prego_metrics.sandbox.server import LocalControlPlane

KEY = "a-key-for-tests-0123456789"
NODE_ID = "node-1"


class WatchedControlPlane(LocalControlPlane):
	"""A control plane that knows its key and keeps a line, `POST /path 200`, for each answer."""

	def __init__(self, key: str = KEY, **options: Any) -> None:
		self.key = key
		self.answers: list[str] = []
		super().__init__(key, on_request=self.answers.append, **options)

	@property
	def pushes(self) -> list[str]:
		"""The answers to pushes alone, without the rows that were read back."""
		return [line for line in self.answers if line.startswith("POST ")]
