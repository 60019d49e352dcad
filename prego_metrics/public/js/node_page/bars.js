// Bars of tenants on the page "Prego Node": each a button that chooses its tenant, its parts distinguished by pattern.
frappe.provide("prego_metrics.node_page");

(() => {
	const labels = prego_metrics.node_page.labels;

	// The fill of each part. The patterns are defined once on the page, by `Bars.patterns()`.
	const FILLS = {
		growth: "var(--text-muted)",
		files: "var(--prego-line)",
		backups: "url(#prego-stripes)",
		database: "url(#prego-dots)",
	};

	function rectangle(part, x, width) {
		return `<rect class="prego-part prego-part-${part}" x="${x}%" width="${width}%" y="0.5" height="11" style="fill: ${FILLS[part]}"/>`;
	}

	prego_metrics.node_page.Bars = class Bars {
		// `choose({ bench, site })` is called when a bar is pressed.
		constructor({ name, label, legend, headings }, parent, choose) {
			this.headings = headings;
			this.rows = [];
			this.$root = $(`<section class="prego-bars" data-bars="${name}">
				<h5>${labels.html(label)}</h5>${legend || ""}<p class="prego-summary text-muted"></p>
				<ol></ol>
				<details><summary>${labels.html(
					__("{0} as a table", [label])
				)}</summary><div class="prego-rows"></div></details>
			</section>`).appendTo(parent);
			this.$root.on("click", ".prego-bar", (event) => choose(this.rows[event.currentTarget.dataset.row]));
			this.$root.find("details").on("toggle", () => this.fill_table());
		}

		// A row is a site as the HTTP method `tenant_sizes` returns it, with `length`, `parts` ([part, bytes], their sum
		// is the length), `description`, and `cells` for the table.
		draw(rows, summary) {
			this.rows = rows;
			this.$root.find(".prego-summary").text(summary).toggle(Boolean(summary));
			this.$root.find("details").toggle(rows.length > 0);
			const longest = Math.max(1, ...rows.map((row) => row.length));
			// Two benches may have a site of the same name.
			this.has_several_benches = new Set(rows.map((row) => row.bench)).size > 1;
			const html = rows.map((row, index) => `<li>${this.bar(row, index, longest)}</li>`).join("");
			// Unchanged bars stay in place, and keep the focus.
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
				<span class="prego-bar-name">${labels.html(this.name(row))} ${this.badge(row)}</span>
				<span class="prego-bar-description">${labels.html(row.description)}</span>
				<svg width="100%" height="12" aria-hidden="true" focusable="false">${parts.join("")}</svg>
			</button>`;
		}

		name(row) {
			return this.has_several_benches ? `${row.site} (${row.bench})` : row.site;
		}

		badge(row) {
			return row.counted === false ? labels.badge([__("Not counted"), "muted", "–"]) : "";
		}

		// Highlights the chosen tenant, if it is among these.
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
			const rows = this.rows.map((row) => [this.name(row), ...row.cells, counted(row)].map(labels.html));
			this.$root.find(".prego-rows").html(labels.table([__("Site"), ...this.headings, __("Counted")], rows));
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
			const entries = names.map(([part, name]) => {
				return `<span><svg width="28" height="12" aria-hidden="true" focusable="false">${rectangle(
					part,
					0,
					100
				)}</svg> ${labels.html(name)}</span>`;
			});
			return `<p class="prego-legend prego-keys text-muted">${entries.join("")}</p>`;
		}
	};
})();
