package portal

import (
	"testing"
	"time"
)

func TestWaitsAreSaidRoundedUp(t *testing.T) {
	p := &Portal{texts: texts()}
	for d, want := range map[time.Duration]string{
		0: "1 second", time.Millisecond: "1 second", time.Second: "1 second", 1001 * time.Millisecond: "2 seconds",
		119 * time.Second: "119 seconds", 2 * time.Minute: "2 minutes", 14*time.Minute + time.Second: "15 minutes",
		119 * time.Minute: "119 minutes", 121 * time.Minute: "3 hours",
	} {
		if got := p.wait(d); got != want {
			t.Errorf("%s is said as %q, want %q", d, got, want)
		}
	}
}
