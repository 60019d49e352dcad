// The tenants on the page "Prego Node": the largest, the fastest growing, and one tenant's history.
frappe.provide("prego_metrics.desk.page.status");

(() => {
	const { words, Bars, Plot } = prego_metrics.desk.page.status;
	const TYPING_MS = 400;
	const PARTS = ["files", "backups", "database"];

	const signed = (bytes) => `${bytes < 0 ? "−" : "+"}${words.size(Math.abs(bytes))}`;
	const part_names = () => ({ files: __("Files"), backups: __("Backups"), database: __("Database") });

	// What a Plot draws of one tenant; a bucket is a day with `at`, its beginning in UTC.
	function drawn(site) {
		const names = part_names();
		const line = (name) => ({ name, value: (day) => (day.known ? day[`${name}_bytes`] : null) });
		const text = (day) => {
			if (!day.known) {
				return __("not collected");
			}
			const parts = PARTS.map((part) => `${names[part]} ${words.size(day[`${part}_bytes`])}`);
			return `${__("Total")} ${words.size(day.total_bytes)} (${parts.join(", ")})`;
		};
		const sizes = (day) => ["total", ...PARTS].map((part) => day[`${part}_bytes`]);
		return {
			name: "tenant",
			label: site,
			nothing: __("not collected"),
			lines: ["total", "files", "database"].map(line),
			is_known: (day) => day.known,
			top: (known) => Plot.round_up(Math.max(0, ...known.flatMap(sizes))),
			axis: (value) => (value ? words.size(value) : "0"),
			newest: text,
			text,
			headings: [__("Total"), ...PARTS.map((part) => names[part])],
			cells: (day) => (day.known ? sizes(day).map((bytes) => words.size(bytes)) : Array(4).fill(text(day))),
			time: (day) => words.date(day.at),
			ends: (day) => words.date(day.at),
			tick: (day) => words.date(day.at),
			long_ticks: true,
		};
	}

	prego_metrics.desk.page.status.Tenants = class Tenants {
		// `fetch_sizes` and `fetch_history` take the HTTP methods' parameters and return promises of their answers.
		constructor(parent, fetch_sizes, fetch_history) {
			this.fetch_sizes = fetch_sizes;
			this.fetch_history = fetch_history;
			this.asked = { days: 30, top: 10, contains: "" };
			this.$root = $(`<div class="prego-tenants">${Bars.patterns()}
				<p class="prego-age"></p><div class="prego-notes"></div>
				<div class="prego-shown">
					${this.controls()}
					<div class="prego-pictures prego-two"></div>
					<div class="prego-one"></div>
				</div></div>`).appendTo(parent);
			this.$root.find(".prego-periods").attr("aria-label", __("How far back"));
			this.listen();
			const names = part_names();
			const $bars = this.$root.find(".prego-two");
			const choose = (row) => this.choose(row);
			this.largest = new Bars(
				{
					name: "largest",
					label: __("Largest"),
					legend: Bars.legend(),
					headings: [__("Total"), ...PARTS.map((part) => names[part])],
				},
				$bars,
				choose
			);
			this.fastest = new Bars(
				{
					name: "fastest",
					label: __("Fastest Growing"),
					headings: [__("Each day"), __("Grown"), __("In days")],
				},
				$bars,
				choose
			);
			this.hint();
		}

		controls() {
			const buttons = [7, 30].map(
				(days) => `<button type="button" class="btn btn-default btn-sm" data-days="${days}"
					aria-pressed="${days === this.asked.days}">${words.html(__("{0} days", [days]))}</button>`
			);
			const most = [10, 25, 50].map((top) => `<option value="${top}">${top}</option>`);
			return `<div class="prego-controls"><div class="prego-periods btn-group" role="group">${buttons.join("")}</div>
				<label>${words.html(__("Show"))} <select class="form-control input-sm">${most.join("")}</select></label>
				<label>${words.html(__("Site contains"))} <input type="search" class="form-control input-sm"></label></div>`;
		}

		listen() {
			const $days = this.$root.find("[data-days]").on("click", (event) => {
				this.asked.days = Number(event.currentTarget.dataset.days);
				$days.each((_index, button) => {
					button.setAttribute("aria-pressed", Number(button.dataset.days) === this.asked.days);
				});
				this.refresh();
			});
			this.$root.find("select").on("change", (event) => {
				this.asked.top = Number(event.currentTarget.value);
				this.refresh();
			});
			this.$root.find("input").on("input", (event) => {
				this.asked.contains = event.currentTarget.value.trim();
				clearTimeout(this.typing);
				this.typing = setTimeout(() => this.refresh(), TYPING_MS);
			});
		}

		async refresh() {
			const asked = JSON.stringify(this.asked);
			let sizes;
			try {
				sizes = await this.fetch_sizes(this.asked);
			} catch (error) {
				this.$root.find(".prego-notes").html(this.note(error.message));
				return;
			}
			// What was asked meanwhile is answered by its own request.
			if (asked === JSON.stringify(this.asked)) {
				this.show(sizes);
				await this.show_one();
			}
		}

		note(text) {
			return `<p><span aria-hidden="true">!</span> ${words.html(text)}</p>`;
		}

		show(sizes) {
			this.$root.find(".prego-shown").toggle(!sizes.nothing);
			const $age = this.$root.find(".prego-age");
			if (sizes.nothing) {
				this.$root.find(".prego-notes").html(sizes.trouble ? this.note(sizes.nothing) : "");
				$age.text(sizes.trouble ? "" : sizes.nothing);
				return;
			}
			const age = words.age(sizes.newest_age_seconds);
			const oldest = words.age(sizes.oldest_age_seconds);
			const said = [__("Figures of {0}, {1} old; {2} sites.", [words.time(sizes.newest_at), age, sizes.sites])];
			if (oldest !== age) {
				said.push(__("The oldest are {0} old.", [oldest]));
			}
			$age.text(said.join(" "));
			this.$root.find(".prego-notes").html(sizes.notes.map((note) => this.note(note)).join(""));
			this.largest.draw(
				sizes.largest.map((row) => this.size_row(row)),
				sizes.largest.length ? "" : __("No site's name contains that.")
			);
			this.fastest.draw(
				sizes.growth.fastest.map((row) => this.growth_row(row)),
				this.growth_sentence(sizes.growth)
			);
		}

		size_row(row) {
			const names = part_names();
			const sizes = PARTS.map((part) => row[`${part}_bytes`]);
			const texts = PARTS.map((part, index) => `${names[part]} ${words.size(sizes[index])}`);
			const total = row.is_lower_bound
				? __("at least {0}", [words.size(row.total_bytes)])
				: words.size(row.total_bytes);
			return {
				...row,
				length: row.total_bytes,
				parts: PARTS.map((part, index) => [part, sizes[index] || 0]),
				text: `${total} (${texts.join(", ")})`,
				cells: [total, ...sizes.map((bytes) => words.size(bytes))],
			};
		}

		growth_row(row) {
			const each = signed(row.bytes_a_day);
			const all = signed(row.bytes);
			return {
				...row,
				length: row.bytes_a_day,
				parts: [["growth", row.bytes_a_day]],
				text: __("{0} a day ({1} in {2} days)", [each, all, row.days]),
				cells: [each, all, row.days],
			};
		}

		growth_sentence(growth) {
			if (!growth.tenants) {
				return __("Growth is not known yet: it needs the figures of a site on two days.");
			}
			const said = [
				__("{0} a day, {1} sites together.", [signed(growth.bytes_a_day), growth.tenants]),
			];
			// A day less is a night that is not over.
			if (growth.known_days < growth.days - 1) {
				said.push(
					__("The figures go back {0} days, not {1}: growth is over these.", [growth.known_days, growth.days])
				);
			}
			if (!growth.fastest.length) {
				said.push(__("No site grew."));
			}
			return said.join(" ");
		}

		hint() {
			this.$root
				.find(".prego-one")
				.html(`<p class="text-muted">${words.html(__("Press a bar to see the history of its site."))}</p>`);
		}

		async choose(row) {
			this.chosen = { site: row.site, bench: row.bench };
			[this.largest, this.fastest].forEach((bars) => bars.mark(this.chosen));
			await this.show_one();
			this.$root.find(".prego-one")[0].scrollIntoView({ block: "nearest" });
		}

		async show_one() {
			const chosen = this.chosen;
			if (!chosen) {
				return;
			}
			const $one = this.$root.find(".prego-one");
			let history;
			try {
				history = await this.fetch_history(chosen);
			} catch (error) {
				history = { nothing: error.message, trouble: true };
			}
			if (chosen !== this.chosen) {
				return;
			}
			if (history.nothing) {
				this.plot = null;
				$one.html(this.note(history.nothing));
				return;
			}
			if (!this.plot || this.plotted !== chosen) {
				this.plotted = chosen;
				$one.html(`<div class="prego-verdict-of-one"></div>`);
				this.plot = new Plot(drawn(history.site), $one);
				this.plot.$root.find(".prego-readout").before(this.keys());
			}
			$one.find(".prego-verdict-of-one").html(this.verdict(history));
			this.plot.draw(
				history.days.map((day, index) => ({
					...day,
					known: day !== null,
					at: history.first_day_at + index * 86400,
				}))
			);
		}

		verdict(history) {
			return history.counted === false
				? `<p>${words.badge([__("Not counted"), "muted", "–"])} ${words.html(history.reason)}</p>`
				: "";
		}

		keys() {
			const names = { total: __("Total"), files: __("Files"), database: __("Database") };
			const shown = Object.entries(names).map(([line, name]) => {
				return `<span><svg width="34" height="12" aria-hidden="true" focusable="false"><path
					class="prego-line prego-line-${line}" d="M 2,6 H 32"/></svg> ${words.html(name)}</span>`;
			});
			const shaded = __("Days in UTC. Shaded: not collected. A line ends where its figure is unknown.");
			return `<p class="prego-legend prego-keys text-muted">${shown.join("")}<span>${words.html(shaded)}</span></p>`;
		}
	};
})();
