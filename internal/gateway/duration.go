package gateway

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time in a configuration: Go's notation ("90s",
// "15m", "8h30m"), whole days ("30d"), or a bare 0. Negative values are refused.
type Duration time.Duration

// UnmarshalJSON reads the notation above from a JSON string or the number 0.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		if string(data) == "0" {
			*d = 0
			return nil
		}
		return fmt.Errorf("expected a length of time with a unit, such as 90s, 15m, 8h or 30d")
	}
	v, err := ParseDuration(text)
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// MarshalJSON prints what UnmarshalJSON reads.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// ParseDuration reads the notation of Duration.
func ParseDuration(text string) (time.Duration, error) {
	bad := func() (time.Duration, error) {
		return 0, fmt.Errorf("expected a length of time such as 90s, 15m, 8h or 30d")
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 36500 {
			return bad()
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return bad()
	}
	return v, nil
}

func (d Duration) std() time.Duration { return time.Duration(d) }

// text prints without the zero parts that time.Duration prints: 15m, not 15m0s.
func (d Duration) text() string {
	s := d.std().String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
