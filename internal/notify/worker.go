package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	perMethod = 2                // letters on their way at once, by one method
	sendTime  = 60 * time.Second // of the real clock, for one letter
	lease     = 3 * time.Minute  // of the store's clock; longer than sendTime
	stopTime  = 5 * time.Second  // for what is on its way when the outbox stops

	firstDelay = 5 * time.Second // after the first failure, doubling
	mostDelay  = 15 * time.Minute
	lastDelay  = 2 * time.Second // nothing is planned closer to the end of a message
	maxTries   = 100             // a day with mostDelay

	storeDelay = time.Second // before a store that failed is asked again
	maxError   = 300         // bytes kept of an error
	maxLanes   = 50          // looked at in one transaction
)

// workers send by one method.
type workers struct {
	woken    chan struct{} // holds one for each
	claiming context.Context
	stop     context.CancelFunc // no more claims
	sending  context.Context
	abort    context.CancelFunc // nor letters on their way
	running  sync.WaitGroup
}

// Start begins to send by the methods that the settings name, and ends what they no
// longer name. Again is harmless. After Stop nothing starts.
func (o *Outbox) Start() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.started = true
	senders := o.settings.Load().Senders
	for method, w := range o.workers {
		if senders[method] == nil {
			w.stop()
			delete(o.workers, method)
			o.ended = append(o.ended, w)
		}
	}
	for method := range senders {
		if o.workers[method] != nil {
			continue
		}
		w := &workers{woken: make(chan struct{}, perMethod)}
		w.claiming, w.stop = context.WithCancel(context.Background())
		w.sending, w.abort = context.WithCancel(context.Background())
		o.workers[method] = w
		for range perMethod {
			w.running.Go(func() { o.work(w, method) })
		}
	}
}

// Stop ends the workers and waits for them, a few seconds for letters that are on
// their way. What was not sent is found by the next Start, in whatever process.
func (o *Outbox) Stop() {
	o.mu.Lock()
	o.closed = true
	all := append(slices.Collect(maps.Values(o.workers)), o.ended...)
	o.workers, o.ended = map[string]*workers{}, nil
	o.mu.Unlock()
	for _, w := range all {
		w.stop()
	}
	late := time.AfterFunc(stopTime, func() {
		for _, w := range all {
			w.abort()
		}
	})
	defer late.Stop()
	for _, w := range all {
		w.running.Wait()
		w.abort()
	}
}

// Wake has the workers look now for what is due: after a clock was moved.
func (o *Outbox) Wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range o.workers {
		w.wake()
	}
}

func (o *Outbox) wake(method string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if w := o.workers[method]; w != nil {
		w.wake()
	}
}

func (w *workers) wake() {
	for range perMethod {
		select {
		case w.woken <- struct{}{}:
		default:
			return
		}
	}
}

func (o *Outbox) work(w *workers, method string) {
	for w.claiming.Err() == nil {
		j, next, err := o.claim(w.claiming, method)
		switch {
		case err != nil:
			if w.claiming.Err() == nil {
				o.Logger.Warn("look for messages to send", "method", method, "error", err)
			}
			w.wait(storeDelay)
		case j == nil:
			w.wait(o.until(next))
		default:
			o.deliver(w, j)
		}
	}
}

// until is the real time to wait for an instant of the store's clock, which tests move.
func (o *Outbox) until(next time.Time) time.Duration {
	if next.IsZero() {
		return o.Poll
	}
	return min(max(next.Sub(o.Clock()), 10*time.Millisecond), o.Poll)
}

func (w *workers) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.claiming.Done():
	case <-w.woken:
	case <-timer.C:
	}
}

// job is a message that this process holds.
type job struct {
	n     id
	r     record
	lease string
}

// claim takes the oldest message of the lane that has been due longest, and the
// lane with it. None: nil, and when the next one is due, as far as is known.
func (o *Outbox) claim(ctx context.Context, method string) (j *job, next time.Time, err error) {
	due := false
	err = o.Store.View(ctx, func(tx store.Tx) error {
		due, next = false, time.Time{}
		for item, err := range tx.Scan(duePrefix(method), nil) {
			if err != nil {
				return err
			}
			at, _, ok := dueParts(item.Key)
			if due = ok && !at.After(tx.Now()); ok && !due {
				next = at
			}
			return nil
		}
		return nil
	})
	if err != nil || !due {
		return nil, next, err
	}
	err = o.Store.Update(ctx, func(tx store.Tx) (err error) {
		j, err = o.take(tx, method)
		return err
	})
	return j, o.Clock(), err
}

