// The pictures of the page "Prego Node": what was delivered over a day, a week or a month, a gap as a gap.
frappe.provide("prego_metrics.desk.page.status");

(() => {
	const words = prego_metrics.desk.page.status.words;
	const figures = () => [
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

	// What a Plot draws of a figure; `series()` is what the HTTP method `series` last answered.
	function drawn({ name, label, percent }, series) {
		const value_text = ([least, mean, most]) => {
			if (percent) {
				return words.percent(mean);
			}
			return least === most ? String(most) : __("{0} to {1}", [least, most]);
		};
		const text = (bucket) => {
			const value = bucket[name];
			if (!value) {
				return bucket.tenant_count ? __("unknown") : __("no push was delivered");
			}
			if (!percent || value[0] === value[2]) {
				return value_text(value);
			}
			return __("{0} ({1} to {2})", [
				words.percent(value[1]),
				words.percent(value[0]),
				words.percent(value[2]),
			]);
		};
		return {
			name,
			label,
			nothing: __("nothing delivered yet"),
			lines: [
				{
					name: "mean",
					value: (bucket) => (bucket[name] ? bucket[name][1] : null),
					band: (bucket) => [bucket[name][0], bucket[name][2]],
				},
			],
			is_known: (bucket) => Boolean(bucket[name]),
			top: (known) => {
				const most = Math.max(0, ...known.map((bucket) => bucket[name][2]));
				return percent ? 100 : prego_metrics.desk.page.status.Plot.round_up(most);
			},
			axis: (value) => (percent && value ? `${value} %` : String(value)),
			newest: (bucket) => value_text(bucket[name]),
			text,
			headings: [label],
			cells: (bucket) => [text(bucket)],
			time: (bucket) => words.time(bucket.at),
			ends: (bucket) => words.time(bucket.at + series().bucket_seconds),
			tick: (bucket) => (series().period === "day" ? words.clock(bucket.at) : words.day(bucket.at)),
		};
	}

	prego_metrics.desk.page.status.Pictures = class Pictures {
		// `fetch_series(period)` returns a promise of what the HTTP method `series` answers.
		constructor(parent, fetch_series) {
			this.fetch_series = fetch_series;
			this.period = "day";
			const buttons = periods().map(
				({ name, label }) => `<button type="button" class="btn btn-default btn-sm" data-period="${name}"
					aria-pressed="${name === this.period}">${frappe.utils.escape_html(label)}</button>`
			);
			const $root = $(`<div><div class="prego-periods btn-group" role="group">${buttons.join("")}</div>
				<p class="prego-legend text-muted"></p><div class="prego-pictures"></div></div>`).appendTo(parent);
			$root.find(".prego-periods").attr("aria-label", __("How far back"));
			this.$legend = $root.find(".prego-legend");
			this.$buttons = $root.find("[data-period]").on("click", (event) => {
				this.show(event.currentTarget.dataset.period);
			});
			this.pictures = figures().map((figure) => {
				const what = drawn(figure, () => this.series);
				return new prego_metrics.desk.page.status.Plot(what, $root.find(".prego-pictures"));
			});
		}

		show(period) {
			this.period = period;
			this.$buttons.each((_index, button) => {
				button.setAttribute("aria-pressed", button.dataset.period === period);
			});
			return this.refresh();
		}

		async refresh() {
			const asked = this.period;
			const series = await this.fetch_series(asked);
			if (!series || asked !== this.period) {
				return;
			}
			// The newest bucket is not over: without a push in it so far it is no gap.
			const newest = series.buckets[series.buckets.length - 1];
			if (newest && !newest.tenant_count) {
				series.buckets.pop();
			}
			this.series = series;
			const minutes = Math.round(series.bucket_seconds / 60);
			this.$legend.text(
				__("Line: mean of {0} minutes; band: least to most. Shaded: no push was delivered, or the figure is unknown.", [
					minutes,
				])
			);
			this.pictures.forEach((picture) => picture.draw(series.buckets));
		}
	};
})();
