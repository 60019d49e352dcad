// One chart over time on the page "Prego Node": lines, shaded gaps, values by mouse and keyboard, and a table.
frappe.provide("prego_metrics.node_page");

(() => {
	// Units of the drawing, which is stretched to the available width; its lines keep their width.
	const WIDTH = 1000;
	const HEIGHT = 100;

	// Returns the runs of neighbouring buckets for which `test` holds, as [first, last].
	function runs(values, test) {
		const result = [];
		values.forEach((value, index) => {
			const run = result[result.length - 1];
			if (!test(value)) {
				return;
			}
			if (run && run[1] === index - 1) {
				run[1] = index;
			} else {
				result.push([index, index]);
			}
		});
		return result;
	}

	// The options of a chart:
	//   name, label; empty_text: shown if no bucket is known
	//   lines: [{ name, value(bucket), band(bucket) }]; value returns null for a gap; band returns [minimum, maximum]
	//   and may be left out
	//   is_known(bucket): buckets for which it is false are shaded
	//   top(buckets): the value at the upper end; axis(value): its label on the axis
	//   value_text(bucket): the value in words; newest_text(bucket): the same, shorter, for the heading
	//   headings, cells(bucket): the table's columns beside the times
	//   when(bucket): the time beside the value; start_time(bucket) if it is left out
	//   start_time(bucket), end_time(bucket); tick(bucket): the start as a label of the axis
	prego_metrics.node_page.Plot = class Plot {
		constructor(options, parent) {
			this.options = options;
			this.labels = prego_metrics.node_page.labels;
			this.$root = $(`<section class="prego-chart" data-metric="${this.labels.html(options.name)}">
				<h5>${this.labels.html(options.label)} <span class="prego-now"></span></h5>
				<div class="prego-plot">
					<div class="prego-y" aria-hidden="true"></div>
					<div class="prego-canvas" tabindex="0" role="slider" aria-valuemin="0"></div>
					<div class="prego-x" aria-hidden="true"></div>
				</div>
				<div class="prego-readout text-muted"></div>
				<details><summary>${this.labels.html(
					__("{0} as a table", [options.label])
				)}</summary><div class="prego-rows"></div></details>
			</section>`).appendTo(parent);
			this.$canvas = this.$root.find(".prego-canvas");
			this.$canvas.on("pointermove pointerdown", (event) => this.point_at(event));
			this.$canvas.on("pointerleave", (event) => this.leave(event));
			this.$canvas.on("blur", () => this.select(null));
			this.$canvas.on("focus", () => this.focus());
			this.$canvas.on("keydown", (event) => this.press(event));
			this.$root.find("details").on("toggle", () => this.fill_table());
			this.buckets = [];
			this.at = null;
		}

		draw(buckets) {
			const { options } = this;
			this.buckets = buckets;
			const known = buckets.filter((bucket) => options.is_known(bucket));
			this.top = options.top(known);
			this.$canvas.html(`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none"
				aria-hidden="true" focusable="false">${this.shapes()}</svg><i class="prego-cursor"></i>`);
			this.show_newest();
			const axis = [this.top, this.top / 2, 0].map((value) => {
				return `<span>${this.labels.html(options.axis(value))}</span>`;
			});
			this.$root.find(".prego-y").html(axis.join(""));
			this.$root.find(".prego-x").html(this.time_labels());
			this.$canvas.attr({
				"aria-label": __("{0}: values over time; arrow keys move through them", [options.label]),
				"aria-valuemax": Math.max(0, buckets.length - 1),
			});
			this.select(this.$canvas.is(":focus") ? this.at ?? buckets.length - 1 : null);
			this.fill_table();
		}

		show_newest() {
			const known = this.buckets.filter((bucket) => this.options.is_known(bucket));
			const newest = known[known.length - 1];
			this.$root.find(".prego-now").text(newest ? this.options.newest_text(newest) : this.options.empty_text);
		}

		shapes() {
			const width = WIDTH / this.buckets.length;
			const gaps = runs(this.buckets, (bucket) => !this.options.is_known(bucket)).map(([first, last]) => {
				const left = first * width;
				return `<rect class="prego-gap" x="${left}" y="0" width="${(last + 1) * width - left}"
					height="${HEIGHT}"/>`;
			});
			const grid = [0, 0.5, 1].map((part) => {
				return `<path class="prego-grid" d="M 0,${part * HEIGHT} h ${WIDTH}"/>`;
			});
			return [...gaps, ...grid, ...this.options.lines.flatMap((line) => this.line(line))].join("");
		}

		line({ name, value, band }) {
			const x = (index) => ((index + 0.5) * WIDTH) / this.buckets.length;
			const y = (number) => HEIGHT - (Math.min(number, this.top) / this.top) * HEIGHT;
			const values = this.buckets.map(value);
			return runs(values, (number) => number !== null).map(([first, last]) => {
				const run = values.slice(first, last + 1).map((number, index) => `${x(first + index)},${y(number)}`);
				// A single bucket between gaps is a dot: a line without length that has round ends.
				const [dot, single] = run.length === 1 ? [" h 0.01", "prego-single "] : ["", ""];
				return `${band ? this.band(band, first, last, x, y) : ""}
					<path class="${single}prego-line prego-line-${name}" d="M ${run.join(" ")}${dot}"/>`;
			});
		}

		band(band, first, last, x, y) {
			const ends = this.buckets.slice(first, last + 1).map(band);
			const upper = ends.map((end, index) => `${x(first + index)},${y(end[1])}`);
			const lower = ends.map((end, index) => `${x(first + index)},${y(end[0])}`).reverse();
			return `<polygon class="prego-band" points="${upper.join(" ")} ${lower.join(" ")}"/>`;
		}

		time_labels() {
			if (!this.buckets.length) {
				return "";
			}
			const last = this.buckets.length - 1;
			const at = new Set([0, 0.5, 1].map((part) => Math.round(part * last)));
			return [...at]
				.map((index) => `<span>${this.labels.html(this.options.tick(this.buckets[index]))}</span>`)
				.join("");
		}

		point_at(event) {
			const box = this.$canvas[0].getBoundingClientRect();
			const index = Math.floor(((event.clientX - box.left) / box.width) * this.buckets.length);
			this.select(Math.min(Math.max(index, 0), this.buckets.length - 1));
		}

		// A lifted finger leaves the value that it chose, until the focus goes elsewhere.
		leave(event) {
			if (event.pointerType !== "touch") {
				this.select(null);
			}
		}

		// The focus that follows a click or a tap keeps what was pointed at.
		focus() {
			this.select(this.at ?? this.buckets.length - 1);
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
			if (event.key === "Escape") {
				event.stopPropagation();
				this.select(null);
			}
			if (to !== undefined) {
				event.preventDefault();
				event.stopPropagation();
				this.select(Math.min(Math.max(to, 0), last));
			}
		}

		select(index) {
			const bucket = index === null ? undefined : this.buckets[index];
			this.at = bucket ? index : null;
			const when = this.options.when || this.options.start_time;
			const readout = bucket ? `${when(bucket)}: ${this.options.value_text(bucket)}` : "";
			this.$root.find(".prego-readout").text(readout);
			const position = bucket ? index : Math.max(0, this.buckets.length - 1);
			this.$canvas.attr({ "aria-valuenow": position, "aria-valuetext": readout || __("nothing chosen") });
			const left = bucket ? `${((index + 0.5) * 100) / this.buckets.length}%` : "";
			this.$root.find(".prego-cursor").css({ left }).toggle(Boolean(bucket));
		}

		// The table of a month is large: it is filled when it is opened, newest first, each gap in one row.
		fill_table() {
			const details = this.$root.find("details")[0];
			if (!details.open) {
				return;
			}
			const { options, buckets } = this;
			const rows = [];
			const cells = buckets.map((bucket) => options.cells(bucket));
			const same = (one, other) => other !== undefined && one.join("\n") === other.join("\n");
			for (let index = 0; index < cells.length; index += 1) {
				const first = index;
				while (!options.is_known(buckets[first]) && same(cells[first], cells[index + 1])) {
					index += 1;
				}
				const row = [options.start_time(buckets[first]), options.end_time(buckets[index]), ...cells[first]];
				rows.unshift(row.map((cell) => this.labels.html(cell)));
			}
			$(details)
				.find(".prego-rows")
				.html(this.labels.table([__("From"), __("To"), ...options.headings], rows));
		}
	};

	// Returns the next 2, 4, 6 or 10 times a power of ten, whose half is a whole number too; at least 4.
	prego_metrics.node_page.Plot.round_up = (value) => {
		const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
		const step = [2, 4, 6, 10].find((factor) => factor * power >= value);
		return Math.max(4, step * power);
	};
})();
