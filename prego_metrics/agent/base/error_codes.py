"""The catalog of errors: a stable code and its English template for every condition that we foresee.

Monitoring matches on the code, and the Desk translates by it. Codes are stable; templates may be reworded, and
their translations with them. docs/error-codes.md says what each code means and what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping

from prego_metrics.agent.base.error_parts import PARTS

ERRORS: Mapping[str, str] = {
	# Settings.
	"setting_missing": "{setting} is not set: run `prego-metrics configure`, or set {variable}",
	"setting_missing_hardened": "{setting} is not set: in hardened mode only {variable} sets it",
	"setting_invalid": "{setting} = {value} ({source}) {allowed}",
	"setting_unknown": "{name} in {source} is not a setting: {hint}",
	"setting_unexpanded": "{setting} in {source} contains an unexpanded variable: write its value instead",
	"settings_vanished": (
		"{file} is missing, but existed at the last push. Restore it, or write an empty JSON "
		"object into it to use the defaults"
	),
	"settings_conflict": "{first} and {second} are both set: remove one",
	"settings_unreadable": "{file} {problem}",
	"settings_not_written": "{file} cannot be written: {reason}",
	"settings_invalid": "{problems}",
	# The key.
	"key_missing": (
		"there is no key: set api_key_file to a 0600 file outside sites/, or {variable} in "
		"the environment of the push"
	),
	"key_unreadable": "{source}: {problem}",
	"key_invalid": "the key from {source} {problem}: store it again",
	"key_misplaced": (
		"{name} in {source} is refused: the key does not belong there. Remove it, change the "
		"key in the control plane, and store the new one in api_key_file, a 0600 file "
		"outside sites/"
	),
	"key_out_of_reach": "Frappe cannot read the key here: {reason}",
	"key_with_timer_only": (
		"there is no key here, as intended in hardened mode (scheduler_pushes is false). To push "
		"now, start the timer's service on the node: sudo systemctl start prego-metrics"
	),
	"key_not_written": "the key was not written: {problem}",
	# The bench and its sites.
	"bench_not_found": (
		"no bench in {folder} or above it: change into the bench, or name it with --bench PATH"
	),
	"not_a_bench": (
		"{folder} is not a bench: it has no sites/ with apps.txt or common_site_config.json. "
		"Name the bench or its sites folder"
	),
	"bench_name_empty": "--bench is empty: give it a path, or leave it out",
	"working_directory_gone": (
		"the working directory no longer exists ({reason}): name the bench with --bench and an absolute path"
	),
	"bench_unreadable": "the bench {bench} cannot be read: {reason}",
	"bench_late": "the bench {bench} did not answer within {seconds} s: a file system hangs",
	"bench_untrusted": "the bench is not trusted: {path} (owner {owner}, mode {mode}) {problem}",
	"bench_pattern_empty": "benches: the pattern {pattern} matches no folder",
	"no_site": (
		"{folder} has no sites, which may be a lost mount, so nothing was counted. If the "
		"bench is really empty, set allow_empty to true"
	),
	"count_interrupted": (
		"{path} cannot be read ({reason}), because of this process or the file system. Nothing was counted"
	),
	"sites_lost": (
		"tenants at the last push, but empty or unreachable now, as after a lost mount: "
		"{paths}. Mount the volume, or remove a deleted site's entry from sites/"
	),
	"benches_lost": (
		"benches at the last push, but empty or unreachable now, as after a lost mount: "
		"{paths}. Mount the volume, or remove a deleted bench's folder or link"
	),
	"no_config_readable": (
		"none of the site_config.json files ({sites}) can be read, so nothing was counted. "
		"Check their owner and mode, and which user runs this"
	),
	"other_instance": (
		"this server is instance {found}, but its settings belong to {recorded}, which "
		"pushes as {node}. If this is a clone: `prego-metrics configure --node-id NODE`; if "
		"it replaces the original: `prego-metrics configure --instance-id {found}`"
	),
	"privileges": "root cannot switch to the owner of {folder} (uid {uid}): {reason}. {remedy}",
	# The push itself.
	"push_running": (
		"another push has been running for at least {age} s. Nothing was sent after waiting {waited} s"
	),
	"lock_stuck": (
		"{folder} has been locked since {since} by {holder}, longer than a push may take. "
		"Nothing is sent until that process ends"
	),
	"asked_to_wait": "the control plane asked to wait another {seconds}; this manual push was sent anyway",
	"push_killed": (
		"the push left no result: its process was killed (out of memory, time limit, signal, "
		"reboot) or could not record it"
	),
	"count_late": (
		"counting the sites and sampling the host took longer than {seconds} s: a file "
		"system hangs or is slow"
	),
	"key_late": "the key file did not answer within {seconds} s: its file system hangs",
	"no_threads": (
		"cannot start a thread: the limit of processes and threads is reached (ulimit -u, TasksMax, pids.max)"
	),
	"lock_failed": "{folder} cannot be locked: {reason}",
	"lock_unsupported": (
		"{folder} cannot be locked ({reason}), so two triggers could push at the same time. "
		"Mount it with flock support, or only use `prego-metrics push`"
	),
	"nothing_recorded": (
		"no push was recorded since {time}: the trigger fails before it can push. See its log"
	),
	"unexpected": "unexpected {error} while sending",
	# The control plane's answers.
	"key_refused": "the control plane refuses the key (HTTP {answer})",
	"edge_refused": (
		"a firewall or proxy in front of the control plane refuses this request (HTTP "
		"{answer}). The key was not checked"
	),
	"login_required": "{host} asks for a login in front of the control plane (HTTP {answer})",
	"proxy_refused": "a proxy on the way to the control plane asks for a password (HTTP {answer})",
	"node_unknown": (
		"the control plane does not know this node_id, or control_plane_url is wrong (HTTP {answer})"
	),
	"redirected": "control_plane_url redirects elsewhere, where the key is not sent (HTTP {answer})",
	"payload_refused": (
		"the control plane rejects this push: check control_plane_url and node_id (HTTP {answer})"
	),
	"rate_limited": "the control plane asks this node to push less often (HTTP {answer})",
	"server_error": "the control plane answers HTTP {answer}",
	"not_the_api": (
		"a web page answers instead of the control plane's API: check control_plane_url and "
		"what is in front of it (HTTP {answer})"
	),
	"reported_failure": "the control plane reports a failure (HTTP {answer})",
	"row_missing": "the control plane's answer does not contain this node: {answer}",
	"row_unchecked": "cannot check whether the control plane has the row: {reason}",
	"row_stale": "delivered {delivered} ago, but the control plane's row is {age} old",
	"row_differs": "the control plane's row has {field} = {found}, but the push sent {sent}",
	"other_node": "the control plane answers for another node (HTTP {answer})",
	# No answer.
	"proxy_failed": "the proxy {proxy} does not forward the request: {reason}",
	"no_connection": "no connection to {url}: {reason}",
	"name_unresolved": "the host name of {url} cannot be resolved: {reason}",
	"tls_failed": "TLS to {url} failed: {reason}",
	"no_answer": "no answer from {url} within {seconds} s",
	# The state folder. A push goes out all the same.
	"state_unreadable": "the state in {folder} cannot be read ({reason}), so earlier pushes are unknown",
	"state_invalid": "{file} {problem}: {fate}",
	"state_late": "{folder} did not answer within {seconds} s: its file system hangs",
	"state_not_writable": "{folder} cannot be written: {reason}",
	# Frappe, as the doctor finds it.
	"processes_old": "Frappe's scheduler started at {started}, before an app was added to the bench at {added}. It cannot import that app, so it runs no jobs",
	"run_unrecorded": "Frappe ran the job of {site} {age} ago, but this app recorded no run. The worker probably started before the app was added to the bench and cannot import it",
	"verdict_kept": "Frappe skips the jobs of {site} for another {time}, because nobody had logged in at its last check (dormant). A login does not end that",
	"execution_in_future": "the job of {site} is not due for {time}: its last execution is in the future ({at}), because the site's time zone was moved west",
	"tick_unproven": "scheduler_tick_interval is {seconds} s, but nothing shows that Frappe's scheduler runs that often: {reason}",
	"worker_unregistered": "the workers of the queue {queue} are running ({processes} on this machine) but not registered, because Redis was emptied. They still work, but Frappe and `bench doctor` do not list them",
	"job_abandoned": "a push started {seconds} ago is still marked as running, but its worker was killed. Frappe queues no new run until the mark is gone",
	# Beside a push.
	"heartbeat_invalid": "heartbeat_url_file: {problem}",
	"heartbeat_failed": "the heartbeat was not delivered: {reason}",
	"metrics_not_written": "the metrics file {file} was not written: {reason}",
	"alert_url_invalid": "alert_url_file: {problem}",
	"alerts_failed": "alerts were not delivered to alert_url: {reason}. The next run tries again",
	"channel_invalid": "'{channel}' is not a valid channel name: use 1 to 32 of a-z, 0-9 and -",
	# Apart from a push.
	"units_impossible": "{problem}",
	"usage_unreadable": "{problem}",
	"scan_running": "another usage scan is running",
	"export_invalid": "{export} {problem}",
	"hetzner_failed": "the Hetzner Cloud API answers {answer}",
	"hetzner_token_refused": "the Hetzner Cloud API refuses the token: {answer}",
	"hetzner_rate_limited": "the project's rate limit is used up (Hetzner Cloud API: {answer})",
	"hetzner_unreadable": "the Hetzner Cloud API answers GET {path} in an unexpected form",
	"hetzner_late": "{reason}; this run ends before the next request is allowed",
	"hetzner_no_server": "this token's project has no server (label selector: {selector})",
	"mapping_invalid": "the mapping {file} {problem}",
	"option_missing": "{option} is not given, and {variable} is not set",
	"option_invalid": "{option} {problem}",
	"check_failed": "this check has a fault: {fault}",
	"command_failed": "{problem}",
}

TEMPLATES: Mapping[str, str] = {**ERRORS, **PARTS}
