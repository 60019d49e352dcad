"""Times and texts as a site shows them: its time zone and its languages."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import frappe
from frappe.utils import convert_utc_to_system_timezone


def local_time(at: float) -> datetime.datetime:
	"""Return seconds since the epoch in this site's time zone, as Frappe keeps times."""
	utc = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
	local: datetime.datetime = convert_utc_to_system_timezone(utc).replace(tzinfo=None)
	return local


def translator(language: str | None = None) -> Callable[[str], str]:
	"""Return what translates a text into `language`, or else the site's: for what its reader does not ask for."""
	language = language or frappe.db.get_default("lang") or "en"

	def translate(text: str) -> str:
		return frappe._(text, language)

	return translate
