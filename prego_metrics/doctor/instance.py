"""Whether another server may push as the same node: one that was cloned from this one, or this one itself."""

from __future__ import annotations

from prego_metrics.agent.base.messages import message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.collectors.instance import (
	ask_metadata,
	differing,
	instance_on_disk,
	is_at_hetzner,
	remedy,
)
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check, Examination


def instance(seen: Examination) -> Check:
	"""This server is the one that the settings were made for."""
	recorded = seen.config.instance_id
	on_disk = instance_on_disk()
	found = on_disk
	if seen.online and is_at_hetzner():
		found = ask_metadata("instance-id").get("instance-id") or on_disk
	if not recorded:
		if found is None:
			return Check("instance", SKIP, message("this server has no instance id to be known by"))
		return Check(
			"instance",
			WARN,
			message(
				"instance_id is not set: a clone of this server would push as {node} too",
				node=sanitize(seen.config.node_id),
			),
			message("record it: `prego-metrics configure --instance-id {found}`", found=sanitize(found, 80)),
		)
	if found is None:
		return Check(
			"instance", SKIP, message("instance_id is set, and nothing here says which server this is")
		)
	if found != recorded:
		return Check("instance", FAIL, differing(seen.config, found), remedy(found))
	return Check(
		"instance",
		PASS,
		message("this is {instance}, for which the settings were made", instance=sanitize(found, 80)),
	)
