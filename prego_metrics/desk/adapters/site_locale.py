"""The time zone and the languages of a site."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import frappe
from frappe.utils import convert_utc_to_system_timezone, format_datetime, get_system_timezone
from frappe.utils.data import convert_utc_to_timezone


def local_time(at: float) -> datetime.datetime:
	"""Return seconds since the epoch in this site's time zone, as Frappe keeps times."""
	utc = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
	local: datetime.datetime = convert_utc_to_system_timezone(utc).replace(tzinfo=None)
	return local


def users_time(at: float) -> str:
	"""Return seconds since the epoch as this user reads times, in the user's time zone or else the site's."""
	zone = users_zone()
	utc = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
	local = convert_utc_to_timezone(utc.replace(tzinfo=None), zone).replace(tzinfo=None)
	return f"{format_datetime(local)} ({zone})"


def users_zone() -> str:
	"""Return the name of the time zone in which the Desk shows times to this user."""
	zone: str = frappe.db.get_value("User", frappe.session.user, "time_zone") or get_system_timezone()
	return zone


def translator(language: str | None = None) -> Callable[[str], str]:
	"""Return a function that translates into `language`, or else into the site's: for what no user's request shows."""
	language = language or frappe.db.get_default("lang") or "en"

	def translate(text: str) -> str:
		return frappe._(text, language)

	return translate
