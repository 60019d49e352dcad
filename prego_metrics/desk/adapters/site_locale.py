"""The time zone and the languages of a site."""

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
	"""Return a function that translates into `language`, or else into the site's: for what no user's request shows."""
	language = language or frappe.db.get_default("lang") or "en"

	def translate(text: str) -> str:
		return frappe._(text, language)

	return translate
