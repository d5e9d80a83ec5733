package throttle

import (
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// sendings holds when messages were caused for one subject, or by one network, in
// the last Policy.SendWindow, oldest first: an exact sliding window.
type sendings struct {
	store.Meta
	At []time.Time `json:"at"`
}

// Send counts one message that somebody has sent to a person: a code, a link. At
// most Policy.Sends for one subject and Policy.NetworkSends from one network go in
// any span of Policy.SendWindow. Known places count too: a message costs money, and
// its receiver sleep, whoever caused it. Where the origin is Exempt no network counts.
//
// *Throttled: do not send. Its Cause is CauseNetwork where the network has had
// enough; that depends on the caller alone, so a stranger may be told. Otherwise it
// is CausePrincipal, and the message counts at the network all the same: where
// strangers name people, answer them as if it had been sent, or they learn by
// counting which two names are one person. The transaction must commit. Other errors
// mean that the store failed.
//
// A name that nobody has stands under Unknown. Every call reads and writes the same
// two kinds of records, whoever was named, unless it answers CauseNetwork.
func (t *Throttle) Send(tx store.Tx, s Subject, o Origin) error {
	if s.key == "" {
		panic("throttle: a message needs a subject")
	}
	if t.policy.SendWindow <= 0 {
		return nil
	}
	if !o.Exempt {
		wait, err := t.sent(tx, networkSendsKey(t.bucket(o.Client)), t.policy.NetworkSends)
		if err != nil {
			return err
		}
		if wait > 0 {
			return &Throttled{RetryAfter: wait, Cause: CauseNetwork, Sending: true}
		}
	}
	wait, err := t.sent(tx, sendsKey(s), t.policy.Sends)
	if err != nil {
		return err
	}
	if wait > 0 {
		return &Throttled{RetryAfter: wait, Cause: CausePrincipal, Sending: true}
	}
	return nil
}

// sent counts a message under a key, or says how long the next one has to wait;
// then the record is written as it was. 0 switches a limit off.
func (t *Throttle) sent(tx store.Tx, key store.Key, limit int) (wait time.Duration, err error) {
	if limit <= 0 {
		return 0, nil
	}
	rec, err := store.Load[sendings](tx, key)
	if errors.Is(err, store.ErrNotFound) {
		rec, err = &sendings{}, nil
	}
	if err != nil {
		return 0, err
	}
	now, window := tx.Now(), t.policy.SendWindow
	rec.At = slices.DeleteFunc(rec.At, func(at time.Time) bool { return now.Sub(at) >= window })
	if len(rec.At) < limit {
		rec.At = append(rec.At, now)
		slices.SortFunc(rec.At, time.Time.Compare) // a clock may go back
	} else {
		wait = min(rec.At[len(rec.At)-limit].Add(window).Sub(now), window)
	}
	return wait, store.Save(tx, key, rec, rec.At[len(rec.At)-1].Add(window))
}

func sendsKey(s Subject) store.Key {
	causer := ""
	if s.stranger {
		causer = "stranger"
	}
	return store.K(store.PrefixThrottle, "s", s.key, causer)
}

func networkSendsKey(bucket uint32) store.Key { return store.K(store.PrefixThrottle, "m", bucket) }
