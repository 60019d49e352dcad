// The page "Prego Node" while it is open: requests the state of the node, shows it, and runs the buttons' actions.
frappe.provide("prego_metrics.node_page");

(() => {
	// Scripts may arrive in any order.
	const request = (...parameters) => prego_metrics.node_page.request(...parameters);
	const REFRESH_MS = 15000;
	// The charts change once per bucket, which is ten minutes or longer.
	const CHARTS_MS = 60000;
	// Tenant usage is scanned once a night: only its age changes.
	const TENANTS_MS = 600000;
	const TENANTS_ASSETS = [
		"/assets/prego_metrics/js/node_page/bars.js",
		"/assets/prego_metrics/js/node_page/tenants.js",
	];
	const CHANGED = "prego_node_changed";

	prego_metrics.node_page.Page = class Page {
		constructor(frm) {
			this.frm = frm;
			this.labels = prego_metrics.node_page.labels;
			this.sections = prego_metrics.node_page.sections;
			this.build();
			document.addEventListener("visibilitychange", () => this.start_or_stop());
			frappe.router.on("change", () => this.start_or_stop());
			frappe.realtime.on(CHANGED, () => this.is_visible() && this.refresh(true));
		}

		part(name) {
			return this.$root.find(`[data-part=${name}]`);
		}

		section(name) {
			return this.$root.find(`[data-section=${name}]`);
		}

		build() {
			const { labels } = this;
			const button = (name, label, tone) =>
				`<button type="button" class="btn btn-${tone} btn-sm" data-action="${name}">${labels.html(label)}</button>`;
			const folded = ([name, title]) => `<details class="prego-section" data-section="${name}">
				<summary><h4>${labels.html(title)}</h4> <span class="prego-gist text-muted"></span></summary>
				<div data-part="${name}"></div></details>`;
			const not_run = __("The checks test the settings, the key, the triggers, the host and the control plane, and take up to 20 s.");
			this.$root = $(`<div class="prego-node">
				<div data-part="verdict"></div>
				<div data-part="problems" aria-live="polite"></div>
				<div class="prego-body">
					<div class="prego-buttons">
						${button("push", __("Push now"), "primary")}
						${button("dry_run", __("Dry run"), "default")}
						${button("doctor", __("Run checks"), "default")}
					</div>
					<div class="prego-outcome" aria-live="polite" role="status"></div>
					<div class="prego-dry-run"></div>
					<div data-part="charts"></div>
					<div data-part="dates"></div>
					<section data-section="tenants"><h4>${labels.html(__("Tenant usage"))}</h4>
						<div data-part="tenants"><p class="text-muted">${labels.html(__("Loading …"))}</p></div></section>
					${[
						["last_push", __("Last push")],
						["drivers", __("Triggers")],
						["host", __("Host")],
						["checks", __("Checks")],
						["settings", __("Effective settings")],
					]
						.map(folded)
						.join("")}
				</div></div>`).appendTo(this.frm.get_field("page_html").$wrapper.empty());
			this.$outcome = this.$root.find(".prego-outcome");
			this.$buttons = this.$root.find("[data-action]");
			this.$buttons.on("click", (event) => this.act(event.currentTarget.dataset.action));
			this.$root.on("click", "[data-show]", (event) => this.unfold(event.currentTarget.dataset.show));
			this.part("checks").html(`<p class="text-muted">${labels.html(not_run)}</p>`);
			this.set_gist("checks", __("not run yet"));
		}

		open() {
			const is_operator_site = !this.frm.doc.not_shown;
			this.$root.find(".prego-body").toggle(is_operator_site);
			if (!is_operator_site) {
				this.explain(this.frm.doc.not_shown);
				return;
			}
			if (!this.charts) {
				this.charts = new prego_metrics.node_page.Charts(this.part("charts"), (period) =>
					request("series", { period }).catch((error) => this.show_outcome(error.message, true))
				);
			}
			this.start_or_stop();
		}

		explain(reason) {
			this.stop();
			this.show_verdict([__("Not shown here"), "muted", "–"], reason);
		}

		show_verdict(badge, sentence) {
			this.part("verdict").html(`<div class="prego-verdict">${this.labels.badge(badge)}
				<p class="prego-sentence">${this.labels.sentence(sentence)}</p></div>`);
		}

		set_gist(name, gist) {
			this.section(name).find(".prego-gist").text(gist);
		}

		unfold(name) {
			const $section = this.section(name).prop("open", true);
			$section[0].scrollIntoView({ block: "start" });
			$section.children("summary")[0].focus();
		}

		is_visible() {
			return !document.hidden && window.cur_frm === this.frm && frappe.get_route()[1] === this.frm.doctype;
		}

		start_or_stop() {
			this.stop();
			if (this.is_visible() && !this.frm.doc.not_shown) {
				this.timer = setInterval(() => this.refresh(), REFRESH_MS);
				this.refresh();
			}
		}

		stop() {
			clearInterval(this.timer);
			this.timer = null;
		}

		async refresh(with_charts = false) {
			if (!this.is_visible()) {
				this.stop();
				return;
			}
			try {
				this.show(await request("status"));
			} catch (error) {
				this.show_verdict([__("Unknown"), "doubt", "?"], __("The node could not be read: {0}", [error.message]));
				return;
			}
			const now = Date.now();
			if (with_charts || !this.charts_at || now - this.charts_at > CHARTS_MS) {
				this.charts_at = now;
				await this.charts.refresh();
			}
			this.show_tenants(now);
		}

		// The tenants are loaded last, and only once their section is in view.
		show_tenants(now) {
			if (this.tenants && now - this.tenants_at > TENANTS_MS) {
				this.tenants_at = now;
				this.tenants.refresh();
			}
			if (!this.tenants_observer) {
				this.tenants_observer = new IntersectionObserver((entries) => {
					if (entries.some((entry) => entry.isIntersecting)) {
						this.tenants_observer.disconnect();
						this.load_tenants();
					}
				});
				this.tenants_observer.observe(this.section("tenants")[0]);
			}
		}

		load_tenants() {
			const [bars, tenants] = TENANTS_ASSETS;
			frappe.require(bars, () =>
				frappe.require(tenants, () => {
					this.tenants_at = Date.now();
					this.tenants = new prego_metrics.node_page.Tenants(
						this.part("tenants").empty(),
						(parameters) => request("tenant_sizes", parameters),
						(chosen) => request("tenant_history", chosen)
					);
					this.tenants.refresh();
				})
			);
		}

		show(page) {
			this.replace(this.part("verdict"), this.sections.verdict(page));
			this.replace(this.part("dates"), this.sections.dates(page));
			this.charts.show_latest(page.last_delivered && page.last_delivered.payload, page.status === "fresh");
			for (const name of ["last_push", "drivers", "host", "settings"]) {
				const { gist, body } = this.sections[name](page);
				this.set_gist(name, gist);
				this.replace(this.part(name), body);
			}
			if (page.status !== this.status) {
				this.status = page.status;
				this.status_changed(page);
			}
		}

		// What is wrong comes first: the checks are run once, and what failed stands under the headline.
		status_changed(page) {
			const is_well = page.status === "fresh";
			this.section("last_push").prop("open", !is_well && Boolean(page.last) && page.last.outcome !== "delivered");
			this.section("drivers").prop("open", ["stale", "never"].includes(page.status));
			if (is_well) {
				this.part("problems").empty();
			} else {
				this.part("problems").html(`<p class="text-muted">${this.labels.html(__("Running checks …"))}</p>`);
				this.run_checks().catch((error) => this.part("problems").text(error.message));
			}
		}

		// Unchanged HTML stays in place, with the focus, the selection and the scroll position in it.
		replace($part, html) {
			if ($part.data("prego-html") !== html) {
				$part.data("prego-html", html).html(html);
			}
		}

		show_outcome(message, is_bad = false) {
			const mark = is_bad ? "✕" : "✓";
			this.$outcome.html(
				`<span aria-hidden="true">${mark}</span> ${this.labels.sentence(message).replace(/\n/g, "<br>")}`
			);
		}

		async act(action) {
			const actions = { push: this.push, dry_run: this.dry_run, doctor: this.doctor };
			const focused = document.activeElement;
			this.$buttons.prop("disabled", true);
			this.$outcome.text(
				action === "doctor" ? __("Running checks …") : action === "push" ? __("Pushing …") : __("Counting …")
			);
			try {
				await actions[action].call(this);
			} catch (error) {
				this.show_outcome(error.message, true);
			} finally {
				this.$buttons.prop("disabled", false);
				focused && focused.focus();
			}
		}

		async push() {
			const result = await request("push", {}, "POST");
			this.show_outcome([result.summary, ...result.warnings].join("\n"), result.outcome !== "delivered" || result.error);
			await this.refresh(true);
		}

		async dry_run() {
			const result = await request("push", { dry_run: 1 }, "POST");
			const $payload = this.$root.find(".prego-dry-run").empty();
			if (result.outcome !== "dry_run") {
				this.show_outcome(result.summary, true);
				return;
			}
			this.show_outcome([__("Nothing was sent. A push now would send what is shown below."), ...result.warnings].join("\n"));
			$payload.html(`<pre tabindex="0">${this.labels.html(JSON.stringify(result.payload, null, 2))}</pre>`);
		}

		async doctor() {
			const report = await this.run_checks();
			this.show_outcome(__("Checks: {0}", [this.sections.checks_sentence(report)]), !report.ok);
			this.part("problems").html(this.sections.problems(report));
		}

		async run_checks() {
			const report = await request("doctor", {}, "POST");
			this.part("checks").html(this.sections.checks(report, Date.now() / 1000));
			this.set_gist("checks", this.sections.checks_sentence(report));
			// A push may have been delivered meanwhile.
			this.part("problems").html(this.status === "fresh" ? "" : this.sections.problems(report));
			return report;
		}
	};
})();
