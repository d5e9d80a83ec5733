package login

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/session"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// Password is the first door. It answers with a session where one factor is
// enough and none is set up, else with an ephemeral token: SecondFactor for
// whoever has a factor, whatever the realm demands, Enroll for whoever has none
// where two are demanded.
//
// Errors: ErrDenied (wrong, unknown, disabled, no password: the same answer at
// the same time), ErrEnrollmentClosed (after the right password only),
// *throttle.Throttled and *secret.Busy, which leave at once and depend on
// nothing but counters and slots. The floor ends early with ctx, and then the
// answer is the error of ctx.
func (d *Doors) Password(ctx context.Context, a Attempt) (*Next, error) {
	begin := time.Now()
	next, err := d.password(ctx, a)
	if err != nil && !isAnswer(err) || waits(err) {
		return nil, err
	}
	if err := d.leaveAtFloor(ctx, begin); err != nil {
		return nil, err
	}
	return next, err
}

// leaveAtFloor waits until an answer may leave. The floor is of the real clock,
// like the hash that it hides.
func (d *Doors) leaveAtFloor(ctx context.Context, begin time.Time) error {
	wait := d.floor() - time.Since(begin)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// candidate is whom a login names, as the first Update saw them.
type candidate struct {
	subject throttle.Subject
	id      principal.ID
	name    string // for events: name@realm, or a MAC of what nobody is called
	known   bool
	able    bool // enabled, and has a password
	digest  string
	epoch   uint64
}

// maxRounds bounds how often a good password is compared again because its
// digest alone was renewed meanwhile, by a parallel login.
const maxRounds = 3

func (d *Doors) password(ctx context.Context, a Attempt) (*Next, error) {
	if a.Door.kind() == 0 {
		return nil, fmt.Errorf("log in: no such door")
	}
	if a.Door.facade() && a.Realm == "" {
		return nil, fmt.Errorf("log in: a facade has one realm")
	}
	who, try, err := d.countPassword(ctx, a)
	if err != nil {
		return nil, err
	}
	for round := 1; ; round++ {
		good, rehash, err := d.compare(ctx, a.Password, who)
		if err != nil { // nothing was compared
			return nil, d.takeBack(ctx, try, err)
		}
		next, err := d.settlePassword(ctx, a, &who, try, good)
		if errors.Is(err, errRenewed) && round < maxRounds {
			continue
		}
		if good && rehash && (err == nil || errors.Is(err, ErrEnrollmentClosed)) {
			d.rehash(ctx, who, a.Password)
		}
		return next, err
	}
}

// countPassword is the first Update: it finds who is named and counts the try.
func (d *Doors) countPassword(ctx context.Context, a Attempt) (candidate, throttle.Try, error) {
	var who candidate
	var try throttle.Try
	err := d.store.Update(ctx, func(tx store.Tx) (err error) {
		if who, err = d.named(tx, a); err != nil {
			return err
		}
		try, err = d.throttle.Count(tx, who.subject, throttle.Password, d.originOf(a.Client))
		return err
	})
	d.noteThrottled(err, who.id, who.name, a.Client, "password")
	return who, try, err
}

// named finds the candidate. Whatever is typed, there is one.
func (d *Doors) named(tx store.Tx, a Attempt) (candidate, error) {
	u, ref, err := d.whom(tx, a)
	if err == nil {
		return candidate{
			subject: throttle.Of(u.ID), id: u.ID, name: u.Ref().String(), known: true,
			able: !u.Disabled && u.Password != "", digest: u.Password, epoch: u.Epoch,
		}, nil
	}
	if !nobody(err) {
		return candidate{}, err
	}
	mac := secret.MAC(d.unknownKey, []byte(ref.Realm), []byte(ref.Name))
	return candidate{subject: d.throttle.Unknown(ref.Realm, ref.Name), name: audit.Unknown(mac[:])}, nil
}

// whom finds the user whom a login names. Of what is nobody's the one spelling comes
// back beside the error, so that all doors count it alike.
func (d *Doors) whom(tx store.Tx, a Attempt) (*account.User, principal.Ref, error) {
	if a.Door.facade() {
		by := account.ByName
		if a.Door == FastAPI2FA {
			by = account.ByAddress
		}
		u, ref, err := d.dir.FindIn(tx, a.Login, a.Realm, by)
		if by == account.ByName && errors.Is(err, account.ErrUnknownUser) && strings.Contains(a.Login, "@") {
			return d.dir.FindIn(tx, a.Login, a.Realm, account.ByAddress) // whose name there was their address
		}
		return u, ref, err
	}
	u, err := d.dir.Resolve(tx, a.Login, a.Realm)
	if err == nil || !nobody(err) {
		return u, principal.Ref{}, err
	}
	ref, canonical := d.dir.Canonical(tx, a.Login, a.Realm)
	if canonical != nil && !nobody(canonical) {
		return nil, ref, canonical
	}
	if canonical != nil { // no name at all, so it has no other spelling
		ref = principal.Ref{Name: a.Login, Realm: a.Realm}
	}
	return nil, ref, err
}

// nobody tells a name that finds nobody from a store that failed.
func nobody(err error) bool {
	return errors.Is(err, account.ErrUnknownUser) || errors.Is(err, account.ErrUnknownRealm) ||
		errors.Is(err, account.ErrInvalid) || errors.Is(err, principal.ErrName)
}

// compare hashes, outside of any transaction, and costs the same for whoever
// cannot have been right.
func (d *Doors) compare(ctx context.Context, password string, who candidate) (good, rehash bool, err error) {
	if !who.able {
		return false, false, d.hasher.Unknown(ctx, password)
	}
	good, rehash, err = d.hasher.Verify(ctx, password, who.digest)
	if errors.Is(err, secret.ErrDigest) {
		d.logger.Error("a stored password hash cannot be read: nobody can log in with it", "name", who.name)
		return false, false, d.hasher.Unknown(ctx, password)
	}
	return good, rehash, err
}

// takeBack uncounts a try that was not judged, so that overload locks nobody
// out, and returns the reason.
func (d *Doors) takeBack(ctx context.Context, try throttle.Try, reason error) error {
	err := d.store.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
		return d.throttle.Uncount(tx, try)
	})
	if err != nil {
		d.logger.Error("a try that was not judged stays counted", "error", err)
	}
	return reason
}

