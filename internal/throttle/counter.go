package throttle

import (
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// counter holds the wrong tries of one principal, kind and place.
type counter struct {
	store.Meta
	Wrong int       `json:"wrong"`
	Last  time.Time `json:"last,omitzero"`  // the latest wrong try
	Since time.Time `json:"since,omitzero"` // from when the forgetting, or the day, is counted
	Open  []mark    `json:"open,omitempty"` // undecided tries
	Seq   uint64    `json:"seq"`
}

// mark names one try within a record. The instant belongs to the name: a record
// that expired and began anew counts its marks anew.
type mark struct {
	Seq uint64    `json:"seq"`
	At  time.Time `json:"at"`
}

func (m mark) is(other mark) bool { return m.Seq == other.Seq && m.At.Equal(other.At) }

// loadCounter reads a try's counter as it is now.
func (t *Throttle) loadCounter(tx store.Tx, try Try) (*counter, error) {
	c, err := store.Load[counter](tx, counterKey(try.subject, try.kind, try.place))
	if errors.Is(err, store.ErrNotFound) {
		return &counter{}, nil
	}
	if err != nil {
		return nil, err
	}
	c.settleOld(tx.Now())
	c.forget(tx.Now(), t.policy.Window, try)
	return c, nil
}

// save writes the counter until all in it is forgotten; an empty one goes at once.
func (t *Throttle) saveCounter(tx store.Tx, try Try, c *counter) error {
	key := counterKey(try.subject, try.kind, try.place)
	if c.Wrong == 0 && len(c.Open) == 0 {
		return tx.Delete(key)
	}
	return store.Save(tx, key, c, t.expiry(tx.Now(), try, c))
}

// expiry is when nothing of a counter counts any more. A closed place must not
// open because its counter is forgotten: nothing says that again. So the codes of
// a place live as long as it may be known, counted from the latest wrong one;
// Succeeded prolongs both.
func (t *Throttle) expiry(now time.Time, try Try, c *counter) time.Time {
	switch {
	case try.asked:
		return now.Add(day + undecided)
	case try.daily():
		return c.Since.Add(day)
	case try.kind.forgets() && t.policy.Window > 0:
		tries := time.Duration(c.Wrong + len(c.Open) + 1)
		return now.Add(tries*t.policy.Window + undecided)
	case !try.kind.forgets() && try.place != elsewhere:
		return now.Add(KnownFor)
	}
	return time.Time{}
}

// settleOld makes tries wrong that nobody settled.
func (c *counter) settleOld(now time.Time) {
	for len(c.Open) > 0 && now.Sub(c.Open[0].At) >= undecided {
		c.wrong(c.Open[0].At, false)
		c.Open = c.Open[1:]
	}
}

// forget drops what time makes good.
func (c *counter) forget(now time.Time, window time.Duration, try Try) {
	switch {
	case c.Wrong == 0:
	case try.asked:
		if now.Sub(c.Last) >= day {
			c.Wrong = 0
		}
	case try.daily():
		if now.Sub(c.Since) >= day {
			c.Wrong = 0
		}
	case try.kind.forgets() && window > 0:
		if n := int64(now.Sub(c.Since) / window); n > 0 {
			c.Wrong = int(max(int64(c.Wrong)-n, 0))
			c.Since = c.Since.Add(time.Duration(n) * window)
		}
	}
}

// wrong counts a wrong try. The day begins with the first one; the forgetting
// begins anew with each.
func (c *counter) wrong(at time.Time, daily bool) {
	if c.Wrong == 0 || !daily && at.After(c.Since) {
		c.Since = at
	}
	c.Wrong++
	if at.After(c.Last) {
		c.Last = at
	}
}

// takeBack removes a try: an undecided one, or one that counts as wrong already.
func (c *counter) takeBack(now time.Time, try Try) {
	n := len(c.Open)
	c.Open = slices.DeleteFunc(c.Open, try.mark.is)
	open := try.kind == Password && now.Sub(try.mark.At) < undecided
	if len(c.Open) < n || open || c.Wrong == 0 {
		return
	}
	c.Wrong--
	if c.Last.Equal(try.mark.At) {
		c.Last, c.Since = try.last, try.since // as if the try had not been: no longer wait
	}
}

// wait is how long the next try has to wait after the wrong tries so far.
func (c *counter) wait(now time.Time, delay time.Duration) time.Duration {
	if c.Last.IsZero() {
		return 0
	}
	// A clock that was set back must not make the wait longer than the delay.
	return min(max(c.Last.Add(delay).Sub(now), 0), delay)
}
