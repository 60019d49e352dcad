"""How a push can end, and what triggers it, in words."""

from __future__ import annotations

from prego_metrics.agent.base.messages import message
from prego_metrics.agent.base.sanitize import sanitize

DELIVERED = "delivered"
REFUSED = "refused"
FAILED = "failed"
NOT_SENT = "not_sent"
NOT_DUE = "not_due"
BUSY = "busy"
DRY_RUN = "dry_run"


def outcome_word(outcome: str) -> str:
	"""Return how a push ended as it stands in a sentence; the state may hold anything."""
	known = {
		DELIVERED: message("delivered"),
		REFUSED: message("refused"),
		FAILED: message("failed"),
		NOT_SENT: message("not sent"),
		NOT_DUE: message("not due"),
		BUSY: message("busy"),
	}
	return known.get(outcome) or sanitize(outcome, 40)


def trigger_word(trigger: str) -> str:
	"""Return what started a push as it stands in a sentence; the state may hold anything."""
	known = {
		"frappe": message("Frappe scheduler"),
		"timer": message("systemd timer"),
		"cron": message("cron"),
		"manual": message("manual push"),
	}
	return known.get(trigger) or sanitize(trigger, 40)
