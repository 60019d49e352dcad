// The page "Prego Node" while it is open: asks the node, shows the answer, and does what the buttons say.
frappe.provide("prego_metrics.desk.page.status");

(() => {
	const REFRESH_MS = 15000;
	// The pictures change once a bucket, of ten minutes at least.
	const PICTURES_MS = 60000;
	// The tenants are collected once a night: what changes is their age.
	const TENANTS_MS = 600000;
	const TENANTS_ASSETS = [
		"/assets/prego_metrics/js/prego_node_bars.js",
		"/assets/prego_metrics/js/prego_node_tenants.js",
	];
	const CHANGED = "prego_node_changed";

	// frappe.call would open a dialog for each refresh that fails; here a failure is said on the page.
	async function ask(method, parameters = {}, type = "GET") {
		const query = new URLSearchParams(parameters).toString();
		const url = `/api/method/prego_metrics.api.${method}`;
		const headers = { Accept: "application/json", "X-Frappe-CSRF-Token": frappe.csrf_token };
		let answer;
		let body = {};
		try {
			if (type === "POST") {
				headers["Content-Type"] = "application/x-www-form-urlencoded";
				answer = await fetch(url, { method: type, headers, body: query });
			} else {
				answer = await fetch(query ? `${url}?${query}` : url, { headers });
			}
			body = await answer.json();
		} catch (error) {
			// No connection, or a proxy's page where JSON was due: told by what follows.
			console.info(`prego_metrics.api.${method}: ${error.message}`);
		}
		if (answer && answer.ok) {
			return body.message;
		}
		throw new Error(reason(answer, body));
	}

	function reason(answer, body) {
		if (!answer) {
			return __("This site does not answer.");
		}
		if (answer.status === 401 || (answer.status === 403 && body.session_expired)) {
			return __("Your session has ended: log in again.");
		}
		if (answer.status === 429) {
			return __("Too many requests: wait a minute.");
		}
		try {
			return JSON.parse(JSON.parse(body._server_messages)[0]).message;
		} catch {
			return __("This site answered HTTP {0}.", [answer.status]);
		}
	}

	prego_metrics.desk.page.status.Page = class Page {
		constructor(frm) {
			this.frm = frm;
			this.words = prego_metrics.desk.page.status.words;
			this.sections = prego_metrics.desk.page.status.sections;
			this.build();
			document.addEventListener("visibilitychange", () => this.start_or_stop());
			frappe.router.on("change", () => this.start_or_stop());
			frappe.realtime.on(CHANGED, () => this.is_shown() && this.refresh(true));
		}

		part(name) {
			return this.frm.get_field(`${name}_html`).$wrapper;
		}

		build() {
			const button = (name, label, tone) =>
				`<button type="button" class="btn btn-${tone} btn-sm" data-action="${name}">${this.words.html(label)}</button>`;
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
				`<p class="text-muted">${this.words.html(
					__("Not run yet. They look at the settings, the key, the drivers, the host and the control plane, and take up to 20 s.")
				)}</p>`
			);
			this.part("tenants").html(`<p class="text-muted">${this.words.html(__("Loading …"))}</p>`);
			for (const name of ["host", "last_push", "drivers", "settings", "checks", "pictures", "tenants"]) {
				this.part(name).addClass("prego-node");
			}
		}

		open() {
			const shown = !this.frm.doc.not_shown;
			const parts = ["pictures", "tenants", "host", "last_push", "drivers", "checks", "settings"];
			parts.forEach((name) => this.frm.toggle_display(`${name}_section`, shown));
			this.$buttons.parent().toggle(shown);
			if (!shown) {
				this.explain(this.frm.doc.not_shown);
				return;
			}
			if (!this.pictures) {
				this.pictures = new prego_metrics.desk.page.status.Pictures(this.part("pictures").empty(), (period) =>
					ask("series", { period }).catch((error) => this.say(error.message, true))
				);
			}
			this.start_or_stop();
		}

		explain(text) {
			this.stop();
			this.part("state")
				.find("[data-part=verdict]")
				.html(
					`<div class="prego-verdict">${this.words.badge([__("Not shown here"), "muted", "–"])}
					<p class="prego-sentence">${this.words.html(text)}</p></div>`
				);
		}

		is_shown() {
			return !document.hidden && window.cur_frm === this.frm && frappe.get_route()[1] === this.frm.doctype;
		}

		start_or_stop() {
			this.stop();
			if (this.is_shown() && !this.frm.doc.not_shown) {
				this.timer = setInterval(() => this.refresh(), REFRESH_MS);
				this.refresh();
			}
		}

		stop() {
			clearInterval(this.timer);
			this.timer = null;
		}

		async refresh(with_pictures = false) {
			if (!this.is_shown()) {
				this.stop();
				return;
			}
			try {
				this.show(await ask("status"));
			} catch (error) {
				this.part("state")
					.find("[data-part=verdict]")
					.html(
						`<div class="prego-verdict">${this.words.badge([__("Unknown"), "doubt", "?"])}
						<p class="prego-sentence">${this.words.html(__("The node could not be read: {0}", [error.message]))}</p></div>`
					);
				return;
			}
			const now = Date.now();
			if (with_pictures || !this.pictures_at || now - this.pictures_at > PICTURES_MS) {
				this.pictures_at = now;
				await this.pictures.refresh();
			}
			this.show_tenants(now);
		}

		// The tenants come last, and only once their section is in view: many a visit does without them.
		show_tenants(now) {
			if (this.tenants && now - this.tenants_at > TENANTS_MS) {
				this.tenants_at = now;
				this.tenants.refresh();
			}
			if (!this.tenants_seen) {
				this.tenants_seen = new IntersectionObserver((entries) => {
					if (entries.some((entry) => entry.isIntersecting)) {
						this.tenants_seen.disconnect();
						this.load_tenants();
					}
				});
				this.tenants_seen.observe(this.part("tenants")[0]);
			}
		}

		load_tenants() {
			const [bars, tenants] = TENANTS_ASSETS;
			frappe.require(bars, () =>
				frappe.require(tenants, () => {
					this.tenants_at = Date.now();
					this.tenants = new prego_metrics.desk.page.status.Tenants(
						this.part("tenants").empty(),
						(asked) => ask("tenant_sizes", asked),
						(chosen) => ask("tenant_history", chosen)
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

		// What did not change stays, with the focus, the selection and the scroll position in it.
		replace($part, html) {
			if ($part.data("prego-html") !== html) {
				$part.data("prego-html", html).html(html);
			}
		}

		say(text, is_bad = false) {
			const mark = is_bad ? "✕" : "✓";
			this.$outcome.html(
				`<span aria-hidden="true">${mark}</span> ${this.words.html(text).replace(/\n/g, "<br>")}`
			);
		}

		async act(action) {
			const asks = { push: this.push, dry_run: this.dry_run, doctor: this.doctor };
			const focused = document.activeElement;
			this.$buttons.prop("disabled", true);
			this.$outcome.text(
				action === "doctor" ? __("Running the checks …") : action === "push" ? __("Pushing …") : __("Counting …")
			);
			try {
				await asks[action].call(this);
			} catch (error) {
				this.say(error.message, true);
			} finally {
				this.$buttons.prop("disabled", false);
				focused && focused.focus();
			}
		}

		async push() {
			const ended = await ask("push", {}, "POST");
			this.say([ended.summary, ...ended.warnings].join("\n"), ended.outcome !== "delivered");
			await this.refresh(true);
		}

		async dry_run() {
			const ended = await ask("push", { dry_run: 1 }, "POST");
			const $shown = this.part("state").find(".prego-dry-run").empty();
			if (ended.outcome !== "dry_run") {
				this.say(ended.summary, true);
				return;
			}
			this.say([__("Nothing was sent. A push now would send what is shown below."), ...ended.warnings].join("\n"));
			$shown.html(`<pre tabindex="0">${this.words.html(JSON.stringify(ended.payload, null, 2))}</pre>`);
		}

		async doctor() {
			const examined = await ask("doctor", {}, "POST");
			this.part("checks").html(this.sections.checks(examined));
			this.say(
				`${this.sections.checks_sentence(examined)} ${__("They are listed under Checks.")}`,
				!examined.ok
			);
		}
	};
})();
