package gateway

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// metrics are what a State counts. They live as long as it does, so that a reload
// sets nothing back.
//
// No label has a value that a stranger can choose: each is one of the words in
// this file, the name or the number of a configured rule, or our version. Whoever
// could invent values could fill the memory of everybody who keeps the series.
type metrics struct {
	decisions   *prometheus.CounterVec   // outcome, rule
	logins      *prometheus.CounterVec   // door, outcome
	throttled   *prometheus.CounterVec   // tried, cause
	events      *prometheus.CounterVec   // kind, outcome
	store       *prometheus.HistogramVec // op
	storeErrors *prometheus.CounterVec   // op
	messages    *prometheus.CounterVec   // kind, outcome
	all         []prometheus.Collector
}

// other is the value of a label for everything that has no word of its own.
const other = "other"

// storeBuckets reach from a read in memory to a disk that makes people wait, in
// seconds. A synced commit takes 0.3 ms or more.
var storeBuckets = []float64{5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5}

func newMetrics() *metrics {
	m := &metrics{}
	m.decisions = m.counter("decisions_total", "Requests that the guard decided on, by the rule that matched (its name, else its number) and what became of them.", "outcome", "rule")
	m.logins = m.counter("logins_total", "Logins that ended, and passwords and codes that were refused on the way.", "door", "outcome")
	m.throttled = m.counter("throttled_total", "Tries at a door that were told to wait, by what was tried and which limit said so.", "tried", "cause")
	m.events = m.counter("events_total", "Events as the log has them.", "kind", "outcome")
	m.messages = m.counter("messages_total", "Messages to people, by kind, and what became of them: queued, sent, failed (a try; another follows), dead, expired, superseded.", "kind", "outcome")
	m.storeErrors = m.counter("store_errors_total", "Transactions that the store failed at. Refused credentials and missing records are none.", "op")
	m.store = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sallyport_store_seconds", Help: "How long a transaction of the store took its caller, waiting for its turn included.", Buckets: storeBuckets,
	}, []string{"op"})
	m.all = append(m.all, m.store)
	m.begin()
	return m
}

func (m *metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sallyport_" + name, Help: help}, labels)
	m.all = append(m.all, c)
	return c
}

// begin lets the series that alerts hang on begin at 0: the first event of a
// series that was not there is no increase.
func (m *metrics) begin() {
	for _, door := range []string{"portal", "api"} {
		for _, outcome := range []string{"ok", "step_up", "wrong_password", "wrong_code", "replay", "dead_token", "not_enrolled"} {
			m.logins.WithLabelValues(door, outcome)
		}
	}
	for _, tried := range []string{"password", "code", "recovery_code", "fresh", "password_change", "password_reset", "register"} {
		for _, cause := range []string{"principal", "network", "closed"} {
			m.throttled.WithLabelValues(tried, cause)
		}
	}
	for _, kind := range notify.Kinds() {
		m.messages.WithLabelValues(string(kind), string(notify.OutcomeDead))
	}
	for _, op := range []store.Op{store.OpView, store.OpUpdate} {
		m.store.WithLabelValues(string(op))
		m.storeErrors.WithLabelValues(string(op))
	}
}

// value adds a collector that asks fn at each scrape.
func (m *metrics) value(name, help string, fn func() float64) {
	m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sallyport_" + name, Help: help}, fn))
}

// observe is the store's SealedOptions.Observe.
func (m *metrics) observe(op store.Op, took time.Duration, failure error) {
	m.store.WithLabelValues(string(op)).Observe(took.Seconds())
	if failure != nil {
		m.storeErrors.WithLabelValues(string(op)).Inc()
	}
}

// Collectors are the metrics of the state below; see State.Collectors.
func (g *Gateway) Collectors() []prometheus.Collector { return g.state.Collectors() }

// Collectors are the metrics of everything that runs over this state. Any number
// of registries may have them, one after another or at once: a shell that
// reloads gives them to its new registry, and no counter goes backwards.
func (s *State) Collectors() []prometheus.Collector { return slices.Clone(s.metrics.all) }

// watch adds what is asked at each scrape, and follows the log of events.
func (s *State) watch(version string) {
	m := s.metrics
	m.value("hash_slots", "Passwords that may be hashed at once.", func() float64 { _, most, _ := s.hashLoad(); return float64(most) })
	m.value("hash_running", "Passwords that are being hashed now.", func() float64 { running, _, _ := s.hashLoad(); return float64(running) })
	m.value("hash_waiting", "Callers that wait for a slot to hash a password.", func() float64 { _, _, waiting := s.hashLoad(); return float64(waiting) })
	m.all = append(m.all, prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "sallyport_hash_refused_total", Help: "Callers that were answered 503, because the queue for password hashing was full or too slow.",
	}, func() float64 { return float64(s.refused.Load()) }))
	m.value("sessions_indexed", "Session tokens known in memory. A session of a cookie domain has two; one whose cookie did not come since the start has none.",
		func() float64 { return float64(s.Sessions.Indexed()) })
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sallyport_build_info", Help: "1, and the version of the program as a label."}, []string{"version"})
	build.WithLabelValues(strings.ToValidUTF8(version, "?")).Set(1)
	m.all = append(m.all, build)
	s.Audit.Subscribe(m.event)
}

// hashLoad is the load of the slots of the newest configuration; 0 before there
// is one.
func (s *State) hashLoad() (running, most, waiting int) {
	s.mu.Lock()
	h := s.hasher
	s.mu.Unlock()
	if h == nil {
		return 0, 0, 0
	}
	return h.Load()
}
