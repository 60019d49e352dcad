"""The templates that stand inside those of errors and warnings: reasons, hints and what a value must be."""

from __future__ import annotations

from collections.abc import Mapping

# They have codes of their own so that they can be translated; nobody matches on them.
PARTS: Mapping[str, str] = {
	"set_up": "this node was set up",
	"answers": "{url} answers {status_code}",
	"answer_says": "{status_code}, and the server says: {words}",
	"route_missing": "there is no route {route} here",
	"answer_leads_to": "{answer}, and leads to {place}",
	"hetzner_limit_near": "the project's rate limit is nearly used up",
	"answer_compressed": "[compressed: {coding}]",
	"answer_asks_to_wait": "{answer}; it asks to wait {seconds} s, longer than this push may last",
	"proxy_malformed": "its URL cannot be read: it must be http://USER:PASSWORD@HOST:PORT, what is special in it as %XX",
	"proxy_socks": "SOCKS proxies are not supported: give an HTTP proxy, or leave the control plane out by NO_PROXY",
	"certificate_untrusted": "the certificate is not to be trusted: {reason}",
	"withheld": "[withheld: it contains part of a secret]",
	"set_aside": "it was set aside as {name}, and a new one is begun",
	"not_set_aside": "it is ignored, and cannot be set aside ({reason})",
	"set_aside_later": "it is ignored, and the next push sets it aside",
	"lock_holder": "process {pid} ({command})",
	"lock_holder_unknown": "a process that cannot be seen from here, such as one in another container",
	# Settings.
	"environment": "the environment",
	"similar_setting": "did you mean {setting}?",
	"allowed_settings": "allowed are {settings}",
	"allowed_hardened": "must be 1 or 0",
	"allowed_node_id": (
		"must be a string equal to nodes.node_id in the control plane: 1 to 255 characters, no control characters, "
		"not . or .., and not blank"
	),
	"allowed_instance_id": (
		"must be the instance ID assigned by the hosting provider: 1 to 128 of A-Z a-z 0-9 . _ : -"
	),
	"allowed_base_url": (
		"must be the control plane's base URL: https:// (http:// only on localhost and loopback addresses), "
		"without {route}, user name, password, query, fragment, spaces, backslashes, and . or .. in its path"
	),
	"allowed_secret_url": (
		"must be an https:// URL (http:// only on localhost and loopback addresses) of printable ASCII, without "
		"user name, password, spaces and backslashes"
	),
	"allowed_number": "must be a number of {unit} from {low} to {high}",
	"allowed_number_or_zero": "must be a number of {unit} from {low} to {high}, or 0 to disable it",
	"unit_seconds": "seconds",
	"unit_hours": "hours",
	"unit_percent": "percent",
	"allowed_whole_number": "must be a whole number from {low} to {high}",
	"allowed_flag": "must be true or false",
	"allowed_memory_source": "must be host or cgroup",
	"allowed_alert_template": "must be json, slack, alertmanager or ntfy",
	"allowed_path": "must be an absolute path, outside sites/",
	"allowed_metrics_file": "must be an absolute path that ends in .prom: node_exporter reads no other file",
	"allowed_site": "must be the name of a site, which is the name of its folder in sites/",
	"allowed_paths": "must be a list of at least one absolute path, such as {example}",
	"allowed_benches": (
		"must be a list of at least one path or pattern, such as {example}; * ? [ ] match within one folder, and "
		"** is not supported"
	),
	"allowed_patterns": "must be a list of site names or patterns, such as {example}",
	# Why a bench is not believed.
	"trust_owner": "must belong to {allowed}, since whoever owns it decides where the key is sent",
	"trust_found": (
		"must belong to {allowed}, since nobody named the bench: it was found above the working directory. If it is "
		"meant, name it with --bench PATH"
	),
	"trust_unmapped": (
		"belongs to a user that this user namespace does not have, so that nobody here can tell who it is: map that "
		"user into the namespace, or run this outside of it"
	),
	"run_as_owner": "Run this as that user",
	"owner_unmapped": (
		"This user namespace does not have that user: map it into the namespace, or run this outside of it"
	),
	"trust_others": "can be written by everybody: {remedy}",
	"trust_group": (
		"can be written by the group {group}, which is not the own group of any of {allowed}: {remedy}"
	),
	"remedy_chmod": "chmod {change} {path}",
	"remedy_mount": "it is mounted read-only here, so set its mode where it is writable",
	# Why a site counts as a tenant, or does not.
	"tenant": "tenant",
	"tenant_in_maintenance": "tenant, in maintenance mode",
	"tenant_paused": "tenant, scheduler paused",
	"tenant_unreadable": "counted, though its site_config.json {problem}: it occupies the node",
	"tenant_unclear": 'counted: "prego_tenant" is {value}, and only 0 or false leaves a site out',
	"excluded_by_pattern": "excluded by exclude_sites: {pattern}",
	"excluded_by_site": '"prego_tenant" is false in its site_config.json',
	# Why a site's database could not be asked.
	"database_type_unsupported": "db_type {kind} is not supported: only mariadb and postgres",
	"database_setting_missing": "its site_config.json has no {key}",
	"database_port_invalid": "db_port {port} is no number",
	"database_library_missing": (
		"{library} is not installed: install {package} beside prego_metrics, in a bench by env/bin/pip install "
		"{package}"
	),
	"database_late": "no answer within {seconds} s",
	"database_failed": "it could not be asked ({error})",
	# The key.
	"key_empty": "is empty",
	"key_unexpanded": "is a variable in braces that was never expanded",
	"key_unprintable": "holds a character that is not printable ASCII (a space, a line end, an accented letter)",
	# Files.
	"folder_replaced": "it was replaced by another folder while it was read",
	"file_problem": "{file} {problem}",
	"file_unreadable": "cannot be read ({reason})",
	"file_unreadable_by": "cannot be read by {user} ({reason})",
	"file_unwritable": "cannot be written ({reason})",
	"file_name_impossible": "no file can have this name",
	"file_irregular": "is not a regular file",
	"file_too_large": "is larger than {bytes} bytes",
	"file_dangling": "is a link that leads nowhere",
	"file_not_json": "is not valid JSON (line {line}, column {column})",
	"file_not_parsable": "cannot be parsed",
	"file_no_object": "does not hold a JSON object",
	"name_repeated": "holds {name} twice, and only the last one would count: keep one of them",
	"section_no_object": "holds {key}, which is not a JSON object",
	"secret_exposed": (
		"{file} has mode {mode} and owner {owner}: it must be 0600 or 0400 of {user} (uid {uid}), or of root with "
		"0640 or 0440 for a group of that user. {remedy}"
	),
	"remedy_mode": "Run: chmod 600 {file}",
	"remedy_owner": "Run as root: chown {uid} {file} && chmod 600 {file}",
	"remedy_read_only": (
		"It lies on a read-only volume: give it owner and mode where the volume is made (Kubernetes: fsGroup, and 0440 "
		"as defaultMode; Docker: a secret under /run/secrets)"
	),
	"remedy_unmapped": "This user namespace does not have its owner: set owner and mode outside of it",
	"key_file_absent": (
		"is not there, and every run of the timer would fail. Write the key first: sudo install -D -m 640 -o root "
		"-g {group} /dev/stdin {file}"
	),
	"key_file_open": "can be read by everybody (mode {mode}): chmod o-rwx {file}",
	"secret_in_sites": "lies under {folder}: move it outside sites/",
}
