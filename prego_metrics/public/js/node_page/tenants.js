// The tenants on the page "Prego Node": the largest, the fastest growing, and one tenant's history.
frappe.provide("prego_metrics.node_page");

(() => {
	const { labels, Bars, Plot } = prego_metrics.node_page;
	const TYPING_MS = 400;
	const PARTS = ["files", "backups", "database"];

	const signed = (bytes) => `${bytes < 0 ? "−" : "+"}${labels.size(Math.abs(bytes))}`;
	const part_names = () => ({ files: __("Files"), backups: __("Backups"), database: __("Database") });

	// The options of a Plot of one tenant; a bucket is a day with `at`, its start in UTC.
	function plot_options(site) {
		const names = part_names();
		const line = (name) => ({ name, value: (day) => (day.known ? day[`${name}_bytes`] : null) });
		const value_text = (day) => {
			if (!day.known) {
				return __("not scanned");
			}
			const parts = PARTS.map((part) => `${names[part]} ${labels.size(day[`${part}_bytes`])}`);
			return `${__("Total")} ${labels.size(day.total_bytes)} (${parts.join(", ")})`;
		};
		const sizes = (day) => ["total", ...PARTS].map((part) => day[`${part}_bytes`]);
		return {
			name: "tenant",
			label: site,
			empty_text: __("not scanned"),
			lines: ["total", "files", "database"].map(line),
			is_known: (day) => day.known,
			top: (known) => Plot.round_up(Math.max(0, ...known.flatMap(sizes))),
			axis: (value) => (value ? labels.size(value) : "0"),
			newest_text: value_text,
			value_text,
			headings: [__("Total"), ...PARTS.map((part) => names[part])],
			cells: (day) => (day.known ? sizes(day).map((bytes) => labels.size(bytes)) : Array(4).fill(value_text(day))),
			start_time: (day) => labels.date(day.at),
			end_time: (day) => labels.date(day.at),
			tick: (day) => labels.date(day.at),
		};
	}

	prego_metrics.node_page.Tenants = class Tenants {
		// `fetch_sizes` and `fetch_history` take the parameters of the HTTP methods and return promises of their answers.
		constructor(parent, fetch_sizes, fetch_history) {
			this.fetch_sizes = fetch_sizes;
			this.fetch_history = fetch_history;
			this.parameters = { days: 30, top: 10, contains: "" };
			this.$root = $(`<div class="prego-tenants">${Bars.patterns()}
				<p class="prego-age"></p><div class="prego-notes"></div>
				<div class="prego-details">
					${this.controls()}
					<div class="prego-charts prego-rankings"></div>
					<div class="prego-history"></div>
				</div></div>`).appendTo(parent);
			this.$root.find(".prego-periods").attr("aria-label", __("How far back"));
			this.listen();
			const names = part_names();
			const $bars = this.$root.find(".prego-rankings");
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
					label: __("Fastest growing"),
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
					aria-pressed="${days === this.parameters.days}">${labels.html(__("{0} days", [days]))}</button>`
			);
			const counts = [10, 25, 50].map((top) => `<option value="${top}">${top}</option>`);
			return `<div class="prego-controls"><div class="prego-periods btn-group" role="group">${buttons.join("")}</div>
				<label>${labels.html(__("Show"))} <select class="form-control input-sm">${counts.join("")}</select></label>
				<label>${labels.html(__("Site contains"))} <input type="search" class="form-control input-sm"></label></div>`;
		}

		listen() {
			const $days = this.$root.find("[data-days]").on("click", (event) => {
				this.parameters.days = Number(event.currentTarget.dataset.days);
				$days.each((_index, button) => {
					button.setAttribute("aria-pressed", Number(button.dataset.days) === this.parameters.days);
				});
				this.refresh();
			});
			this.$root.find("select").on("change", (event) => {
				this.parameters.top = Number(event.currentTarget.value);
				this.refresh();
			});
			this.$root.find("input").on("input", (event) => {
				this.parameters.contains = event.currentTarget.value.trim();
				clearTimeout(this.typing);
				this.typing = setTimeout(() => this.refresh(), TYPING_MS);
			});
		}

		async refresh() {
			const parameters = JSON.stringify(this.parameters);
			let sizes;
			try {
				sizes = await this.fetch_sizes(this.parameters);
			} catch (error) {
				this.$root.find(".prego-notes").html(this.note(error.message));
				return;
			}
			// If the parameters changed meanwhile, another request is under way.
			if (parameters === JSON.stringify(this.parameters)) {
				this.show(sizes);
				await this.show_history();
			}
		}

		note(sentence) {
			return `<p><span aria-hidden="true">!</span> ${labels.sentence(sentence)}</p>`;
		}

		show(sizes) {
			this.$root.find(".prego-details").toggle(!sizes.nothing);
			const $age = this.$root.find(".prego-age");
			if (sizes.nothing) {
				this.$root.find(".prego-notes").html(sizes.failed ? this.note(sizes.nothing) : "");
				$age.html(sizes.failed ? "" : labels.sentence(sizes.nothing));
				return;
			}
			const age = labels.age(sizes.newest_age_seconds);
			const oldest = labels.age(sizes.oldest_age_seconds);
			const sentences = [__("As of {0} ({1} ago); {2} sites.", [labels.time(sizes.newest_at), age, sizes.sites])];
			if (oldest !== age) {
				sentences.push(__("The oldest data is {0} old.", [oldest]));
			}
			$age.text(sentences.join(" "));
			this.$root.find(".prego-notes").html(sizes.notes.map((note) => this.note(note)).join(""));
			this.largest.draw(
				sizes.largest.map((row) => this.size_row(row)),
				sizes.largest.length ? "" : __("No site name contains this text.")
			);
			this.fastest.draw(
				sizes.growth.fastest.map((row) => this.growth_row(row)),
				this.growth_sentence(sizes.growth)
			);
		}

		size_row(row) {
			const names = part_names();
			const sizes = PARTS.map((part) => row[`${part}_bytes`]);
			const texts = PARTS.map((part, index) => `${names[part]} ${labels.size(sizes[index])}`);
			const total = row.is_lower_bound
				? __("at least {0}", [labels.size(row.total_bytes)])
				: labels.size(row.total_bytes);
			return {
				...row,
				length: row.total_bytes,
				parts: PARTS.map((part, index) => [part, sizes[index] || 0]),
				description: `${total} (${texts.join(", ")})`,
				cells: [total, ...sizes.map((bytes) => labels.size(bytes))],
			};
		}

		growth_row(row) {
			const each = signed(row.bytes_a_day);
			const all = signed(row.bytes);
			return {
				...row,
				length: row.bytes_a_day,
				parts: [["growth", row.bytes_a_day]],
				description: __("{0} a day ({1} in {2} days)", [each, all, row.days]),
				cells: [each, all, row.days],
			};
		}

		growth_sentence(growth) {
			if (!growth.tenants) {
				return __("Growth is not known yet: it needs scans of a site on two days.");
			}
			const sentences = [
				__("{0} a day, {1} sites together.", [signed(growth.bytes_a_day), growth.tenants]),
			];
			// The last night may not be over yet.
			if (growth.known_days < growth.days - 1) {
				sentences.push(
					__("Scans go back only {0} days, not {1}: growth is over {0} days.", [growth.known_days, growth.days])
				);
			}
			if (!growth.fastest.length) {
				sentences.push(__("No site grew."));
			}
			return sentences.join(" ");
		}

		hint() {
			this.$root
				.find(".prego-history")
				.html(`<p class="text-muted">${labels.html(__("Select a bar to see the history of its site."))}</p>`);
		}

		async choose(row) {
			this.chosen = { site: row.site, bench: row.bench };
			[this.largest, this.fastest].forEach((bars) => bars.mark(this.chosen));
			await this.show_history();
			this.$root.find(".prego-history")[0].scrollIntoView({ block: "nearest" });
		}

		async show_history() {
			const chosen = this.chosen;
			if (!chosen) {
				return;
			}
			const $history = this.$root.find(".prego-history");
			let history;
			try {
				history = await this.fetch_history(chosen);
			} catch (error) {
				history = { nothing: error.message, failed: true };
			}
			if (chosen !== this.chosen) {
				return;
			}
			if (history.nothing) {
				this.plot = null;
				$history.html(this.note(history.nothing));
				return;
			}
			if (!this.plot || this.plotted !== chosen) {
				this.plotted = chosen;
				$history.html(`<div class="prego-tenant-verdict"></div>`);
				this.plot = new Plot(plot_options(history.site), $history);
				this.plot.$root.find(".prego-readout").before(this.keys());
			}
			$history.find(".prego-tenant-verdict").html(this.verdict(history));
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
				? `<p>${labels.badge([__("Not counted"), "muted", "–"])} ${labels.html(history.reason)}</p>`
				: "";
		}

		keys() {
			const names = { total: __("Total"), files: __("Files"), database: __("Database") };
			const entries = Object.entries(names).map(([line, name]) => {
				return `<span><svg width="34" height="12" aria-hidden="true" focusable="false"><path
					class="prego-line prego-line-${line}" d="M 2,6 H 32"/></svg> ${labels.html(name)}</span>`;
			});
			const shaded = __("Days in UTC. Grey: not scanned. A line ends where its value is unknown.");
			return `<p class="prego-legend prego-keys text-muted">${entries.join("")}<span>${labels.html(shaded)}</span></p>`;
		}
	};
})();
