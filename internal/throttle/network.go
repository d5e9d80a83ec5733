package throttle

import (
	"errors"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
)

// network holds the wrong and undecided tries of one network in the last Window,
// oldest first, at most Policy.Network of them: an exact sliding window.
type network struct {
	store.Meta
	Tries []networkTry `json:"tries"`
	Seq   uint64       `json:"seq"`
}

type networkTry struct {
	mark
	Open bool `json:"open,omitempty"`
}

// loadNetwork reads a network's tries as they are now.
func (t *Throttle) loadNetwork(tx store.Tx, bucket uint32) (*network, error) {
	n, err := store.Load[network](tx, networkKey(bucket))
	if errors.Is(err, store.ErrNotFound) {
		return &network{}, nil
	}
	if err != nil {
		return nil, err
	}
	now := tx.Now()
	n.Tries = slices.DeleteFunc(n.Tries, func(try networkTry) bool { return now.Sub(try.At) >= t.policy.Window })
	for i := range n.Tries {
		n.Tries[i].Open = n.Tries[i].Open && now.Sub(n.Tries[i].At) < undecided
	}
	return n, nil
}

func (t *Throttle) saveNetwork(tx store.Tx, bucket uint32, n *network) error {
	if len(n.Tries) == 0 {
		return tx.Delete(networkKey(bucket))
	}
	return store.Save(tx, networkKey(bucket), n, n.Tries[len(n.Tries)-1].At.Add(t.policy.Window))
}

// wait is how long the network's next try has to wait.
func (n *network) wait(now time.Time, p Policy) time.Duration {
	if len(n.Tries) < p.Network {
		return 0
	}
	wrong := slices.DeleteFunc(slices.Clone(n.Tries), func(try networkTry) bool { return try.Open })
	if len(wrong) < p.Network {
		return shortly
	}
	// So many must grow old that fewer than p.Network are left.
	oldest := wrong[len(wrong)-p.Network]
	return min(oldest.At.Add(p.Window).Sub(now), p.Window)
}

// add counts a try and returns its name.
func (n *network) add(now time.Time, open bool) mark {
	n.Seq++
	m := mark{Seq: n.Seq, At: now}
	n.Tries = append(n.Tries, networkTry{mark: m, Open: open})
	slices.SortStableFunc(n.Tries, func(a, b networkTry) int { return a.At.Compare(b.At) }) // a clock may go back
	return m
}
