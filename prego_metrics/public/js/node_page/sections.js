// The text sections of the page "Prego Node": each returns HTML for an answer of the HTTP method `status`.
frappe.provide("prego_metrics.node_page");

prego_metrics.node_page.sections = (() => {
	const labels = prego_metrics.node_page.labels;
	const html = (value) => labels.html(value);
	const time = (at) => html(labels.time(at));
	const NOTHING = "–";

	function verdict(page) {
		const sentence = page.sentence.charAt(0).toUpperCase() + page.sentence.slice(1);
		const since = page.failing_since
			? `<p>${html(
					__("Failing since {0}; failures in a row: {1}.", [
						labels.time(page.failing_since),
						page.failures_in_a_row,
					])
			  )}</p>`
			: "";
		const advice = labels.advice(page);
		return `<div class="prego-verdict">${labels.badge(labels.verdict(page.status))}
			<p class="prego-sentence">${html(sentence)}</p></div>${since}
			${advice ? `<p><strong>${html(__("What to do:"))}</strong> ${html(advice)}</p>` : ""}
			${page.why_no_push ? `<p class="text-muted">${html(page.why_no_push)}</p>` : ""}
			${warnings(page.warnings)}`;
	}

	function warnings(sentences) {
		return sentences.length
			? `<div class="prego-warnings"><strong>${html(__("To look at:"))}</strong>${labels.list(sentences)}</div>`
			: "";
	}

	function due(at, page) {
		if (!at) {
			return html(__("none: snapshots are off"));
		}
		const seconds = Math.round((Date.parse(at) - Date.parse(page.at)) / 1000);
		return seconds > 0
			? `${time(at)} <span class="text-muted">(${html(__("in {0} s", [seconds]))})</span>`
			: html(
					page.tick_seconds
						? __("now, at the next run of a trigger: Frappe's scheduler runs every {0} s", [page.tick_seconds])
						: __("now, at the next tick of a trigger")
			  );
	}

	function dates(page) {
		return labels.terms([
			[__("Node"), html(page.node_id || NOTHING)],
			[__("Last delivered"), time(page.last_delivered && page.last_delivered.at)],
			[__("Failures in a row"), html(page.failures_in_a_row)],
			[__("Next push due"), due(page.next_push_at, page)],
			[__("Next snapshot due"), due(page.next_snapshot_at, page)],
		]);
	}

	function last_push(page) {
		const last = page.last;
		if (!last) {
			return `<p class="text-muted">${html(__("No push was tried yet."))}</p>`;
		}
		const answer = last.status_code ? `HTTP ${last.status_code}` : __("none");
		const payload = last.payload
			? `<pre tabindex="0">${html(JSON.stringify(last.payload, null, 2))}</pre>`
			: `<p class="text-muted">${html(__("Nothing was sent."))}</p>`;
		return `${labels.terms([
			[__("Outcome"), html(labels.outcome(last.outcome))],
			[__("Tried at"), time(last.at)],
			[__("Answer"), html(answer)],
			[__("Took"), html(__("{0} ms", [last.duration_ms]))],
			[__("Attempts"), html(last.attempts)],
			[__("Pushed by"), html(labels.driver(last.driver))],
			page.who && [__("Asked for by"), html(page.who)],
		])}
			${last.error ? `<p><strong>${html(__("Error:"))}</strong>${last.error_code ? ` <code>${html(last.error_code)}</code>` : ""}</p><pre tabindex="0">${html(last.error)}</pre>` : ""}
			<p><strong>${html(__("The payload, as sent:"))}</strong></p>${payload}`;
	}

	function drivers(page) {
		if (!page.drivers.length) {
			const awaited = page.tick_seconds
				? __("No trigger was seen yet. Frappe's scheduler runs every {0} s; if that passes, run the checks.", [page.tick_seconds])
				: __("No trigger was seen yet: nothing pushes this node by itself.");
			return `<p class="text-muted">${html(awaited)}</p>`;
		}
		return labels.table(
			[__("Trigger"), __("Last tick"), __("How it ended"), __("Interval"), __("Node")],
			page.drivers.map((driver) => [
				html(labels.driver(driver.driver)),
				`${time(driver.at)}${driver.is_repeated ? "" : html(` (${__("not seen to run again yet")})`)}`,
				html(labels.outcome(driver.outcome)),
				html(__("{0} s", [driver.push_interval])),
				html(driver.node_id),
			])
		);
	}

	function host(page) {
		const sampled = page.host;
		const disks = sampled.disks.map((disk) => [
			__("Disk {0}", [disk.path]),
			labels.percent(disk.disk_pct),
			__("Used part of the file system that holds this path, of what is not reserved for root."),
		]);
		const rows = [
			[__("CPU"), labels.percent(sampled.cpu_pct), __("Mean since the last sample, over all cores; waiting for disks counts as idle.")],
			[__("Memory"), labels.percent(sampled.memory_pct), __("What cannot be given to a new process without swapping; caches count as free.")],
			...disks,
			[__("Disk, as sent"), labels.percent(sampled.disk_pct), __("The fullest of the file systems above.")],
		];
		return `${labels.table(
			[__("Figure"), __("Now"), __("What it means")],
			rows.map((row) => row.map(html))
		)}<p class="text-muted">${html(
			__("Sampled at {0}, at most once a minute.", [labels.time(sampled.at)])
		)}</p>${warnings(sampled.warnings)}`;
	}

	function settings(page) {
		const { settings: rows, api_key } = page.settings;
		return labels.table(
			[__("Setting"), __("Value"), __("Source")],
			[
				...rows.map((row) => [
					`<code>${html(row.name)}</code>`,
					html(row.value || NOTHING),
					html(row.source === "default" ? __("default") : row.source),
				]),
				[`<code>INTERNAL_API_KEY</code>`, html(api_key ? __("set, not shown") : __("not set")), html(api_key || NOTHING)],
			]
		);
	}

	function checks(report) {
		const rows = report.checks.map((check) => {
			const action = check.action
				? `<br><strong>${html(__("What to do:"))}</strong> ${html(check.action)}`
				: "";
			return `<li>${labels.badge(labels.check(check.state))}
				<span><code>${html(check.name)}</code> ${html(check.seen)}${action}</span></li>`;
		});
		return `<ul class="prego-checks">${rows.join("")}</ul>`;
	}

	function checks_sentence(report) {
		const count = (state) => report.checks.filter((check) => check.state === state).length;
		return __("{0} checks passed, {1} warned, {2} failed, {3} skipped.", [
			count("pass"),
			count("warn"),
			count("fail"),
			count("skip"),
		]);
	}

	return { verdict, dates, last_push, drivers, host, settings, checks, checks_sentence };
})();
