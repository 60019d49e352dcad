"""Which server this is, so that one cloned from a snapshot does not push as its original.

`configure` records the instance ID that the hosting provider gave the server. A clone starts with the
original's disk, settings and key included; only its instance ID differs. cloud-init writes that ID to disk at
each boot, long before anything of a bench runs, so a push compares the two by reading one small file. Where
the disk does not say (no cloud-init, a container), the doctor asks Hetzner's metadata service, and the push
goes out.
"""

from __future__ import annotations

from collections.abc import Mapping

from prego_metrics.agent.base.errors import OtherInstance
from prego_metrics.agent.base.files import UnfitFile, read_limited
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.config import Config

# The one in /run is of this boot for certain; the other stays where cloud-init is turned off later.
INSTANCE_FILES = ("/run/cloud-init/.instance-id", "/var/lib/cloud/data/instance-id")
# What cloud-init writes where it reached no metadata at boot: that names no server, and stops no healthy one.
_NO_INSTANCE = "iid-datasource-none"
VENDOR_FILE = "/sys/class/dmi/id/sys_vendor"
HETZNER = "Hetzner"
METADATA_URL = "http://169.254.169.254"
METADATA_ROUTE = "/hetzner/v1/metadata/"
METADATA_SECONDS = 2.0
_MAX_BYTES = 256


def instance_on_disk() -> str | None:
	"""Return this server's instance id as cloud-init wrote it, or None if it did not."""
	for path in INSTANCE_FILES:
		instance_id = _content(path)
		if instance_id and instance_id != _NO_INSTANCE:
			return instance_id
	return None


def is_at_hetzner() -> bool:
	"""Tell whether this machine's firmware says that it is one of Hetzner's: nobody else's is asked."""
	return _content(VENDOR_FILE) == HETZNER


def ask_metadata(*names: str) -> Mapping[str, str]:
	"""Return what Hetzner's metadata service knows of this server under `names`; without an answer, nothing.

	The whole of it takes at most METADATA_SECONDS.
	"""
	from prego_metrics.agent.http.client import Answer, Client
	from prego_metrics.agent.http.deadline import within_deadline

	client = Client(METADATA_URL)

	def ask() -> dict[str, str]:
		values = {}
		for name in names:
			answer = client.request("GET", METADATA_ROUTE + name, METADATA_SECONDS)
			if not isinstance(answer, Answer):
				break
			value = answer.body.strip()
			if answer.status_code == 200 and 0 < len(value) <= _MAX_BYTES and "\n" not in value:
				values[name] = value
		return values

	metadata = within_deadline(ask, client.abandon, METADATA_SECONDS)
	return metadata if isinstance(metadata, dict) else {}


def check_instance(config: Config) -> None:
	"""Raise OtherInstance if the disk says that this is not the server that the settings were made for."""
	if not config.instance_id:
		return
	instance_id = instance_on_disk()
	if instance_id is not None and instance_id != config.instance_id:
		raise OtherInstance(other_instance(config, instance_id))


def other_instance(config: Config, instance_id: str) -> Message:
	"""Say that this server is not the one that the settings were made for, and what to do in either case."""
	return coded(
		"other_instance",
		found=sanitize(instance_id, 80),
		recorded=sanitize(config.instance_id or "", 80),
		node=sanitize(config.node_id),
	)


def _content(path: str) -> str | None:
	try:
		return read_limited(path, _MAX_BYTES).decode("utf-8", "replace").strip() or None
	except (OSError, UnfitFile):
		return None
