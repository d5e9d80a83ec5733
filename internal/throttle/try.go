package throttle

import (
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// Try is one counted try, to be settled by Good, Wrong or Uncount. It is a value
// of this process: it may be kept between two transactions, not stored.
type Try struct {
	subject string
	kind    Kind
	place   string
	asked   bool // between two: see Between
	mark    mark
	last    time.Time // of the counter, before this try
	since   time.Time // likewise

	networked bool
	bucket    uint32
	netMark   mark
}

// daily tells whether the day's limit of services holds, and no delays.
func (try Try) daily() bool { return try.kind == Token && try.place == elsewhere && !try.asked }

// Count counts one wrong try now, or answers *Throttled; then nothing is counted
// and the try must not be judged. The transaction must commit, whatever else it
// decides. Other errors mean that the store failed.
func (t *Throttle) Count(tx store.Tx, s Subject, k Kind, o Origin) (Try, error) {
	if s.key == "" || k < Password || k > Token {
		panic("throttle: a try needs a subject and a kind")
	}
	place, err := t.place(tx, s, o)
	if err != nil {
		return Try{}, err
	}
	try := Try{subject: s.key, kind: k, place: place, asked: s.caller != ""}
	try.networked = place == elsewhere && !o.Exempt && t.policy.Network > 0 && t.policy.Window > 0
	c, err := t.loadCounter(tx, try)
	if err != nil {
		return Try{}, err
	}
	n := &network{}
	if try.networked {
		try.bucket = t.bucket(o.Client)
		if n, err = t.loadNetwork(tx, try.bucket); err != nil {
			return Try{}, err
		}
	}
	if err := t.refusal(tx.Now(), try, c, n); err != nil {
		return Try{}, err
	}
	return t.count(tx, try, c, n)
}

// Refused writes the counter of a try that was refused once more, as it is: so that
// to be told nothing, where a caller asks about somebody, takes as long as to be
// judged.
func (t *Throttle) Refused(tx store.Tx, s Subject, k Kind, o Origin) error {
	place, err := t.place(tx, s, o)
	if err != nil {
		return err
	}
	try := Try{subject: s.key, kind: k, place: place, asked: s.caller != ""}
	c, err := t.loadCounter(tx, try)
	if err != nil {
		return err
	}
	return t.saveCounter(tx, try, c)
}

// refusal is a *Throttled where the try has to wait, with the longest of the waits.
func (t *Throttle) refusal(now time.Time, try Try, c *counter, n *network) error {
	if t.policy.Closed > 0 && try.kind == Code && c.Wrong >= t.policy.Closed {
		closed := &Throttled{Cause: CauseClosed}
		if try.asked {
			closed.RetryAfter = min(c.Last.Add(day).Sub(now), day)
		}
		return closed
	}
	own := t.wait(now, try, c)
	others := time.Duration(0)
	if try.networked {
		others = n.wait(now, t.policy)
	}
	switch {
	case own <= 0 && others <= 0:
		return nil
	case own >= others:
		return &Throttled{RetryAfter: own, Cause: CausePrincipal}
	}
	return &Throttled{RetryAfter: others, Cause: CauseNetwork}
}

func (t *Throttle) wait(now time.Time, try Try, c *counter) time.Duration {
	if try.daily() {
		if t.policy.Tokens <= 0 || c.Wrong < t.policy.Tokens {
			return 0
		}
		return min(c.Since.Add(day).Sub(now), day)
	}
	wait := c.wait(now, t.policy.delay(c.Wrong))
	if len(c.Open) > 0 && t.policy.delay(c.Wrong+len(c.Open)) > 0 {
		wait = max(wait, shortly)
	}
	return wait
}

func (t *Throttle) count(tx store.Tx, try Try, c *counter, n *network) (Try, error) {
	now, open := tx.Now(), try.kind == Password
	c.Seq++
	try.mark, try.last, try.since = mark{Seq: c.Seq, At: now}, c.Last, c.Since
	if open {
		c.Open = append(c.Open, try.mark)
	} else {
		c.wrong(now, try.daily())
	}
	if err := t.saveCounter(tx, try, c); err != nil {
		return Try{}, err
	}
	if !try.networked {
		return try, nil
	}
	try.netMark = n.add(now, open)
	return try, t.saveNetwork(tx, try.bucket, n)
}

// Good settles a try that was good: it is taken back. A good code or recovery code
// sets the counter of codes at its place to 0 as well. A good password touches no
// codes and forgets no wrong passwords.
func (t *Throttle) Good(tx store.Tx, try Try) error {
	if try.kind.counter() != Code {
		return t.Uncount(tx, try)
	}
	if err := tx.Delete(counterKey(try.subject, try.kind, try.place)); err != nil {
		return err
	}
	return t.settleNetwork(tx, try, false)
}

// Uncount takes a try back that was neither good nor wrong: the replay of an
// accepted step, or a password that could not be hashed now.
func (t *Throttle) Uncount(tx store.Tx, try Try) error {
	c, err := t.loadCounter(tx, try)
	if err != nil {
		return err
	}
	c.takeBack(tx.Now(), try)
	if err := t.saveCounter(tx, try, c); err != nil {
		return err
	}
	return t.settleNetwork(tx, try, false)
}

// Wrong settles a try that was wrong. It matters for passwords only; the tries of
// other kinds are wrong from the start.
func (t *Throttle) Wrong(tx store.Tx, try Try) error {
	if try.kind != Password {
		return nil
	}
	c, err := t.loadCounter(tx, try)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(c.Open, try.mark.is); i >= 0 {
		c.Open = slices.Delete(c.Open, i, i+1)
		c.wrong(try.mark.At, false)
		if err := t.saveCounter(tx, try, c); err != nil {
			return err
		}
	}
	return t.settleNetwork(tx, try, true)
}

// settleNetwork decides the try in its network's window, if it is still there.
func (t *Throttle) settleNetwork(tx store.Tx, try Try, wrong bool) error {
	if !try.networked {
		return nil
	}
	n, err := t.loadNetwork(tx, try.bucket)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(n.Tries, func(other networkTry) bool { return other.is(try.netMark) })
	switch {
	case i < 0:
		return nil
	case wrong:
		n.Tries[i].Open = false
	default:
		n.Tries = slices.Delete(n.Tries, i, i+1)
	}
	return t.saveNetwork(tx, try.bucket, n)
}
