// The sections of the page "Prego Node" that are text: each returns HTML for what the method `status` answered.
frappe.provide("prego_metrics.desk.page.status");

prego_metrics.desk.page.status.sections = (() => {
	const words = prego_metrics.desk.page.status.words;
	const html = (value) => words.html(value);
	const time = (at) => html(words.time(at));
	const NOTHING = "–";

	function verdict(page) {
		const sentence = page.sentence.charAt(0).toUpperCase() + page.sentence.slice(1);
		const since = page.failing_since
			? `<p>${html(
					__("Failing since {0}; failures in a row: {1}.", [
						words.time(page.failing_since),
						page.failures_in_a_row,
					])
			  )}</p>`
			: "";
		const advice = words.advice(page);
		return `<div class="prego-verdict">${words.badge(words.verdict(page.status))}
			<p class="prego-sentence">${html(sentence)}</p></div>${since}
			${advice ? `<p><strong>${html(__("What to do:"))}</strong> ${html(advice)}</p>` : ""}
			${page.why_no_push ? `<p class="text-muted">${html(page.why_no_push)}</p>` : ""}
			${warnings(page.warnings)}`;
	}

	function warnings(sentences) {
		return sentences.length
			? `<div class="prego-warnings"><strong>${html(__("To look at:"))}</strong>${words.list(sentences)}</div>`
			: "";
	}

	function due(at, page) {
		if (!at) {
			return html(__("none: snapshots are off"));
		}
		const seconds = Math.round((Date.parse(at) - Date.parse(page.at)) / 1000);
		return seconds > 0
			? `${time(at)} <span class="text-muted">(${html(__("in {0} s", [seconds]))})</span>`
			: html(__("now, at the next tick of a driver"));
	}

	function dates(page) {
		return words.terms([
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
		return `${words.terms([
			[__("Outcome"), html(words.outcome(last.outcome))],
			[__("Tried at"), time(last.at)],
			[__("Answer"), html(answer)],
			[__("Took"), html(__("{0} ms", [last.duration_ms]))],
			[__("Attempts"), html(last.attempts)],
			[__("Pushed by"), html(words.driver(last.driver))],
			page.who && [__("Asked for by"), html(page.who)],
		])}
			${last.error ? `<p><strong>${html(__("Error:"))}</strong></p><pre tabindex="0">${html(last.error)}</pre>` : ""}
			<p><strong>${html(__("The payload, as sent:"))}</strong></p>${payload}`;
	}

	function drivers(page) {
		if (!page.drivers.length) {
			return `<p class="text-muted">${html(__("No driver was seen yet: nothing pushes this node by itself."))}</p>`;
		}
		return words.table(
			[__("Driver"), __("Last tick"), __("How it ended"), __("Interval"), __("Node")],
			page.drivers.map((driver) => [
				html(words.driver(driver.driver)),
				time(driver.at),
				html(words.outcome(driver.outcome)),
				html(__("{0} s", [driver.push_interval])),
				html(driver.node_id),
			])
		);
	}

	function host(page) {
		const sampled = page.host;
		const disks = sampled.disks.map((disk) => [
			__("Disk {0}", [disk.path]),
			words.percent(disk.disk_pct),
			__("Used part of the file system that holds this path, of what is not reserved for root."),
		]);
		const rows = [
			[__("CPU"), words.percent(sampled.cpu_pct), __("Mean since the last sample, over all cores; waiting for disks counts as idle.")],
			[__("Memory"), words.percent(sampled.memory_pct), __("What cannot be given to a new process without swapping; caches count as free.")],
			...disks,
			[__("Disk, as sent"), words.percent(sampled.disk_pct), __("The fullest of the file systems above.")],
		];
		return `${words.table(
			[__("Figure"), __("Now"), __("What it means")],
			rows.map((row) => row.map(html))
		)}<p class="text-muted">${html(
			__("Sampled at {0}, at most once a minute.", [words.time(sampled.at)])
		)}</p>${warnings(sampled.warnings)}`;
	}

	function settings(page) {
		const { settings: rows, api_key } = page.settings;
		return words.table(
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

	function checks(examined) {
		const rows = examined.checks.map((check) => {
			const action = check.action
				? `<br><strong>${html(__("What to do:"))}</strong> ${html(check.action)}`
				: "";
			return `<li>${words.badge(words.check(check.state))}
				<span><code>${html(check.name)}</code> ${html(check.seen)}${action}</span></li>`;
		});
		return `<ul class="prego-checks">${rows.join("")}</ul>`;
	}

	function checks_sentence(examined) {
		const count = (state) => examined.checks.filter((check) => check.state === state).length;
		return __("{0} checks passed, {1} warned, {2} failed, {3} skipped.", [
			count("pass"),
			count("warn"),
			count("fail"),
			count("skip"),
		]);
	}

	return { verdict, dates, last_push, drivers, host, settings, checks, checks_sentence };
})();
