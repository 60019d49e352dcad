// The charts of the page "Prego Node": the delivered metrics over a day, a week or a month, with gaps shown.
frappe.provide("prego_metrics.node_page");

(() => {
	const labels = prego_metrics.node_page.labels;
	const metrics = () => [
		{ name: "cpu_pct", label: __("CPU"), percent: true },
		{ name: "memory_pct", label: __("Memory"), percent: true },
		{ name: "disk_pct", label: __("Disk"), percent: true },
		{ name: "tenant_count", label: __("Tenants"), percent: false },
	];
	const periods = () => [
		{ name: "day", label: __("Day") },
		{ name: "week", label: __("Week") },
		{ name: "month", label: __("Month") },
	];

	// The options of a Plot of one metric; `series()` returns the last answer of the HTTP method `series`, `latest()`
	// the payload of the last delivered push.
	function plot_options({ name, label, percent }, series, latest) {
		const one_text = (value) => (percent ? labels.percent(value) : String(value));
		const short_text = ([minimum, , maximum]) =>
			minimum === maximum ? one_text(maximum) : __("{0} to {1}", [one_text(minimum), one_text(maximum)]);
		const value_text = (bucket) => {
			const value = bucket[name];
			if (!value) {
				return bucket.tenant_count ? __("unknown") : __("no push was delivered");
			}
			if (!percent || value[0] === value[2]) {
				return short_text(value);
			}
			return __("{0} ({1} to {2})", [
				labels.percent(value[1]),
				labels.percent(value[0]),
				labels.percent(value[2]),
			]);
		};
		return {
			name,
			label,
			empty_text: __("nothing delivered yet"),
			lines: [
				{
					name: "mean",
					value: (bucket) => (bucket[name] ? bucket[name][1] : null),
					band: (bucket) => [bucket[name][0], bucket[name][2]],
				},
			],
			is_known: (bucket) => Boolean(bucket[name]),
			top: (known) => {
				const maximum = Math.max(0, ...known.map((bucket) => bucket[name][2]));
				return percent ? 100 : prego_metrics.node_page.Plot.round_up(maximum);
			},
			axis: (value) => (percent && value ? `${value} %` : String(value)),
			newest_text: () => (latest() && latest()[name] !== undefined ? one_text(latest()[name]) : __("unknown")),
			value_text,
			headings: [label],
			cells: (bucket) => [value_text(bucket)],
			when: (bucket) => labels.span(bucket.at, series().bucket_seconds, series().period !== "day"),
			start_time: (bucket) => labels.time(bucket.at),
			end_time: (bucket) => labels.time(bucket.at + series().bucket_seconds),
			tick: (bucket) => (series().period === "day" ? labels.clock(bucket.at) : labels.day(bucket.at)),
		};
	}

	prego_metrics.node_page.Charts = class Charts {
		// `fetch_series(period)` returns a promise of the answer of the HTTP method `series`.
		constructor(parent, fetch_series) {
			this.fetch_series = fetch_series;
			this.period = "day";
			const buttons = periods().map(
				({ name, label }) => `<button type="button" class="btn btn-default btn-sm" data-period="${name}"
					aria-pressed="${name === this.period}">${frappe.utils.escape_html(label)}</button>`
			);
			const $root = $(`<section><div class="prego-head"><h4>${labels.html(__("History"))}</h4>
				<div class="prego-periods btn-group" role="group">${buttons.join("")}</div>
				<p class="prego-legend text-muted"></p></div><div class="prego-charts prego-metrics"></div></section>`).appendTo(parent);
			this.$charts = $root.find(".prego-charts");
			$root.find(".prego-periods").attr("aria-label", __("How far back"));
			this.$legend = $root.find(".prego-legend");
			this.$buttons = $root.find("[data-period]").on("click", (event) => {
				this.show(event.currentTarget.dataset.period);
			});
			this.plots = metrics().map((metric) => {
				const options = plot_options(metric, () => this.series, () => this.latest);
				return new prego_metrics.node_page.Plot(options, this.$charts);
			});
		}

		// The four numbers are those of the last delivered push; they are muted where that is not fresh.
		show_latest(payload, is_fresh) {
			this.latest = payload;
			this.$charts.toggleClass("prego-old", !is_fresh);
			this.plots.forEach((plot) => plot.show_newest());
		}

		show(period) {
			this.period = period;
			this.$buttons.each((_index, button) => {
				button.setAttribute("aria-pressed", button.dataset.period === period);
			});
			return this.refresh();
		}

		async refresh() {
			const period = this.period;
			const series = await this.fetch_series(period);
			if (!series || period !== this.period) {
				return;
			}
			// The newest bucket is not over yet: it is not a gap just because it has no push so far.
			const newest = series.buckets[series.buckets.length - 1];
			if (newest && !newest.tenant_count) {
				series.buckets.pop();
			}
			this.series = series;
			const is_known = series.buckets.some((bucket) => bucket.tenant_count);
			const nothing = this.latest
				? __("No push was delivered in this time.")
				: __("The charts begin with the first delivered push.");
			this.$legend.text(is_known ? labels.legend(series.bucket_seconds) : nothing);
			this.$charts.toggle(is_known);
			this.plots.forEach((plot) => plot.draw(series.buckets));
		}
	};
})();
