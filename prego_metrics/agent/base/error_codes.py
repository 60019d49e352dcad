"""The catalog of errors: a stable code and its English template for every condition that we foresee.

Monitoring matches on the code, and the Desk translates by it. Codes are stable; templates may be reworded, and
their translations with them. docs/error-codes.md says what each code means and what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping

from prego_metrics.agent.base.error_parts import PARTS

ERRORS: Mapping[str, str] = {
	# Settings.
	"setting_missing": "{setting} is not set: give it by `prego-metrics configure`, or by {variable}",
	"setting_missing_hardened": ("{setting} is not set: in the hardened mode it comes from {variable} alone"),
	"setting_invalid": "{setting} = {value} ({source}) {allowed}",
	"setting_unknown": "{name} in {source} is not a setting: {hint}",
	"setting_unexpanded": (
		"{setting} in {source} holds a variable in braces that was never expanded: write the variable's value there"
	),
	"settings_vanished": (
		"{file} is gone, and was there at the last push: its settings would fall back to defaults, and the count with "
		"them. Restore it; if no settings are meant to be there, write an empty JSON object into it"
	),
	"settings_conflict": "{first} and {second} are both set: keep one of them",
	"settings_unreadable": "{file} {problem}",
	"settings_not_written": "{file} cannot be written: {reason}",
	"settings_invalid": "{problems}",
	# The key.
	"key_missing": (
		"there is no key: set {variable} in the environment of the push, or api_key_file to a 0600 file outside "
		"sites/"
	),
	"key_unreadable": "{source}: {problem}",
	"key_invalid": "the key from {source} {problem}: write it again",
	"key_misplaced": (
		"{name} in {source} is refused: the key does not belong there. Remove it, change the key in the control "
		"plane, and give the new one by INTERNAL_API_KEY in the environment or by api_key_file, a 0600 file "
		"outside sites/"
	),
	"key_out_of_reach": "The key is not in reach of Frappe here: {reason}",
	"key_with_timer_only": (
		"The key is not in reach of Frappe here, as the hardened mode wants it (scheduler_pushes is false): the "
		"timer pushes, under its own user. To push now, start its service on the node"
	),
	"key_not_written": "the key was not written: {problem}",
	# The bench and its sites.
	"bench_not_found": (
		"neither {folder} nor a folder above it is a bench: go into the bench, or name it with --bench PATH"
	),
	"not_a_bench": (
		"{folder} is not a bench: neither {folder}/sites nor the folder itself holds apps.txt or "
		"common_site_config.json. Name the bench, or its sites folder"
	),
	"bench_name_empty": "the name of the bench is empty: give --bench a path, or leave it out",
	"working_directory_gone": (
		"the working directory no longer exists ({reason}): name the bench with --bench and an absolute path"
	),
	"bench_unreadable": "the bench {bench} cannot be read: {reason}",
	"bench_late": "the bench {bench} did not answer within {seconds} s: its file system, or one on the way to it, hangs",
	"bench_untrusted": "the bench is not used: {path} (owner {owner}, mode {mode}) {problem}",
	"bench_pattern_empty": "benches: the pattern {pattern} matches no folder",
	"no_site": (
		"{folder} holds no site at all, which is a doubt and not a 0 (a lost mount looks like that): nothing is "
		"counted. If the bench is really empty, set allow_empty to true"
	),
	"count_interrupted": (
		"{path} cannot be read: {reason}. That is an error of this process or of the file system, and says nothing "
		"about the sites: nothing is counted"
	),
	"sites_lost": (
		"tenants at the last push, and no sites now, though their entries are still there (a lost mount looks like "
		"that): {paths}. Nothing is counted. Mount their volume; if a site is gone for good, remove its entry, or name it "
		"in exclude_sites"
	),
	"benches_lost": (
		"a bench at the last push, and an empty mount point or a link that leads nowhere now: {paths}. Nothing is counted. "
		"Mount the volume; if its bench is gone for good, remove the folder or link, or name the other benches one by one "
		"in benches"
	),
	"no_config_readable": (
		"not one of the {sites} site_config.json can be read, which is a doubt and not a count: nothing is "
		"counted. Look at their owner and mode, and at who runs this"
	),
	"other_instance": (
		"this server is the instance {found}, and its settings were made for {recorded}, which pushes as {node}: a "
		"clone must not push as its original. Give it its own node: `prego-metrics configure --node-id NODE`; or, "
		"if it replaces the original: `prego-metrics configure --instance-id {found}`"
	),
	"privileges": "root cannot become the owner of {folder} (uid {uid}): {reason}. {remedy}",
	# The push itself.
	"push_running": "another push has been running for at least {age} s; waited {waited} s for it. Nothing was sent",
	"lock_stuck": (
		"{folder} has been locked since {since}, longer than a push may last, by {holder}: nothing is sent until that "
		"process ends"
	),
	"asked_to_wait": (
		"the control plane asks to wait for another {seconds} s with the next push; a manual one is sent all the same"
	),
	"push_killed": (
		"the push left no result: its process was killed (out of memory, a time limit, a signal, a reboot), or could "
		"not record it"
	),
	"count_late": "the sites and the host were not counted within {seconds} s: a file system that holds sites hangs or is slow",
	"key_late": "the key's file did not answer within {seconds} s: its file system hangs",
	"no_threads": (
		"no thread can be started: a limit of processes and threads is reached (ulimit -u, TasksMax, pids.max)"
	),
	"lock_failed": "{folder} cannot be locked: {reason}",
	"lock_unsupported": (
		"{folder} cannot be locked ({reason}): its file system has no flock, so two triggers could push at once. "
		"Mount it with locking, or push with `prego-metrics push` alone"
	),
	"nothing_recorded": (
		"no push was recorded since {time}: what should push does not get that far. Look at its log"
	),
	"unexpected": "unexpected {error} while sending",
	# The control plane's answers.
	"key_refused": "the control plane refuses the key: it answers {answer}",
	"edge_refused": (
		"what stands before the control plane refuses this request, which says nothing of the key: it answers {answer}"
	),
	"login_required": "a login at {host} stands before the control plane: it answers {answer}",
	"proxy_refused": "a proxy on the way to the control plane asks for a password: it answers {answer}",
	"node_unknown": (
		"the control plane does not know this node_id, or control_plane_url is wrong: it answers {answer}"
	),
	"redirected": (
		"control_plane_url leads to a redirect, which is not followed since the key must not travel: it answers "
		"{answer}"
	),
	"payload_refused": (
		"the control plane refuses this push (control_plane_url, node_id or the payload): it answers {answer}"
	),
	"rate_limited": "the control plane asks to push less often: it answers {answer}",
	"server_error": "the control plane answers {answer}",
	"not_the_api": (
		"a web page answers, and not the control plane's API (control_plane_url, or what stands before it): {answer}"
	),
	"reported_failure": "the control plane says that it failed: it answers {answer}",
	"row_missing": "the control plane's answer for this node does not name it: {answer}",
	"row_unchecked": "whether the control plane has the row cannot be checked: {reason}",
	"row_stale": "delivered {delivered} ago, but the control plane's row is {age} old",
	"row_differs": "the control plane's row has {field} {found}, and the push sent {sent}",
	"other_node": "the control plane answers for another node: it answers {answer}",
	# No answer.
	"proxy_failed": "the proxy {proxy} does not let the request through: {reason}",
	"no_connection": "no connection to {url}: {reason}",
	"name_unresolved": "the host name of {url} cannot be resolved: {reason}",
	"tls_failed": "TLS to {url} failed: {reason}",
	"no_answer": "no answer from {url} within {seconds} s",
	# The state folder. A push goes out all the same.
	"state_unreadable": "the state in {folder} cannot be read ({reason}): what happened before is not known",
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
	"channel_invalid": "'{channel}' cannot name a channel: it must be 1 to 32 of a-z, 0-9 and -",
	# Apart from a push.
	"units_impossible": "{problem}",
	"usage_unreadable": "{problem}",
	"scan_running": "another process is scanning the tenants",
	"export_invalid": "{export} {problem}",
	"hetzner_failed": "the Hetzner Cloud API answers {answer}",
	"hetzner_token_refused": "the token is refused: the Hetzner Cloud API answers {answer}",
	"hetzner_rate_limited": "the project's rate limit is used up: the Hetzner Cloud API answers {answer}",
	"hetzner_unreadable": "the answer to GET {path} is not as the Hetzner Cloud API describes it",
	"hetzner_late": "{reason}; this run ends before the next request is allowed",
	"hetzner_no_server": "the project of this token holds no server (label selector: {selector})",
	"mapping_invalid": "the mapping {file} {problem}",
	"option_missing": "{option} is not given, and {variable} is not set",
	"option_invalid": "{option} {problem}",
	"command_failed": "{problem}",
}

TEMPLATES: Mapping[str, str] = {**ERRORS, **PARTS}
