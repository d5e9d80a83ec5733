package gateway

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/internal/guard"
)

// outcomes is how many outcomes a decision may have.
const outcomes = int(guard.Unavailable) + 1

// counterOf counts the decisions of a guard over these rules, on the hot path: what
// it returns takes no lock, allocates nothing, and is safe for concurrent use.
// Several lists of rules share a series where the rules have the same name, or
// the same number and no name.
func (m *metrics) counterOf(rules []guard.Rule) func(*guard.Decision) {
	table := make([][outcomes]prometheus.Counter, len(rules)+1)
	for number := range table {
		for outcome := range outcomes {
			table[number][outcome] = m.decisions.WithLabelValues(guard.Outcome(outcome).String(), ruleLabel(rules, number))
		}
	}
	return func(d *guard.Decision) {
		number, outcome := d.Rule, int(d.Outcome)
		if uint(number) >= uint(len(table)) {
			number = 0
		}
		if outcome >= outcomes {
			outcome = int(guard.Deny) // as Outcome.String says
		}
		table[number][outcome].Inc()
	}
}

// ruleLabel is the name of a rule, else its number; 0 is no rule.
func ruleLabel(rules []guard.Rule, number int) string {
	switch {
	case number == 0:
		return "none"
	case rules[number-1].Name != "":
		return strings.ToValidUTF8(rules[number-1].Name, "?") // anything else would panic
	}
	return strconv.Itoa(number)
}

// counter counts what a guard over these rules decides; see metrics.counterOf.
func (g *Gateway) counter(rules []guard.Rule) func(*guard.Decision) {
	return g.state.metrics.counterOf(rules)
}
