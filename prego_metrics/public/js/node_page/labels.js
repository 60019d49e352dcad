// Text and HTML fragments of the page "Prego Node": times in the user's time zone, numbers, and names of states.
frappe.provide("prego_metrics.node_page");

prego_metrics.node_page.labels = {
	// Escapes everything that came from the node, such as site names and a server's messages.
	html(value) {
		return frappe.utils.escape_html(value === null || value === undefined ? "" : String(value));
	},

	// Escapes a sentence of the node, with its times in the user's zone and what stands in backticks as code.
	sentence(text) {
		return this.html(this.local_times(text)).replace(/(`|&#x60;|&#96;)(.+?)\1/g, "<code>$2</code>");
	},

	// The node's sentences hold times as ISO 8601 in UTC.
	local_times(text) {
		return String(text).replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, (at) => this.time(at));
	},

	// The zone in which Frappe shows times to this user.
	zone() {
		const zone = frappe.boot.time_zone || {};
		return zone.user || zone.system || "UTC";
	},

	// `at` is ISO 8601 in UTC or seconds since the epoch.
	moment(at) {
		return moment.utc(typeof at === "number" ? at * 1000 : at).tz(this.zone());
	},

	time(at) {
		if (!at) {
			return __("never");
		}
		const date_format = frappe.datetime.get_user_date_fmt().toUpperCase();
		return this.moment(at).format(`${date_format} ${frappe.datetime.get_user_time_fmt()}`);
	},

	clock(at) {
		return this.moment(at).format("HH:mm");
	},

	day(at) {
		return this.moment(at).format("MM-DD");
	},

	// From when to when a bucket of a chart goes.
	span(at, seconds, with_day) {
		const clocks = `${this.clock(at)}–${this.clock(at + seconds)}`;
		return with_day ? `${this.day(at)} ${clocks}` : clocks;
	},

	legend(bucket_seconds) {
		return bucket_seconds % 3600
			? __("Line: {0}-minute mean. Band: minimum to maximum. Grey: no data.", [Math.round(bucket_seconds / 60)])
			: __("Line: {0}-hour mean. Band: minimum to maximum. Grey: no data.", [bucket_seconds / 3600]);
	},

	// A day of the history is a day in UTC: in the user's time zone it could be the day before.
	date(at) {
		return moment.utc(at * 1000).format(frappe.datetime.get_user_date_fmt().toUpperCase());
	},

	age(seconds) {
		if (seconds < 120) {
			return __("{0} s", [Math.round(seconds)]);
		}
		if (seconds < 7200) {
			return __("{0} min", [Math.round(seconds / 60)]);
		}
		return seconds < 2 * 86400
			? __("{0} h", [Math.round(seconds / 3600)])
			: __("{0} days", [Math.round(seconds / 86400)]);
	},

	// In decimal units, as disks are sold and as `prego-metrics tenants` prints them.
	size(bytes) {
		if (bytes === null || bytes === undefined) {
			return __("unknown");
		}
		const units = ["B", "kB", "MB", "GB", "TB", "PB"];
		let number = bytes;
		let unit = 0;
		while (number >= 999.5 && unit < units.length - 1) {
			number /= 1000;
			unit += 1;
		}
		// A no-break space keeps the number and its unit on one line.
		return `${number.toFixed(unit === 0 || number >= 99.95 ? 0 : 1)}\u00a0${units[unit]}`;
	},

	percent(value) {
		return value === null || value === undefined
			? __("unknown")
			: __("{0} %", [Number(value).toFixed(1)]).replace(" ", "\u00a0");
	},

	verdict(status) {
		return (
			{
				fresh: [__("Delivering"), "good", "✓"],
				failing: [__("Failing"), "doubt", "!"],
				stale: [__("Stale"), "bad", "✕"],
				never: [__("Never delivered"), "bad", "✕"],
			}[status] || [status, "doubt", "?"]
		);
	},

	check(state) {
		return (
			{
				pass: [__("Passed"), "good", "✓"],
				warn: [__("Warned"), "doubt", "!"],
				fail: [__("Failed"), "bad", "✕"],
				skip: [__("Skipped"), "muted", "–"],
			}[state] || [state, "muted", "?"]
		);
	},

	outcome(outcome) {
		return (
			{
				delivered: __("Delivered"),
				refused: __("Refused"),
				failed: __("Failed"),
				not_sent: __("Not sent"),
				not_due: __("Not due yet"),
				busy: __("Busy: another push was under way"),
				dry_run: __("Dry run: nothing was sent"),
			}[outcome] || outcome
		);
	},

	driver(driver) {
		return (
			{
				frappe: __("Frappe scheduler"),
				timer: __("systemd timer"),
				cron: __("cron"),
				manual: __("manual push"),
			}[driver] || driver
		);
	},

	badge([label, tone, mark]) {
		return `<span class="prego-badge prego-${tone}"><span aria-hidden="true">${mark}</span> ${this.html(
			label
		)}</span>`;
	},

	// Rows of [term, HTML that is already escaped].
	terms(rows) {
		const items = rows.filter(Boolean).map(([term, value]) => {
			return `<div><dt>${this.html(term)}</dt><dd>${value}</dd></div>`;
		});
		return `<dl class="prego-terms">${items.join("")}</dl>`;
	},

	table(headings, rows) {
		const head = headings.map((heading) => `<th scope="col">${this.html(heading)}</th>`).join("");
		const body = rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`);
		const hint = this.html(__("Scroll sideways to see all columns"));
		return `<div class="prego-table" tabindex="0" role="group" aria-label="${hint}" data-hint="${hint} →"><table class="table table-sm">
			<thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
	},

	list(sentences) {
		return sentences.length
			? `<ul>${sentences.map((sentence) => `<li>${this.sentence(sentence)}</li>`).join("")}</ul>`
			: "";
	},
};
