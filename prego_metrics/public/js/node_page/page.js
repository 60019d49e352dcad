// The page "Prego Node" while it is open: requests the state of the node, shows it, and runs the buttons' actions.
frappe.provide("prego_metrics.node_page");

(() => {
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

	// frappe.call would open a dialog for each refresh that fails; here the page shows the failure.
	async function request(method, parameters = {}, type = "GET") {
		const query = new URLSearchParams(parameters).toString();
		const url = `/api/method/prego_metrics.api.${method}`;
		const headers = { Accept: "application/json", "X-Frappe-CSRF-Token": frappe.csrf_token };
		let response;
		let body = {};
		try {
			if (type === "POST") {
				headers["Content-Type"] = "application/x-www-form-urlencoded";
				response = await fetch(url, { method: type, headers, body: query });
			} else {
				response = await fetch(query ? `${url}?${query}` : url, { headers });
			}
			body = await response.json();
		} catch (error) {
			// No connection, or a proxy's page instead of JSON: handled below.
			console.info(`prego_metrics.api.${method}: ${error.message}`);
		}
		if (response && response.ok) {
			return body.message;
		}
		throw new Error(reason(response, body));
	}

	function reason(response, body) {
		if (!response) {
			return __("This site does not answer.");
		}
		if (response.status === 401 || (response.status === 403 && body.session_expired)) {
			return __("Your session has ended: log in again.");
		}
		if (response.status === 429) {
			return __("Too many requests: wait a minute.");
		}
		if (response.status === 500) {
			return __("This site answered HTTP 500. If the app was updated, restart the bench's processes; logs/prego_metrics.log says what failed.");
		}
		try {
			return JSON.parse(JSON.parse(body._server_messages)[0]).message;
		} catch {
			return __("This site answered HTTP {0}.", [response.status]);
		}
	}

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
			return this.frm.get_field(`${name}_html`).$wrapper;
		}

		build() {
			const button = (name, label, tone) =>
				`<button type="button" class="btn btn-${tone} btn-sm" data-action="${name}">${this.labels.html(label)}</button>`;
			this.part("state").html(`<div class="prego-node" data-part="verdict"></div>
				<div class="prego-node prego-buttons">
					${button("push", __("Push now"), "primary")}
					${button("dry_run", __("Dry run"), "default")}
					${button("doctor", __("Run the checks"), "default")}
				</div>
				<div class="prego-node prego-outcome" aria-live="polite" role="status"></div>
				<div class="prego-node prego-dry-run"></div>
				<div class="prego-node" data-part="dates"></div>`);
			this.$outcome = this.part("state").find(".prego-outcome");
			this.$buttons = this.part("state").find("[data-action]");
			this.$buttons.on("click", (event) => this.act(event.currentTarget.dataset.action));
			this.part("checks").html(
				`<p class="text-muted">${this.labels.html(
					__("Not run yet. They look at the settings, the key, the triggers, the host and the control plane, and take up to 20 s.")
				)}</p>`
			);
			this.part("tenants").html(`<p class="text-muted">${this.labels.html(__("Loading …"))}</p>`);
			for (const name of ["host", "last_push", "drivers", "settings", "checks", "charts", "tenants"]) {
				this.part(name).addClass("prego-node");
			}
		}

		open() {
			const is_operator_site = !this.frm.doc.not_shown;
			const parts = ["charts", "tenants", "host", "last_push", "drivers", "checks", "settings"];
			parts.forEach((name) => this.frm.toggle_display(`${name}_section`, is_operator_site));
			this.$buttons.parent().toggle(is_operator_site);
			if (!is_operator_site) {
				this.explain(this.frm.doc.not_shown);
				return;
			}
			if (!this.charts) {
				this.charts = new prego_metrics.node_page.Charts(this.part("charts").empty(), (period) =>
					request("series", { period }).catch((error) => this.show_outcome(error.message, true))
				);
			}
			this.start_or_stop();
		}

		explain(reason) {
			this.stop();
			this.part("state")
				.find("[data-part=verdict]")
				.html(
					`<div class="prego-verdict">${this.labels.badge([__("Not shown here"), "muted", "–"])}
					<p class="prego-sentence">${this.labels.html(reason)}</p></div>`
				);
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
				this.part("state")
					.find("[data-part=verdict]")
					.html(
						`<div class="prego-verdict">${this.labels.badge([__("Unknown"), "doubt", "?"])}
						<p class="prego-sentence">${this.labels.html(__("The node could not be read: {0}", [error.message]))}</p></div>`
					);
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
				this.tenants_observer.observe(this.part("tenants")[0]);
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
			this.part("state").find("[data-part=verdict]").html(this.sections.verdict(page));
			this.part("state").find("[data-part=dates]").html(this.sections.dates(page));
			for (const name of ["host", "last_push", "drivers", "settings"]) {
				this.replace(this.part(name), this.sections[name](page));
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
				`<span aria-hidden="true">${mark}</span> ${this.labels.html(message).replace(/\n/g, "<br>")}`
			);
		}

		async act(action) {
			const actions = { push: this.push, dry_run: this.dry_run, doctor: this.doctor };
			const focused = document.activeElement;
			this.$buttons.prop("disabled", true);
			this.$outcome.text(
				action === "doctor" ? __("Running the checks …") : action === "push" ? __("Pushing …") : __("Counting …")
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
			const $payload = this.part("state").find(".prego-dry-run").empty();
			if (result.outcome !== "dry_run") {
				this.show_outcome(result.summary, true);
				return;
			}
			this.show_outcome([__("Nothing was sent. A push now would send what is shown below."), ...result.warnings].join("\n"));
			$payload.html(`<pre tabindex="0">${this.labels.html(JSON.stringify(result.payload, null, 2))}</pre>`);
		}

		async doctor() {
			const report = await request("doctor", {}, "POST");
			this.part("checks").html(this.sections.checks(report));
			this.show_outcome(
				`${this.sections.checks_sentence(report)} ${__("They are listed under Checks.")}`,
				!report.ok
			);
		}
	};
})();
