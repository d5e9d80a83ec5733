package compattest

import (
	"errors"
	"slices"
	"sync"

	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Pager is an own method of a world's installation.
const Pager factor.Name = "pager"

// Post sends codes by the methods that it is told, and keeps those that were committed.
// The zero value sends nothing, as where nothing is configured.
type Post struct {
	mu      sync.Mutex
	methods []factor.Name
	sent    []factor.Message
}

// Offer has codes sent by these methods from now on, and by no others.
func (p *Post) Offer(methods ...factor.Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.methods = methods
}

// Sends implements factor.Sender.
func (p *Post) Sends(method factor.Name) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.methods, method)
}

// Send implements factor.Sender.
func (p *Post) Send(tx store.Tx, m factor.Message) error {
	if m.User == nil || m.Code == "" || !m.Expires.After(tx.Now()) {
		return errors.New("not a whole message")
	}
	tx.After(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sent = append(p.sent, m)
	})
	return nil
}

// Sent are all messages so far.
func (p *Post) Sent() []factor.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

// Last is the newest message; the zero one: none was sent.
func (p *Post) Last() (m factor.Message) {
	if all := p.Sent(); len(all) > 0 {
		m = all[len(all)-1]
	}
	return m
}
