"""Names and limits that several Desk modules share."""

from __future__ import annotations

METHOD = "prego_metrics.prego_push.push_if_due"


# How long one site may take to answer.
SECONDS = 6.0
