// The text sections of the page "Prego Node": each returns HTML for an answer of the HTTP method `status` or `doctor`.
frappe.provide("prego_metrics.node_page");

prego_metrics.node_page.sections = (() => {
	const labels = prego_metrics.node_page.labels;
	const html = (value) => labels.html(value);
	const time = (at) => html(labels.time(at));
	const NOTHING = "–";
	const STATES = ["fail", "warn", "skip", "pass"];

	const capitalized = (sentence) => sentence.charAt(0).toUpperCase() + sentence.slice(1);
	const paragraph = (sentence) => `<p>${labels.sentence(capitalized(sentence))}.</p>`;
	const seconds_until = (at, page) => Math.round((Date.parse(at) - Date.parse(page.at)) / 1000);
	const what_to_do = (sentence) => `<strong>${html(__("What to do:"))}</strong> ${labels.sentence(sentence)}`;

	function verdict(page) {
		const since = page.failing_since
			? `<p>${html(
					__("Failing since {0}; failures in a row: {1}.", [
						labels.time(page.failing_since),
						page.failures_in_a_row,
					])
			  )}</p>`
			: "";
		return `<div class="prego-verdict">${labels.badge(labels.verdict(page.status))}
			<p class="prego-sentence">${labels.sentence(capitalized(page.headline))}</p>
			<p class="prego-next text-muted">${next_push(page)}</p></div>
			${page.reasons.map(paragraph).join("")}${since}
			${page.why_no_push ? `<p class="text-muted">${labels.sentence(page.why_no_push)}</p>` : ""}
			${warnings(page.warnings)}`;
	}

	function warnings(sentences) {
		return sentences.length
			? `<div class="prego-warnings"><strong>${html(__("Warnings:"))}</strong>${labels.list(sentences)}</div>`
			: "";
	}

	function next_push(page) {
		const seconds = seconds_until(page.next_push_at, page);
		if (seconds > 0) {
			return html(__("Next push in {0}", [labels.age(seconds)]));
		}
		return html(
			page.tick_seconds
				? __("Next push at the next run of a trigger; Frappe's scheduler runs every {0} s", [page.tick_seconds])
				: __("Next push at the next run of a trigger")
		);
	}

	function next_snapshot(page) {
		if (!page.next_snapshot_at) {
			return __("none: snapshots are off");
		}
		const seconds = seconds_until(page.next_snapshot_at, page);
		return seconds > 0 ? __("in {0}", [labels.age(seconds)]) : __("with the next push");
	}

	function dates(page) {
		return labels.terms([
			[__("Node"), html(page.node_id || NOTHING)],
			[__("Last delivered"), time(page.last_delivered && page.last_delivered.at)],
			[__("Failures in a row"), html(page.failures_in_a_row)],
			[__("Next snapshot"), html(next_snapshot(page))],
			[__("Time zone"), html(labels.zone())],
		]);
	}

	// A section's line while it is folded, and what it holds.

	function last_push(page) {
		const last = page.last;
		if (!last) {
			const nothing = __("No push was tried yet.");
			return { gist: nothing, body: `<p class="text-muted">${html(nothing)}</p>` };
		}
		const answer = last.status_code ? `HTTP ${last.status_code}` : __("none");
		const payload = last.payload
			? `<pre tabindex="0">${html(JSON.stringify(last.payload, null, 2))}</pre>`
			: `<p class="text-muted">${html(__("Nothing was sent."))}</p>`;
		const error = last.error
			? `<p><strong>${html(__("Error:"))}</strong>${last.error_code ? ` <code>${html(last.error_code)}</code>` : ""}</p>
				<pre tabindex="0">${html(labels.local_times(last.error))}</pre>`
			: "";
		return {
			gist: [labels.outcome(last.outcome), labels.time(last.at), labels.driver(last.driver)].join(", "),
			body: `${labels.terms([
				[__("Last result"), html(labels.outcome(last.outcome))],
				[__("Attempted at"), time(last.at)],
				[__("Answer"), html(answer)],
				[__("Duration"), html(__("{0} ms", [last.duration_ms]))],
				[__("Attempts"), html(last.attempts)],
				[__("Trigger"), html(labels.driver(last.driver))],
				page.who && [__("Pushed by"), html(page.who)],
			])}
				${error}<p><strong>${html(__("Payload:"))}</strong></p>${payload}`,
		};
	}

	function drivers(page) {
		if (!page.drivers.length) {
			const awaited = page.tick_seconds
				? __("No trigger has run yet. Frappe's scheduler runs every {0} s; if no push follows, run the checks.", [page.tick_seconds])
				: __("No trigger has run yet: nothing pushes automatically.");
			return { gist: __("none yet"), body: `<p class="text-muted">${html(awaited)}</p>` };
		}
		return {
			gist: page.drivers.map((driver) => labels.driver(driver.driver)).join(", "),
			body: labels.table(
				[__("Trigger"), __("Last run"), __("Last result"), __("Interval"), __("Node")],
				page.drivers.map((driver) => [
					html(labels.driver(driver.driver)),
					`${time(driver.at)}${driver.is_repeated ? "" : html(` (${__("first run")})`)}`,
					html(labels.outcome(driver.outcome)),
					html(__("{0} s", [driver.push_interval])),
					html(driver.node_id),
				])
			),
		};
	}

	function host(page) {
		const sampled = page.host;
		const disks = sampled.disks.map((disk) => [
			__("Disk {0}", [disk.path]),
			labels.percent(disk.disk_pct),
			__("Used share of the file system that holds this path, without what is reserved for root."),
		]);
		const rows = [
			[__("CPU"), labels.percent(sampled.cpu_pct), __("Mean over all cores since the last sample; waiting for disks counts as idle.")],
			[__("Memory"), labels.percent(sampled.memory_pct), __("Memory that a new process could not get without swapping; caches count as free.")],
			...disks,
			[__("Disk, as sent"), labels.percent(sampled.disk_pct), __("The fullest of the file systems above.")],
		];
		const figures = rows.filter((row, index) => index < 2 || index === rows.length - 1);
		return {
			gist: figures.map(([name, value], index) => `${index === 2 ? __("Disk") : name} ${value}`).join(", "),
			body: `${labels.table(
				[__("Metric"), __("Now"), __("Meaning")],
				rows.map((row) => row.map(html))
			)}<p class="text-muted">${html(
				__("Sampled at {0}, at most once a minute.", [labels.time(sampled.at)])
			)}</p>${warnings(sampled.warnings)}`,
		};
	}

	function settings(page) {
		const { settings: rows, api_key } = page.settings;
		const row = ({ name, value, source }) => [
			`<code>${html(name)}</code>`,
			html(value || NOTHING),
			html(source === "default" ? __("default") : source),
		];
		const headings = [__("Setting"), __("Value"), __("Source")];
		const defaults = rows.filter(({ source }) => source === "default");
		const changed = rows.filter(({ source }) => source !== "default");
		const key = [`<code>INTERNAL_API_KEY</code>`, html(api_key ? __("set, not shown") : __("not set")), html(api_key || NOTHING)];
		return {
			gist: __("{0} of {1} are set, the others have their defaults", [changed.length, rows.length]),
			body: `${labels.table(headings, [...changed.map(row), key])}
				<details class="prego-more"><summary>${html(__("Show all: {0} defaults", [defaults.length]))}</summary>
				${labels.table(headings, defaults.map(row))}</details>`,
		};
	}

	function check_list(checks) {
		const rows = checks.map((check) => {
			const action = check.action ? `<br>${what_to_do(check.action)}` : "";
			return `<li>${labels.badge(labels.check(check.state))}
				<span><code>${html(check.name)}</code> ${labels.sentence(check.seen)}${action}</span></li>`;
		});
		return `<ul class="prego-checks">${rows.join("")}</ul>`;
	}

	const of_state = (report, state) => report.checks.filter((check) => check.state === state);

	// The worst first; those that passed are folded.
	function checks(report, at) {
		const passed = of_state(report, "pass");
		return `<p class="text-muted">${html(__("Run at {0}.", [labels.time(at)]))}</p>
			${check_list(STATES.slice(0, 3).flatMap((state) => of_state(report, state)))}
			<details class="prego-more"><summary>${html(__("{0} checks passed", [passed.length]))}</summary>${check_list(passed)}</details>`;
	}

	// What stands under the headline: what failed; nothing where no check failed or warned. The check of the last push,
	// which repeats the headline, comes last.
	function problems(report) {
		const failed = of_state(report, "fail").sort((one, other) => (one.name === "last_push") - (other.name === "last_push"));
		const warned = of_state(report, "warn");
		if (!failed.length && !warned.length) {
			return "";
		}
		const title = failed.length ? __("Failed checks: {0}", [failed.length]) : __("Checks with warnings: {0}", [warned.length]);
		return `<section class="prego-problems"><h4>${html(title)}</h4>${check_list(failed.length ? failed : warned)}
			<button type="button" class="btn btn-link btn-sm" data-show="checks">${html(
				__("Show all checks ({0})", [report.checks.length])
			)}</button></section>`;
	}

	function checks_sentence(report) {
		const [failed, warned, skipped, passed] = STATES.map((state) => of_state(report, state).length);
		return __("{0} failed, {1} with warnings, {2} skipped, {3} passed", [failed, warned, skipped, passed]);
	}

	return { verdict, dates, last_push, drivers, host, settings, checks, problems, checks_sentence };
})();