func dueParts(key []byte) (at time.Time, lane []byte, ok bool) {
	parts, ok := store.Parts(store.PrefixNotify, key)
	if !ok || len(parts) != 4 {
		return at, nil, false
	}
	at, ok = store.PartTime(parts[2])
	return at, parts[3], ok
}

func (o *Outbox) take(tx store.Tx, method string) (*job, error) {
	var keys [][]byte
	for item, err := range tx.Scan(duePrefix(method), nil) {
		if err != nil {
			return nil, err
		}
		if at, _, ok := dueParts(item.Key); len(keys) == maxLanes || ok && at.After(tx.Now()) {
			break
		}
		keys = append(keys, item.Key)
	}
	for _, key := range keys {
		at, laneID, ok := dueParts(key)
		var l *lane
		if ok {
			var err error
			if l, err = loadLane(tx, laneID); err != nil {
				return nil, err
			}
		}
		if l == nil || !l.Due.Equal(at) { // left over
			if err := tx.Delete(key); err != nil {
				return nil, err
			}
			continue
		}
		if j, err := o.takeFrom(tx, laneID, l); err != nil || j != nil {
			return j, err
		}
	}
	return nil, nil
}

// takeFrom takes the first message of a lane that is worth sending, and settles
// those before it that are not. A lane without one is dropped.
func (o *Outbox) takeFrom(tx store.Tx, laneID []byte, l *lane) (*job, error) {
	for {
		n, r, err := o.first(tx, laneID)
		if err != nil {
			return nil, err
		}
		if r == nil {
			return nil, dropLane(tx, laneID, l)
		}
		if !r.Until.After(tx.Now()) {
			if err := finish(tx, n, r, Expired); err != nil {
				return nil, err
			}
			tx.After(func() { o.Observe(r.Kind, OutcomeExpired) })
			continue
		}
		r.Tries++ // before the try: one that kills the process counts too
		r.Tried, r.Next = tx.Now().UTC(), time.Time{}
		l.Lease, l.Tried = rand.Text(), r.Tried
		if err := save(tx, n, r); err != nil {
			return nil, err
		}
		return &job{n: n, r: *r, lease: l.Lease}, setLane(tx, laneID, l, tx.Now().Add(lease))
	}
}

// first is the oldest waiting message of a lane; nil: none.
func (o *Outbox) first(tx store.Tx, laneID []byte) (id, *record, error) {
	var stale [][]byte
	defer func() {
		for _, key := range stale {
			_ = tx.Delete(key) // what is left over is met again
		}
	}()
	for item, err := range tx.Scan(store.KPrefix(store.PrefixNotify, "w", laneID), nil) {
		if err != nil {
			return id{}, nil, err
		}
		p, err := store.Decode[pointer](item.Value)
		if err != nil {
			return id{}, nil, err
		}
		n, _ := parseID(p.ID)
		r, err := load(tx, n)
		if err == nil && r.State == Waiting {
			return n, r, nil
		}
		if err != nil && !errors.Is(err, ErrUnknown) {
			return id{}, nil, err
		}
		stale = append(stale, item.Key)
	}
	return id{}, nil, nil
}

// deliver sends what was claimed and settles it, however long the store takes to
// answer: what was sent and is not settled would be sent again.
func (o *Outbox) deliver(w *workers, j *job) {
	ctx, cancel := context.WithTimeout(w.sending, sendTime)
	failure := o.send(ctx, j)
	cancel()
	stopped := failure != nil && w.sending.Err() != nil
	for {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		err := o.settle(ctx, j, failure, stopped)
		cancel()
		if err == nil {
			return
		}
		o.Logger.Warn("settle a message", "id", j.n.String(), "kind", string(j.r.Kind), "sent", failure == nil, "error", err)
		if w.claiming.Err() != nil || errors.Is(err, store.ErrClosed) {
			return // its lease ends
		}
		w.wait(storeDelay)
	}
}