// errRenewed: the digest changed under the same epoch, so by a rehash of the
// same password: compare again.
var errRenewed = errors.New("the password's hash was renewed meanwhile")

// settlePassword is the second Update: it looks again, settles the count and
// opens what comes next.
func (d *Doors) settlePassword(ctx context.Context, a Attempt, who *candidate, try throttle.Try, good bool) (*Next, error) {
	var digest string
	next, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		if !who.known {
			return nil, d.denyUnknown(tx, a, who, try)
		}
		u, err := d.dir.ByID(tx, who.id)
		if err != nil && !errors.Is(err, account.ErrUnknownUser) {
			return nil, err
		}
		switch {
		case err != nil, u.Epoch != who.epoch, u.Disabled && who.able:
			return nil, d.denyPassword(tx, a, who, try, "changed")
		case !who.able && u.Disabled:
			return nil, d.denyPassword(tx, a, who, try, "disabled")
		case !who.able:
			return nil, d.denyPassword(tx, a, who, try, "no_password")
		case !good:
			return nil, d.denyPassword(tx, a, who, try, "wrong")
		case u.Password != who.digest:
			digest = u.Password
			return nil, errRenewed
		}
		if err := d.throttle.Good(tx, try); err != nil {
			return nil, err
		}
		return d.pastFirst(tx, u, passage{
			door: a.Door, client: a.Client, target: a.Target, remember: a.Remember, demand: a.Demand,
			replaces: a.ReplaceSession, provedAt: tx.Now(), trusted: a.Trusted, fresh: a.Fresh,
		})
	})
	if errors.Is(err, errRenewed) {
		who.digest = digest
	}
	return next, err
}

func (d *Doors) denyPassword(tx store.Tx, a Attempt, who *candidate, try throttle.Try, cause string) error {
	if err := d.throttle.Wrong(tx, try); err != nil {
		return err
	}
	err := d.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: audit.KindPassword, Outcome: audit.Denied, Cause: cause,
		Principal: who.id, Name: who.name, Client: a.Client.Addr, Method: a.Door.String(),
	})
	return denied(err)
}

// decoy is written where nobody is denied, as an event is where somebody is:
// the same transaction, give or take.
type decoy struct {
	store.Meta
	Text string `json:"text"`
}

const (
	decoys    = 256 // records, so that nodes do not queue for one
	decoyLife = time.Minute
)

