"""The tenants' usage as a table for 80 columns, and as CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict

from rich.text import Text

from prego_metrics.agent.base.formatting import sites_word, size_text, tenants_word
from prego_metrics.agent.base.sanitize import spreadsheet_cell
from prego_metrics.cli.ui.console import console
from prego_metrics.cli.ui.long_table import print_long_table
from prego_metrics.tenants.inventory.tenant import Tenant, total_of, warnings_of

_DAY_SECONDS = 86400.0
_CSV_COLUMNS = (
	"site,bench,counted,reason,public_files_bytes,private_files_bytes,backups,backups_bytes,"
	"backup_age_seconds,data_bytes,index_bytes,enabled_users,last_login_at,failed_jobs_day,stuck_mails,"
	"quota_bytes,quota_used_bytes,quota_used_pct,warnings"
).split(",")


def _age_text(seconds: float | None) -> str:
	if seconds is None:
		return "none"
	return f"{seconds / 3600:.0f} h" if seconds < 2 * _DAY_SECONDS else f"{seconds / _DAY_SECONDS:.0f} d"


def _quota_text(tenant: Tenant) -> str:
	used, share = tenant.quota_used, tenant.quota_share
	if used is None or share is None:
		return "?" if tenant.quota.bytes else "-"
	return f"{'≥' if used.lower_bound else ''}{100 * share:.0f} %"


def _site_totals(tenants: Sequence[Tenant]) -> str:
	counted = sum(tenant.site.counted for tenant in tenants)
	return f"{tenants_word(counted)} of {sites_word(len(tenants))}"


def print_tenants(
	tenants: Sequence[Tenant], top: int | None, *, sizes: bool, database: bool, now: float
) -> None:
	"""Print the first `top` tenants, the totals of all, and the warnings below."""
	listed = tenants[:top]
	# One name may stand on two benches.
	several = len({tenant.site.bench for tenant in tenants}) > 1
	columns = [("Site", _site_totals(tenants)), ("Tenant", "")]
	if sizes:
		columns += [("Files", size_text(total_of(tenants, "files_bytes")))]
		columns += [("Backups", size_text(total_of(tenants, "backups_bytes"))), ("Newest", "")]
	if database:
		columns += [("Database", size_text(total_of(tenants, "database_bytes"))), ("Users", "")]
	quotas = any(tenant.quota.bytes for tenant in tenants)
	if quotas:
		columns.append(("Quota", ""))
	rows = []
	for tenant in listed:
		mark = " !" if warnings_of(tenant, now) else ""
		name = f"{tenant.site.name} ({tenant.site.bench})" if several else tenant.site.name
		cells = [name + mark, "yes" if tenant.site.counted else "no"]
		if sizes:
			cells += [size_text(tenant.files_bytes), size_text(tenant.backups_bytes)]
			cells.append(_age_text(tenant.backup_age(now)))
		if database:
			users = tenant.database.enabled_users if tenant.database else None
			cells += [size_text(tenant.database_bytes), "?" if users is None else str(users)]
		if quotas:
			cells.append(_quota_text(tenant))
		rows.append(cells)
	headings, footer = zip(*columns, strict=True)
	screen = console()
	print_long_table(
		screen,
		headings,
		rows,
		right=headings[2:],
		row_styles=["" if tenant.site.counted else "dim" for tenant in listed],
		footer=footer,
	)
	if len(listed) < len(tenants):
		screen.print(Text(f"{len(listed)} of {len(tenants)} sites are shown; the totals are of all."))
	warned: dict[str, list[str]] = {}
	for tenant in listed:
		for warning in warnings_of(tenant, now):
			warned.setdefault(warning, []).append(tenant.site.name)
	for warning, names in warned.items():
		screen.print(Text(f"! {', '.join(names)}: {warning}"))


def tenants_as_csv(tenants: Sequence[Tenant], now: float) -> str:
	"""Return the tenants as CSV with a heading; an empty cell is what is not known."""
	written = io.StringIO()
	rows = csv.DictWriter(written, _CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
	rows.writeheader()
	for tenant in tenants:
		age, used, share = tenant.backup_age(now), tenant.quota_used, tenant.quota_share
		rows.writerow(
			{
				**(asdict(tenant.disk) if tenant.disk else {}),
				**(asdict(tenant.database) if tenant.database else {}),
				"site": spreadsheet_cell(tenant.site.name),
				"bench": spreadsheet_cell(tenant.site.bench),
				"counted": "yes" if tenant.site.counted else "no",
				"reason": spreadsheet_cell(tenant.site.reason),
				"backups": tenant.disk and tenant.disk.backups.count,
				"backups_bytes": tenant.backups_bytes,
				"backup_age_seconds": None if age is None else round(age),
				"quota_bytes": tenant.quota.bytes,
				"quota_used_bytes": used and used.bytes,
				"quota_used_pct": None if share is None else f"{100 * share:.1f}",
				"warnings": spreadsheet_cell("; ".join(warnings_of(tenant, now))),
			}
		)
	return written.getvalue()
