// The pictures of the page "Prego Node": what was delivered over a day, a week or a month, a gap as a gap.
frappe.provide("prego_metrics.node_page");

(() => {
	// The drawing's own units; it is stretched to the room there is, and its lines are not.
	const WIDTH = 1000;
	const HEIGHT = 100;

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

	// Returns the next 2, 4, 6 or 10 times a power of ten, whose half is a whole number too; at least 4.
	function round_up(value) {
		const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
		const step = [2, 4, 6, 10].find((factor) => factor * power >= value);
		return Math.max(4, step * power);
	}

	// Returns the runs of neighbouring buckets for which `test` holds, as [first, last].
	function runs(values, test) {
		const found = [];
		values.forEach((value, index) => {
			const run = found[found.length - 1];
			if (!test(value)) {
				return;
			}
			if (run && run[1] === index - 1) {
				run[1] = index;
			} else {
				found.push([index, index]);
			}
		});
		return found;
	}

	class Picture {
		constructor(figure, parent) {
			this.figure = figure;
			this.words = prego_metrics.node_page.words;
			this.$root = $(`<section class="prego-picture" data-figure="${figure.name}">
				<h5>${this.words.html(figure.label)} <span class="prego-now text-muted"></span></h5>
				<div class="prego-plot">
					<div class="prego-y" aria-hidden="true"></div>
					<div class="prego-canvas" tabindex="0" role="slider" aria-valuemin="0"></div>
					<div class="prego-x" aria-hidden="true"></div>
				</div>
				<div class="prego-readout text-muted"></div>
				<details><summary>${this.words.html(
					__("{0} as a table", [figure.label])
				)}</summary><div class="prego-rows"></div></details>
			</section>`).appendTo(parent);
			this.$canvas = this.$root.find(".prego-canvas");
			this.$canvas.on("mousemove", (event) => this.point_at(event));
			this.$canvas.on("mouseleave blur", () => this.select(null));
			this.$canvas.on("focus", () => this.select(this.buckets.length - 1));
			this.$canvas.on("keydown", (event) => this.press(event));
			this.$root.find("details").on("toggle", () => this.fill_table());
			this.buckets = [];
		}

		draw(series) {
			this.series = series;
			this.buckets = series.buckets;
			const values = this.buckets.map((bucket) => bucket[this.figure.name]);
			const known = values.filter(Boolean);
			this.top = this.figure.percent ? 100 : round_up(Math.max(0, ...known.map((value) => value[2])));
			this.$canvas.html(`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none"
				aria-hidden="true" focusable="false">${this.shapes(values)}</svg><i class="prego-cursor"></i>`);
			const newest = known.length ? this.value_text(known[known.length - 1]) : __("nothing delivered yet");
			this.$root.find(".prego-now").text(newest);
			const unit = this.figure.percent ? " %" : "";
			this.$root
				.find(".prego-y")
				.html(`<span>${this.top}${unit}</span><span>${this.top / 2}${unit}</span><span>0</span>`);
			this.$root.find(".prego-x").html(this.time_labels());
			this.$canvas.attr({
				"aria-label": __("{0}: values over time; arrow keys move through them", [this.figure.label]),
				"aria-valuemax": Math.max(0, this.buckets.length - 1),
			});
			this.select(this.$canvas.is(":focus") ? this.at ?? this.buckets.length - 1 : null);
			this.fill_table();
		}

		shapes(values) {
			const x = (index) => ((index + 0.5) * WIDTH) / values.length;
			const y = (value) => HEIGHT - (Math.min(value, this.top) / this.top) * HEIGHT;
			const width = WIDTH / values.length;
			const gaps = runs(values, (value) => !value).map(([first, last]) => {
				const left = first * width;
				return `<rect class="prego-gap" x="${left}" y="0" width="${(last + 1) * width - left}"
					height="${HEIGHT}"/>`;
			});
			const lines = runs(values, Boolean).map(([first, last]) => {
				const run = values.slice(first, last + 1);
				const point = (which) => (value, index) => `${x(first + index)},${y(value[which])}`;
				const most = run.map(point(2));
				const least = run.map(point(0)).reverse();
				// A bucket alone between gaps is a dot: a line of no length with round ends.
				const mean = run.map(point(1)).join(" ");
				return `<polygon class="prego-band" points="${most.join(" ")} ${least.join(" ")}"/>
					<path class="prego-line" d="M ${mean}${run.length === 1 ? " h 0.01" : ""}"/>`;
			});
			const grid = [0, 0.5, 1].map((part) => {
				return `<path class="prego-grid" d="M 0,${part * HEIGHT} h ${WIDTH}"/>`;
			});
			return [...gaps, ...grid, ...lines].join("");
		}

		time_labels() {
			if (!this.buckets.length) {
				return "";
			}
			const label = (at) => {
				const text = this.series.period === "day" ? this.words.clock(at) : this.words.day(at);
				return `<span>${this.words.html(text)}</span>`;
			};
			const last = this.buckets.length - 1;
			return [0, 0.25, 0.5, 0.75, 1].map((part) => label(this.buckets[Math.round(part * last)].at)).join("");
		}

		value_text([least, mean, most]) {
			if (this.figure.percent) {
				return this.words.percent(mean);
			}
			return least === most ? String(most) : __("{0} to {1}", [least, most]);
		}

		bucket_text(bucket) {
			const value = bucket[this.figure.name];
			if (!value) {
				return bucket.tenant_count ? __("unknown") : __("no push was delivered");
			}
			if (!this.figure.percent || value[0] === value[2]) {
				return this.value_text(value);
			}
			return __("{0} ({1} to {2})", [
				this.words.percent(value[1]),
				this.words.percent(value[0]),
				this.words.percent(value[2]),
			]);
		}

		point_at(event) {
			const box = this.$canvas[0].getBoundingClientRect();
			const index = Math.floor(((event.clientX - box.left) / box.width) * this.buckets.length);
			this.select(Math.min(Math.max(index, 0), this.buckets.length - 1));
		}

		press(event) {
			const last = this.buckets.length - 1;
			const at = this.at ?? last;
			const to = {
				ArrowLeft: at - 1,
				ArrowDown: at - 1,
				ArrowRight: at + 1,
				ArrowUp: at + 1,
				PageDown: at - 12,
				PageUp: at + 12,
				Home: 0,
				End: last,
			}[event.key];
			if (to !== undefined) {
				event.preventDefault();
				event.stopPropagation();
				this.select(Math.min(Math.max(to, 0), last));
			}
		}

		select(index) {
			const bucket = index === null ? undefined : this.buckets[index];
			this.at = bucket ? index : null;
			const text = bucket ? `${this.words.time(bucket.at)}: ${this.bucket_text(bucket)}` : "";
			this.$root.find(".prego-readout").text(text);
			const shown = bucket ? index : Math.max(0, this.buckets.length - 1);
			this.$canvas.attr({ "aria-valuenow": shown, "aria-valuetext": text || __("nothing chosen") });
			const left = bucket ? `${((index + 0.5) * 100) / this.buckets.length}%` : "";
			this.$root.find(".prego-cursor").css({ left }).toggle(Boolean(bucket));
		}

		// A table of a month costs some: it is made when it is opened, newest first, a gap in one row.
		fill_table() {
			const details = this.$root.find("details")[0];
			if (!details.open || !this.series) {
				return;
			}
			const rows = [];
			const texts = this.buckets.map((bucket) => this.bucket_text(bucket));
			for (let index = 0; index < texts.length; index += 1) {
				const first = index;
				while (!this.buckets[first][this.figure.name] && texts[index + 1] === texts[first]) {
					index += 1;
				}
				const ends = this.buckets[index].at + this.series.bucket_seconds;
				rows.unshift([
					this.words.html(this.words.time(this.buckets[first].at)),
					this.words.html(this.words.time(ends)),
					this.words.html(texts[first]),
				]);
			}
			$(details).find(".prego-rows").html(this.words.table([__("From"), __("To"), this.figure.label], rows));
		}
	}

	prego_metrics.node_page.Pictures = class Pictures {
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
			this.pictures = figures().map((figure) => new Picture(figure, $root.find(".prego-pictures")));
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
			const minutes = Math.round(series.bucket_seconds / 60);
			this.$legend.text(
				__("Line: mean of {0} minutes; band: least to most. Shaded: no push was delivered, or the figure is unknown.", [
					minutes,
				])
			);
			this.pictures.forEach((picture) => picture.draw(series));
		}
	};
})();
