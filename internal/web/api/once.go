package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	// onceLife is how long an answer is given again. It may hold a secret that is
	// shown once: an hour, as long as the picture of a new seed.
	onceLife = time.Hour
	// onceMost bounds the answers that are kept for one caller. The oldest goes
	// when one more comes: whoever makes thousands of users an hour shall not
	// be held up by those that went well.
	onceMost = 1000
	// maxOnceKey bounds an Idempotency-Key, in characters.
	maxOnceKey = 255
)

// request is a request that came with an Idempotency-Key.
type request struct {
	key   []byte // MAC of the key: what strangers typed is never stored
	print []byte // MAC of method, target and body
	about []byte // id of whom the call is about, set by its may: an answer about somebody else is none
}

// onceRecord is an answer that may be given again. The store seals it.
type onceRecord struct {
	store.Meta
	Print  []byte          `json:"print"`
	About  []byte          `json:"about,omitempty"`
	Answer json.RawMessage `json:"answer"`
}

// onceRing tells which answer of a caller is the oldest.
type onceRing struct {
	store.Meta
	Next uint64 `json:"next"`
}

// onceSlot is one place of the ring.
type onceSlot struct {
	store.Meta
	Key []byte `json:"key"`
}

// onceOf reads the key of a request, if it has one
// (draft-ietf-httpapi-idempotency-key-header).
func (a *API) onceOf(r *http.Request, body []byte) (*request, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return nil, nil
	}
	key, ok := onceKeyText(values)
	if !ok {
		return nil, problem(http.StatusBadRequest, "idempotency_key", "An Idempotency-Key has 1 to 255 printable ASCII characters, in quotes or without.")
	}
	return &request{key: a.mac("key", key), print: a.mac("request", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body))}, nil
}

// onceKeyText takes a string of RFC 8941 section 3.3.3, or one without quotes.
func onceKeyText(values []string) (string, bool) {
	if len(values) != 1 {
		return "", false
	}
	text := strings.Trim(values[0], " \t")
	if strings.HasPrefix(text, `"`) {
		var plain strings.Builder
		inner := text[1:]
		for inner != "" && inner[0] != '"' {
			if inner[0] == '\\' {
				if inner = inner[1:]; inner == "" || inner[0] != '"' && inner[0] != '\\' {
					return "", false
				}
			}
			plain.WriteByte(inner[0])
			inner = inner[1:]
		}
		if inner != `"` {
			return "", false
		}
		text = plain.String()
	}
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	return text, text != "" && len(text) <= maxOnceKey && !strings.ContainsFunc(text, unprintable)
}

// mac binds texts, each with its end, under a key of the store.
func (a *API) mac(texts ...string) []byte {
	h := hmac.New(sha256.New, a.onceKey)
	for _, text := range texts {
		sum := sha256.Sum256([]byte(text))
		_, _ = h.Write(sum[:])
	}
	return h.Sum(nil)
}

// asking names the caller for what is counted and remembered per caller.
func (c *caller) asking() string {
	if c.local {
		return "local"
	}
	return c.live.Identity.ID.String()
}

// once makes a change, in one Update: first may, which decides whether the
// caller may ask for it at all, then do. With an Idempotency-Key it makes it
// once: the answer is written by the same Update, and the same request of the
// same caller is answered with it for an hour, also when many arrive together
// or the server ended in between. A refusal is not remembered.
// Both functions may run more than once, like those of an Update.
// Errors: those of may and do; a Problem with the code idempotency_mismatch
// where the key came with another request before.
func once[Out any](ctx context.Context, a *API, c *caller, may func(store.Tx) error, do func(store.Tx) (*Out, error)) (*Out, error) {
	var out *Out
	again := false
	err := a.Store.Update(ctx, func(tx store.Tx) (err error) {
		again = false
		if err = may(tx); err != nil {
			return err
		}
		if out, err = recall[Out](tx, c); out != nil || err != nil {
			again = true
			return err
		}
		if out, err = do(tx); err != nil {
			return err
		}
		return remember(tx, c, out)
	})
	if err != nil {
		return nil, err
	}
	if again {
		c.w.Header().Set("Idempotency-Replayed", "true")
	}
	return out, nil
}

// earlier is the answer that once gave to this request before, or nil: for
// calls that would hash a password in vain. may decides as in once.
func earlier[Out any](ctx context.Context, a *API, c *caller, may func(store.Tx) error) (*Out, error) {
	var out *Out
	err := a.Store.View(ctx, func(tx store.Tx) (err error) {
		if err = may(tx); err == nil {
			out, err = recall[Out](tx, c)
		}
		return err
	})
	if err == nil && out != nil {
		c.w.Header().Set("Idempotency-Replayed", "true")
	}
	return out, err
}

func recall[Out any](tx store.Tx, c *caller) (*Out, error) {
	if c.once == nil {
		return nil, nil
	}
	rec, err := store.Load[onceRecord](tx, c.onceAnswer(c.once.key))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(rec.Print, c.once.print) != 1 {
		return nil, problem(http.StatusUnprocessableEntity, "idempotency_mismatch", "This Idempotency-Key came with another request before: a new request needs a new key.")
	}
	if !bytes.Equal(rec.About, c.once.about) { // who had the name then is gone
		return nil, nil
	}
	out := new(Out)
	return out, json.Unmarshal(rec.Answer, out)
}

// about tells once whom a call is about: its answer is given again only while the
// name is still theirs.
func (c *caller) about(id principal.ID) {
	if c.once != nil {
		c.once.about = id[:]
	}
}

// remember writes an answer, over the oldest where there are too many.
func remember[Out any](tx store.Tx, c *caller, out *Out) error {
	if c.once == nil {
		return nil
	}
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	ringKey := store.K(store.PrefixOnce, "ring", c.asking())
	ring, err := store.Load[onceRing](tx, ringKey)
	if errors.Is(err, store.ErrNotFound) {
		ring, err = &onceRing{}, nil
	}
	if err != nil {
		return err
	}
	slotKey := store.K(store.PrefixOnce, "slot", c.asking(), ring.Next%onceMost)
	slot, err := store.Load[onceSlot](tx, slotKey)
	if err == nil {
		err = tx.Delete(c.onceAnswer(slot.Key))
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	ring.Next++
	until := tx.Now().Add(onceLife)
	return errors.Join(
		store.Save(tx, ringKey, ring, until), // outlives every slot: it is written with each
		store.Save(tx, slotKey, &onceSlot{Key: c.once.key}, until),
		store.Save(tx, c.onceAnswer(c.once.key), &onceRecord{Print: c.once.print, About: c.once.about, Answer: text}, until),
	)
}

func (c *caller) onceAnswer(key []byte) store.Key {
	return store.K(store.PrefixOnce, "answer", c.asking(), key)
}
