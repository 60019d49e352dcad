"""The table of settings: name, type, kind, default and meaning of each. Add a setting here and nowhere else."""

from __future__ import annotations

from prego_metrics.agent.config.kinds import (
	AbsolutePaths,
	AlertTemplate,
	BaseUrl,
	BenchPaths,
	Flag,
	Gigabytes,
	Hours,
	InstanceId,
	Kind,
	MemorySource,
	MetricsFile,
	NodeId,
	Percent,
	Seconds,
	SecretFile,
	SecretUrl,
	SiteName,
	SitePatterns,
	WholeNumber,
)
from prego_metrics.agent.light_typing import Any, TypeVar

T = TypeVar("T")

DAY_SECONDS = 86400
# A site's own `prego_quota_gb` is of this kind too.
QUOTA = Gigabytes(0.001, 100_000, or_zero=True)


class Setting:
	"""One row of the table. `help` is what `configure --help` says of it; a required one has an empty default."""

	name: str

	def __init__(self, kind: Kind[object], default: object, help: str, required: bool) -> None:
		self.kind = kind
		self.default = default
		self.help = help
		self.required = required

	def __set_name__(self, owner: type, name: str) -> None:
		self.name = name

	@property
	def variable(self) -> str:
		"""The environment variable that overrides it."""
		return "PREGO_METRICS_" + self.name.upper()


def _setting(kind: Kind[T], default: T, help: str, *, required: bool = False) -> T:
	"""Declare a setting, as the type that its values have."""
	row: Any = Setting(kind, default, help, required)
	return row  # type: ignore[no-any-return]


class Settings:
	"""A value for each setting; the class itself has the table's rows in their place."""

	node_id: str = _setting(NodeId(), "", "this node's ID, equal to nodes.node_id", required=True)
	control_plane_url: str = _setting(BaseUrl(), "", "base URL of the control plane", required=True)
	instance_id: str | None = _setting(
		InstanceId(),
		None,
		"instance ID of the server that these settings are for: a clone of it does not push",
	)
	api_key_file: str | None = _setting(SecretFile(), None, "file that holds the bearer key, outside sites/")
	push_interval: float = _setting(Seconds(5, DAY_SECONDS), 60.0, "seconds between pushes")
	spread: float = _setting(
		Seconds(0, 60),
		55.0,
		"fixed delay per node, 0 to this many seconds, so that nodes do not all push together; at most push_interval",
	)
	snapshot_interval: float = _setting(
		Seconds(5, DAY_SECONDS, or_zero=True), 3600.0, "seconds between snapshots; 0: none"
	)
	disk_paths: tuple[str, ...] = _setting(
		AbsolutePaths(), (), "disk usage is that of the fullest file system of these (default: sites/ and /)"
	)
	memory_source: str = _setting(
		MemorySource(),
		"host",
		"memory usage is that of the host, or of the memory cgroup of the process that pushes",
	)
	benches: tuple[str, ...] = _setting(
		BenchPaths(), (), "benches of this node, paths or patterns (default: this bench)"
	)
	site: str | None = _setting(SiteName(), None, "the operator site, where the node is shown")
	exclude_sites: tuple[str, ...] = _setting(
		SitePatterns(), (), "sites that are not tenants, names or shell patterns"
	)
	allow_empty: bool = _setting(Flag(), False, "send 0 for a bench without any site, instead of an error")
	scheduler_pushes: bool = _setting(Flag(), True, "Frappe's scheduler pushes; with false it only reports")
	timeout: float = _setting(Seconds(0.1, 120), 10.0, "seconds for one HTTP attempt, everything included")
	alert_after: int = _setting(WholeNumber(1, 1000), 3, "consecutive failed pushes before an alert")
	disk_alert_pct: float = _setting(
		Percent(1, 100, or_zero=True), 90.0, "usage of the fullest disk from which an alert is sent; 0: none"
	)
	alert_repeat: float = _setting(
		Hours(1, 720, or_zero=True), 24.0, "hours between reminders of an alert while it lasts; 0: none"
	)
	scan_tenants: bool = _setting(Flag(), True, "Frappe scans the tenants' usage every night")
	tenant_series: int = _setting(
		WholeNumber(0, 1_000_000),
		1000,
		"tenants with OpenMetrics series of their own, the largest first; 0: none",
	)
	metrics_textfile: str | None = _setting(
		MetricsFile(), None, "file for node_exporter's textfile collector, written after each push"
	)
	tenant_quota_gb: float = _setting(
		QUOTA, 0.0, "default quota per tenant (files and database), above which it gets a warning; 0: none"
	)
	heartbeat_url: str | None = _setting(
		SecretUrl(), None, "requested after each delivered push; a secret, better in heartbeat_url_file"
	)
	heartbeat_url_file: str | None = _setting(SecretFile(), None, "file that holds the heartbeat URL")
	alert_url: str | None = _setting(
		SecretUrl(), None, "gets each alert by HTTP POST; a secret, better in alert_url_file"
	)
	alert_url_file: str | None = _setting(SecretFile(), None, "file that holds the alert URL")
	alert_template: str = _setting(AlertTemplate(), "json", "form in which alert_url gets them")


SETTINGS = tuple(row for row in vars(Settings).values() if isinstance(row, Setting))
SETTING_BY_NAME = {setting.name: setting for setting in SETTINGS}
