"""The templates that stand inside those of errors and warnings: reasons, hints and what a value must be."""

from __future__ import annotations

from collections.abc import Mapping

# They have codes of their own so that they can be translated; nobody matches on them.
PARTS: Mapping[str, str] = {
	"set_up": "this node was set up",
	"answers": "{url} answers {status_code}",
	"answer_says": "{status_code}: {words}",
	"route_missing": "the control plane has no {route}",
	"answer_leads_to": "{answer}, redirects to {place}",
	"hetzner_limit_near": "the project's rate limit is nearly used up",
	"answer_compressed": "[compressed: {coding}]",
	"answer_asks_to_wait": "{answer}; it asks to wait {seconds} s, longer than this push may take",
	"proxy_malformed": (
		"its URL is malformed: use http://USER:PASSWORD@HOST:PORT, with special characters as %XX"
	),
	"proxy_socks": (
		"SOCKS proxies are not supported: use an HTTP proxy, or exclude the control plane with NO_PROXY"
	),
	"certificate_untrusted": "the certificate is not trusted: {reason}",
	"withheld": "[withheld: it contains part of a secret]",
	"set_aside": "moved to {name}, starting fresh",
	"not_set_aside": "ignored, and cannot be moved aside ({reason})",
	"set_aside_later": "ignored, and the next push moves it aside",
	"lock_holder": "process {pid} ({command})",
	"lock_holder_unknown": "a process that is not visible here, for example in another container",
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
	"allowed_site": "must be the name of a site's folder in sites/",
	"allowed_paths": "must be a list of at least one absolute path, such as {example}",
	"allowed_benches": (
		"must be a list of at least one path or pattern, such as {example}; * ? [ ] match within one folder, and "
		"** is not supported"
	),
	"allowed_patterns": "must be a list of site names or patterns, such as {example}",
	# Why a bench is not believed.
	"trust_owner": "must belong to {allowed}, because its owner decides where the key is sent",
	"trust_found": (
		"must belong to {allowed}, because the bench was only found above the working "
		"directory. If it is the right one, name it with --bench PATH"
	),
	"trust_unmapped": (
		"belongs to a user outside this user namespace. Map that user into the namespace, or "
		"run this outside it"
	),
	"run_as_owner": "Run this as that user",
	"owner_unmapped": "That user is not in this user namespace: map it, or run this outside the namespace",
	"trust_others": "is writable by everybody: {remedy}",
	"trust_group": (
		"is writable by the group {group}, which is not the primary group of {allowed}: {remedy}"
	),
	"remedy_chmod": "chmod {change} {path}",
	"remedy_mount": "it is mounted read-only here, so change its mode where it is writable",
	# Why a site counts as a tenant, or does not.
	"tenant": "tenant",
	"tenant_in_maintenance": "tenant, in maintenance mode",
	"tenant_paused": "tenant, scheduler paused",
	"tenant_unreadable": "counted although its site_config.json {problem}, because it occupies the node",
	"tenant_unclear": 'counted: "prego_tenant" is {value}, and only 0 or false excludes a site',
	"excluded_by_pattern": "excluded by exclude_sites: {pattern}",
	"excluded_by_site": '"prego_tenant" is false in its site_config.json',
	# Why a site's database could not be asked.
	"database_type_unsupported": "db_type {kind} is not supported: only mariadb and postgres",
	"database_setting_missing": "its site_config.json has no {key}",
	"database_port_invalid": "db_port {port} is not a number",
	"database_library_missing": (
		"{library} is not installed: run pip install {package} where prego_metrics is "
		"installed (in a bench: env/bin/pip)"
	),
	"database_late": "no answer within {seconds} s",
	"database_failed": "the query failed ({error})",
	# The key.
	"key_empty": "is empty",
	"key_unexpanded": "is an unexpanded variable",
	"key_unprintable": (
		"contains a character that is not printable ASCII (a space, line break or accented letter)"
	),
	# Files.
	"folder_replaced": "it was replaced by another folder while being read",
	"file_problem": "{file} {problem}",
	"file_unreadable": "cannot be read ({reason})",
	"file_unreadable_by": "cannot be read by {user} ({reason})",
	"file_unwritable": "cannot be written ({reason})",
	"file_name_impossible": "not a valid file name",
	"file_irregular": "is not a regular file",
	"file_too_large": "is larger than {bytes} bytes",
	"file_dangling": "is a broken link",
	"file_not_json": "is not valid JSON (line {line}, column {column})",
	"file_not_parsable": "cannot be parsed",
	"file_no_object": "does not contain a JSON object",
	"name_repeated": "contains {name} twice, of which only the last one counts: remove one",
	"section_no_object": "contains {key}, which is not a JSON object",
	"secret_exposed": (
		"{file} has mode {mode} and owner {owner}, but must be 0600 or 0400 of {user} (uid "
		"{uid}), or of root with 0640 or 0440 for that user's group. {remedy}"
	),
	"remedy_mode": "Run: chmod 600 {file}",
	"remedy_owner": "Run as root: chown {uid} {file} && chmod 600 {file}",
	"remedy_read_only": (
		"It is on a read-only volume: set owner and mode where the volume is defined "
		"(Kubernetes: fsGroup and defaultMode 0440; Docker: a secret under /run/secrets)"
	),
	"remedy_unmapped": "Its owner is not in this user namespace: set owner and mode outside the namespace",
	"key_file_absent": (
		"does not exist, so every run of the timer would fail. Name the key's file with "
		"--key-file, or store the key: sudo install -D -m 640 -o root -g {group} /dev/stdin {file}"
	),
	"key_file_open": "is readable by everybody (mode {mode}): chmod o-rwx {file}",
	"secret_in_sites": "is inside {folder}: move it outside sites/",
}
