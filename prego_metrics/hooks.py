"""What Frappe reads of this app. Every public name here is a hook: literals only."""

app_name = "prego_metrics"
app_title = "Prego Metrics"
app_publisher = "prego_metrics contributors"
app_description = "Counts the bench's tenants and pushes them, with the host's load, to the control plane"
app_license = "MIT"

# Due at every tick of the scheduler, whatever its length: the sixth field is seconds. The interval that the
# operator configured is applied inside, from the file. A plain "* * * * *" would lose ticks: Frappe writes
# last_execution when the job ends, and one that ends in the next minute is not due at the next tick.
#
# The scan asks every hour whether the night's is due or has to be continued, on the queue of long jobs.
scheduler_events = {
	"cron": {"* * * * * */10": ["prego_metrics.prego_push.push_if_due"]},
	"hourly_long": ["prego_metrics.desk.scan_job.scan_if_due"],
}

add_to_apps_screen = [
	{
		"name": "prego_metrics",
		"logo": "/assets/prego_metrics/images/logo.svg",
		"title": "Prego Metrics",
		"route": "/app/prego-metrics",
		"has_permission": "prego_metrics.desk.operator_site.may_open_app",
	}
]

# The Desk of 16-dev needs to know the app on every site; see there.
extend_bootinfo = "prego_metrics.desk.adapters.compat.extend_bootinfo"

# Days for which Frappe's Log Settings keep the log of pushes, unless the operator says otherwise there.
default_log_clearing_doctypes = {"Prego Metrics Push": 30}

# The time zone may move west, also in the setup wizard after the first push: the job would not be due for hours.
doc_events = {"System Settings": {"on_update": "prego_metrics.desk.lifecycle.install.correct_job_rows"}}

before_install = "prego_metrics.desk.lifecycle.install.before_install"
after_install = "prego_metrics.desk.lifecycle.install.after_install"
after_sync = "prego_metrics.desk.lifecycle.install.prepare_site"
after_migrate = "prego_metrics.desk.lifecycle.install.prepare_site"
before_uninstall = "prego_metrics.desk.lifecycle.uninstall.before_uninstall"
after_uninstall = "prego_metrics.desk.lifecycle.uninstall.after_uninstall"