// denyUnknown stores no event: strangers can cause these without bound.
func (d *Doors) denyUnknown(tx store.Tx, a Attempt, who *candidate, try throttle.Try) error {
	if err := d.throttle.Wrong(tx, try); err != nil {
		return err
	}
	event := audit.Event{
		Time: tx.Now(), Kind: audit.KindPassword, Outcome: audit.Denied, Cause: "unknown",
		Name: who.name, Client: a.Client.Addr, Method: a.Door.String(),
	}
	tx.After(func() { d.audit.Note(event) })
	random := secret.NewToken(secret.Browser).Hash()
	text := hex.EncodeToString(random[:]) + who.name + a.Client.Addr.String()
	key := store.K(store.PrefixLogin, "decoy", random[:1])
	return denied(store.Save(tx, key, &decoy{Text: text}, tx.Now().Add(decoyLife)))
}

// denied is ErrDenied, unless writing it down failed.
func denied(err error) error {
	if err != nil {
		return err
	}
	return ErrDenied
}

// rehash renews a digest of a foreign format or other costs. It is no part of
// the answer: the next login tries again.
func (d *Doors) rehash(ctx context.Context, who candidate, password string) {
	digest, err := d.hasher.Hash(ctx, password)
	if err == nil {
		err = d.store.Update(ctx, func(tx store.Tx) error {
			return d.dir.Rehash(tx, who.id, who.digest, digest)
		})
	}
	if err != nil {
		d.logger.Warn("a password's hash was not renewed", "name", who.name, "error", err)
	}
}

// passage is what somebody carries from door to door.
type passage struct {
	door     Door
	client   Client
	target   string
	remember bool
	demand   int
	replaces string
	amr      session.AMR // proved so far, without the password
	alone    session.AMR // what stood for the password: a passkey that verified the person; zero: the password did
	provedAt time.Time   // the password
	factorAt time.Time
	until    time.Time // step-up: absolute end that stays
	kind     audit.Kind
	method   factor.Name
	trusted  string // token of a trusted browser
	fresh    bool   // a factor has to be proved now
}

// pastFirst decides what comes after the first door. Whoever has a factor must
// use it, here or at a browser that is trusted; whoever has none where two are
// demanded must enrol one.
func (d *Doors) pastFirst(tx store.Tx, u *account.User, p passage) (*Next, error) {
	realm, err := d.dir.Realm(tx, u.Realm)
	if err != nil {
		return nil, err
	}
	if trusts, err := d.trusts(tx, u, realm, p); err != nil {
		return nil, err
	} else if trusts {
		p.kind, p.amr, p.method = audit.KindLogin, session.Trusted, methodTrusted
		return d.open(tx, u, p)
	}
	rec := &ephemeral{
		State: SecondFactor, Door: p.door, Principal: u.ID, Epoch: u.Epoch, Target: p.target,
		Remember: p.remember, AMR: session.PWD, ProvedAt: p.provedAt, Replaces: p.replaces,
	}
	if u.Factors() > 0 {
		return d.between(tx, u, rec, p.client)
	}
	if max(realm.Demanded(), p.demand) < 2 {
		p.kind = audit.KindLogin
		return d.open(tx, u, p)
	}
	if err := d.mayEnroll(tx, u, p.client, p.door); err != nil {
		return nil, err
	}
	rec.State = Enroll
	return d.between(tx, u, rec, p.client)
}

// mayEnroll answers ErrEnrollmentClosed where the realm lets this person set up
// no first factor now.
func (d *Doors) mayEnroll(tx store.Tx, u *account.User, c Client, door Door) error {
	ok, reason, err := d.dir.MayEnroll(tx, u)
	if err != nil || ok {
		return err
	}
	err = d.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: audit.KindLogin, Outcome: audit.Denied, Cause: reason,
		Principal: u.ID, Name: u.Ref().String(), Client: c.Addr, Method: door.String(),
	})
	if err != nil {
		return err
	}
	return ErrEnrollmentClosed
}

// between issues the ephemeral token of a record. A primary method that sends has
// sent its first code, but not for a step-up: that begins with a page that any link
// may open, and five of those would use up what is sent in a quarter of an hour.
func (d *Doors) between(tx store.Tx, u *account.User, rec *ephemeral, c Client) (*Next, error) {
	next := &Next{Status: rec.State, Target: rec.Target, ExpiresIn: EphemeralLife, Remember: rec.Remember}
	var err error
	if rec.State == Enroll {
		next.Others, err = d.factors.Offered(tx, u.Realm)
	} else if next.Method, next.Others, err = d.ways(tx, u); err == nil && !rec.StepUp {
		next.Sent, err = d.firstCode(tx, u, next.Method, c)
	}
	if err != nil {
		return nil, err
	}
	next.Ephemeral, err = issue(tx, rec, EphemeralLife)
	return next, err
}
