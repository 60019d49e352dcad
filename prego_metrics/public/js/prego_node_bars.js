// Bars of tenants on the page "Prego Node": each a button that chooses its tenant, its parts told apart by pattern.
frappe.provide("prego_metrics.desk.page.status");

(() => {
	const words = prego_metrics.desk.page.status.words;

	// What fills a part. The patterns stand once on the page; `prego_metrics.desk.page.status.Bars.patterns()` is they.
	const FILLS = {
		growth: "var(--text-muted)",
		files: "var(--prego-line)",
		backups: "url(#prego-stripes)",
		database: "url(#prego-dots)",
	};

	function rectangle(part, x, width) {
		return `<rect class="prego-part prego-part-${part}" x="${x}%" width="${width}%" y="0.5" height="11" style="fill: ${FILLS[part]}"/>`;
	}

	prego_metrics.desk.page.status.Bars = class Bars {
		// `choose({ bench, site })` is called when a bar is pressed.
		constructor({ name, label, legend, headings }, parent, choose) {
			this.headings = headings;
			this.rows = [];
			this.$root = $(`<section class="prego-bars" data-bars="${name}">
				<h5>${words.html(label)}</h5>${legend || ""}<p class="prego-said text-muted"></p>
				<ol></ol>
				<details><summary>${words.html(
					__("{0} as a table", [label])
				)}</summary><div class="prego-rows"></div></details>
			</section>`).appendTo(parent);
			this.$root.on("click", ".prego-bar", (event) => choose(this.rows[event.currentTarget.dataset.row]));
			this.$root.find("details").on("toggle", () => this.fill_table());
		}

		// A row is a site as the HTTP method `tenant_sizes` has it, with `length`, `parts` ([part, bytes], their sum is
		// the length), `text`, and `cells` for the table.
		draw(rows, said) {
			this.rows = rows;
			this.$root.find(".prego-said").text(said).toggle(Boolean(said));
			this.$root.find("details").toggle(rows.length > 0);
			const longest = Math.max(1, ...rows.map((row) => row.length));
			// One name may stand on two benches.
			this.several = new Set(rows.map((row) => row.bench)).size > 1;
			const html = rows.map((row, index) => `<li>${this.bar(row, index, longest)}</li>`).join("");
			// What did not change stays, with the focus in it.
			if (html !== this.html) {
				this.html = html;
				this.$root.find("ol").html(html);
			}
			this.mark(this.chosen);
			this.fill_table();
		}

		bar(row, index, longest) {
			let from = 0;
			const parts = row.parts.map(([part, bytes]) => {
				const width = (bytes * 100) / longest;
				from += width;
				return rectangle(part, from - width, width);
			});
			return `<button type="button" class="prego-bar" data-row="${index}" aria-pressed="false">
				<span class="prego-bar-name">${words.html(this.name(row))} ${this.badge(row)}</span>
				<span class="prego-bar-text">${words.html(row.text)}</span>
				<svg width="100%" height="12" aria-hidden="true" focusable="false">${parts.join("")}</svg>
			</button>`;
		}

		name(row) {
			return this.several ? `${row.site} (${row.bench})` : row.site;
		}

		badge(row) {
			return row.counted === false ? words.badge([__("Not counted"), "muted", "–"]) : "";
		}

		// Shows which tenant is chosen, if it is among these.
		mark(chosen) {
			this.chosen = chosen;
			this.$root.find(".prego-bar").each((index, button) => {
				const row = this.rows[index];
				const is_chosen = Boolean(chosen) && row.site === chosen.site && row.bench === chosen.bench;
				button.setAttribute("aria-pressed", is_chosen);
			});
		}

		fill_table() {
			if (!this.$root.find("details")[0].open) {
				return;
			}
			const counted = (row) =>
				row.counted === null ? __("Unknown") : row.counted ? __("Yes") : `${__("No")}: ${row.reason}`;
			const rows = this.rows.map((row) => [this.name(row), ...row.cells, counted(row)].map(words.html));
			this.$root.find(".prego-rows").html(words.table([__("Site"), ...this.headings, __("Counted")], rows));
		}

		static patterns() {
			return `<svg class="prego-patterns" width="0" height="0" aria-hidden="true" focusable="false"><defs>
				<pattern id="prego-stripes" width="6" height="6" patternUnits="userSpaceOnUse"
					patternTransform="rotate(45)"><path class="prego-stripe" d="M 1.5,0 V 6"/></pattern>
				<pattern id="prego-dots" width="5" height="5" patternUnits="userSpaceOnUse"><circle class="prego-dot"
					cx="2.5" cy="2.5" r="1.4"/></pattern>
			</defs></svg>`;
		}

		static legend() {
			const names = [
				["files", __("Files")],
				["backups", __("Backups")],
				["database", __("Database")],
			];
			const shown = names.map(([part, name]) => {
				return `<span><svg width="28" height="12" aria-hidden="true" focusable="false">${rectangle(
					part,
					0,
					100
				)}</svg> ${words.html(name)}</span>`;
			});
			return `<p class="prego-legend prego-keys text-muted">${shown.join("")}</p>`;
		}
	};
})();
