package throttle

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// elsewhere is the place that all unknown ones share.
const elsewhere = ""

// known remembers that a principal logged in at a place. It expires.
type known struct {
	store.Meta
	At time.Time `json:"at"`
}

// Succeeded remembers, after a full login, the browser and the network as known
// places for 30 days. It does nothing for unknown names and callers.
func (t *Throttle) Succeeded(tx store.Tx, s Subject, o Origin) error {
	if s.unknown || s.caller != "" {
		return nil
	}
	for _, place := range t.places(o) {
		if err := store.Save(tx, knownKey(s, place), &known{At: tx.Now()}, tx.Now().Add(KnownFor)); err != nil {
			return err
		}
		if err := t.prolong(tx, Try{subject: s.key, kind: Code, place: place}); err != nil {
			return err
		}
	}
	return nil
}

// prolong lets the codes of a place live as long as the place may be known.
func (t *Throttle) prolong(tx store.Tx, try Try) error {
	c, err := t.loadCounter(tx, try)
	if err != nil || c.Wrong == 0 {
		return err
	}
	return t.saveCounter(tx, try, c)
}

// Known reports whether the browser or the network is a known place.
func (t *Throttle) Known(tx store.Tx, s Subject, o Origin) (bool, error) {
	place, err := t.place(tx, s, o)
	return place != elsewhere && s.caller == "", err
}

// Reset opens closed places and sets all counters of a principal to 0: after a
// recovery, or by an administrator. Known places stay known; counters of networks
// stay as they are.
func (t *Throttle) Reset(tx store.Tx, id principal.ID) error {
	return removeAll(tx, store.KPrefix(store.PrefixThrottle, "c", Of(id).key))
}

// Forget removes all that is known of a deleted principal.
func (t *Throttle) Forget(tx store.Tx, id principal.ID) error {
	if err := t.Reset(tx, id); err != nil {
		return err
	}
	if err := removeAll(tx, store.KPrefix(store.PrefixThrottle, "s", Of(id).key)); err != nil {
		return err
	}
	return t.ForgetPlaces(tx, id)
}

// ForgetPlaces makes all places of a principal unknown, and leaves the counters.
func (t *Throttle) ForgetPlaces(tx store.Tx, id principal.ID) error {
	return removeAll(tx, store.KPrefix(store.PrefixThrottle, "k", Of(id).key))
}

func removeAll(tx store.Tx, prefix []byte) error {
	for item, err := range tx.Scan(prefix, nil) {
		if err != nil {
			return err
		}
		if err := tx.Delete(item.Key); err != nil {
			return err
		}
	}
	return nil
}

// place is where a try counts: the first known place, or elsewhere. A caller
// stands in the place's stead.
func (t *Throttle) place(tx store.Tx, s Subject, o Origin) (string, error) {
	if s.caller != "" {
		return s.caller, nil
	}
	for _, place := range t.places(o) {
		_, err := store.Load[known](tx, knownKey(s, place))
		if err == nil {
			return place, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return elsewhere, err
		}
	}
	return elsewhere, nil
}

// places are those that an origin may be known by, the narrowest first. Behind an
// untrusted proxy on loopback everybody has its address: it says nothing.
func (t *Throttle) places(o Origin) []string {
	var places []string
	if len(o.Browser) > 0 {
		places = append(places, "b"+string(t.mac("browser", o.Browser)[:16]))
	}
	if network, ok := networkOf(o.Client); ok && !o.Exempt {
		places = append(places, "n"+string(t.mac("network", network)[:16]))
	}
	return places
}

// networkOf is the network that one subscriber has: /32 of IPv4, /64 of IPv6.
func networkOf(client netip.Addr) ([]byte, bool) {
	client = client.Unmap()
	switch {
	case !client.IsValid():
		return nil, false
	case client.Is4():
		return client.AsSlice(), true
	}
	return client.AsSlice()[:8], true
}

// bucket is the number of a network's counter.
func (t *Throttle) bucket(client netip.Addr) uint32 {
	network, _ := networkOf(client)
	return binary.BigEndian.Uint32(t.mac("bucket", network)) >> (32 - networkBits)
}

func knownKey(s Subject, place string) store.Key {
	return store.K(store.PrefixThrottle, "k", s.key, place)
}

func counterKey(subject string, k Kind, place string) store.Key {
	return store.K(store.PrefixThrottle, "c", subject, uint64(k.counter()), place)
}

func networkKey(bucket uint32) store.Key {
	return store.K(store.PrefixThrottle, "n", bucket)
}
