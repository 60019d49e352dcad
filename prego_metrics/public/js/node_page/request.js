// Calls of the app's HTTP methods by the page "Prego Node": each failure is an Error whose message says why.
frappe.provide("prego_metrics.node_page");

(() => {
	// frappe.call would open a dialog for each refresh that fails; here the page shows the failure.
	prego_metrics.node_page.request = async function (method, parameters = {}, type = "GET") {
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
	};

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
})();
