package session

import (
	"math"
	"time"
)

// second is an instant in seconds since 1970: sessions end on whole seconds, so
// that the index needs four bytes for each of its times. 0 is no time; the last
// is in 2106.
type second uint32

func secondOf(t time.Time) second {
	if t.IsZero() {
		return 0
	}
	return second(min(max(t.Unix(), 1), math.MaxUint32))
}

// Time is the instant, or the zero time.
func (s second) Time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0)
}

// plus adds whole seconds and stays in range.
func (s second) plus(seconds uint32) second {
	return second(min(uint64(s)+uint64(seconds), math.MaxUint32))
}

// wholeSeconds rounds a lifetime up to seconds, at least one.
func wholeSeconds(d time.Duration) uint32 {
	seconds := (d + time.Second - 1) / time.Second
	return uint32(min(max(seconds, 1), math.MaxUint32))
}
