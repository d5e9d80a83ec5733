package gateway

import "github.com/sallyport-auth/sallyport/internal/audit"

// event counts one event of the log.
func (m *metrics) event(e audit.Event) {
	kind, outcome := other, other
	if e.Kind.Known() {
		kind = string(e.Kind)
	}
	switch e.Outcome {
	case audit.OK, audit.Denied, audit.Failed:
		outcome = string(e.Outcome)
	}
	m.events.WithLabelValues(kind, outcome).Inc()
	if e.Kind == audit.KindThrottled {
		m.throttled.WithLabelValues(triedOf(e.Method), oneOf(e.Cause, "principal", "network", "closed")).Inc()
	}
	if door, outcome := loginOf(e); door != "" {
		m.logins.WithLabelValues(oneOf(door, "portal", "api"), outcome).Inc()
	}
}

// loginOf reads an event of a login; door is empty for all others.
func loginOf(e audit.Event) (door, outcome string) {
	ok, code := e.Outcome == audit.OK, e.Kind == audit.KindCode || e.Kind == audit.KindRecovery
	switch {
	case e.Kind == audit.KindLogin && ok:
		return e.Detail["door"], "ok"
	case e.Kind == audit.KindStepUp && ok:
		return e.Detail["door"], "step_up"
	case e.Kind == audit.KindLogin:
		return e.Method, "not_enrolled"
	case e.Kind == audit.KindPassword:
		return e.Method, "wrong_password"
	case code && !ok && e.Cause == "dead_token":
		return e.Method, "dead_token"
	case code && !ok && e.Cause == "replay":
		return e.Detail["door"], "replay"
	case code && !ok:
		return e.Detail["door"], "wrong_code"
	}
	return "", ""
}

// triedOf is what somebody tried who was told to wait.
func triedOf(method string) string {
	if method == "" || method == "totp" {
		return "code"
	}
	return oneOf(method, "password", "recovery_code", "fresh", "password_change", "password_reset", "register")
}

// oneOf is word if it is one of known.
func oneOf(word string, known ...string) string {
	for _, k := range known {
		if word == k {
			return k
		}
	}
	return other
}