func (o *Outbox) send(ctx context.Context, j *job) error {
	s := o.settings.Load()
	sender := s.Senders[j.r.Method]
	if sender == nil {
		return errors.New("no configuration sends by this method any more")
	}
	l, err := s.letter(&j.r)
	if err != nil {
		return err
	}
	return sender.Send(ctx, l)
}

// settle records what became of a try. Whoever lost the lease meanwhile can only
// record a success.
func (o *Outbox) settle(ctx context.Context, j *job, failure error, stopped bool) error {
	return o.Store.Update(ctx, func(tx store.Tx) error {
		l, err := loadLane(tx, j.r.Lane)
		if err != nil {
			return err
		}
		held := l != nil && l.Lease == j.lease
		r, err := load(tx, j.n)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
		next := tx.Now()
		switch {
		case r == nil: // deleted while it was on its way
		case failure == nil && r.State != Sent:
			r.Error = ""
			if err := finish(tx, j.n, r, Sent); err != nil {
				return err
			}
			o.tell(tx, r, OutcomeSent, nil)
		case failure == nil || !held || r.State != Waiting:
		case stopped:
			r.Tries--
			err = save(tx, j.n, r)
		default:
			next, err = o.failed(tx, j.n, r, failure)
		}
		if err != nil || !held {
			return err
		}
		l.Lease = ""
		tx.After(func() { o.wake(l.Method) })
		return setLane(tx, j.r.Lane, l, next)
	})
}

// failed decides what follows a try that failed, and when the lane goes on.
func (o *Outbox) failed(tx store.Tx, n id, r *record, failure error) (time.Time, error) {
	var refusal *Refusal
	final := errors.As(failure, &refusal) && refusal.Final
	r.Error = r.clean(failure)
	left := r.Until.Sub(tx.Now())
	outcome, state := OutcomeFailed, Waiting
	switch {
	case final || r.Tries >= maxTries:
		outcome, state = OutcomeDead, Dead
	case left <= lastDelay:
		outcome, state = OutcomeExpired, Expired
	}
	o.tell(tx, r, outcome, errors.New(r.Error))
	if state != Waiting {
		return tx.Now(), finish(tx, n, r, state)
	}
	// Towards the end of a message the tries come closer, so that it is not lost
	// between two of them.
	r.Next = tx.Now().Add(min(delay(r.Tries), max(left/2, lastDelay))).UTC()
	return r.Next, save(tx, n, r)
}

// delay before the next try, after some failed: doubled, with a fifth more or less,
// so that what failed together does not come back together.
func delay(tries int) time.Duration {
	d := mostDelay
	if tries < 9 {
		d = min(firstDelay<<max(tries-1, 0), mostDelay)
	}
	n, err := rand.Int(rand.Reader, big.NewInt(int64(d*2/5)))
	if err != nil {
		return d
	}
	return d*4/5 + time.Duration(n.Int64())
}

// clean is the text of an error without what the message keeps to its reader.
// Servers like to quote what they refuse.
func (r *record) clean(err error) string {
	text := strings.Map(func(c rune) rune {
		if unprintable(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(err.Error(), " "))
	for _, name := range secretFields() {
		for _, value := range strings.Fields(r.Data[name]) {
			if len(value) >= 4 {
				text = strings.ReplaceAll(text, value, "…")
			}
		}
	}
	if len(text) > maxError {
		text = text[:maxError]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
		text += "…"
	}
	return text
}

// tell counts an outcome and writes its line, after the commit. Neither holds an address.
func (o *Outbox) tell(tx store.Tx, r *record, outcome Outcome, failure error) {
	args := []any{"id", r.ID, "kind", string(r.Kind), "method", r.Method, "tries", r.Tries}
	level, text := slog.LevelInfo, "message sent"
	switch {
	case failure != nil && outcome == OutcomeFailed:
		level, text = slog.LevelWarn, "message not sent, will try again"
	case failure != nil:
		level, text = slog.LevelError, "message given up"
	}
	if failure != nil {
		args = append(args, "error", failure)
	}
	tx.After(func() {
		o.Observe(r.Kind, outcome)
		o.Logger.Log(context.Background(), level, text, args...)
	})
}
