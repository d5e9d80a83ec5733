package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Open makes a session in the caller's transaction. Its tokens are new each time,
// whatever the browser held before; they are worth nothing until the transaction
// is committed. Where the principal has [MaxPerPrincipal] sessions the oldest
// ends. Errors: a sentence for a mistake of the caller (no proof, somebody
// disabled), else the store failed.
func (r *Registry) Open(tx store.Tx, o Opening) (*Opened, error) {
	switch {
	case o.User == nil || o.User.ID.IsZero():
		return nil, errors.New("open session: for nobody")
	case o.User.Disabled:
		return nil, errors.New("open session: for somebody disabled")
	case o.Proof.AMR.RealFactors() == 0:
		return nil, errors.New("open session: without a proof")
	case o.Kind.String() == "invalid":
		return nil, errors.New("open session: through no door")
	case o.Kind.Facade() && (o.Refresh || o.Domain):
		return nil, errors.New("open session: a facade's has no tokens of ours")
	}
	if id, ok := parseID(o.Replaces); ok {
		if err := r.end(tx, id); err != nil && !errors.Is(err, ErrNone) {
			return nil, err
		}
	}
	opened := &Opened{Cookie: secret.NewSessionToken(r.cookieKey)}
	rec := newRecord(o, secondOf(tx.Now()))
	hash := hashOf(opened.Cookie.Reveal())
	rec.Portal = hash[:]
	if o.Domain {
		token := secret.NewSessionToken(r.cookieKey)
		opened.DomainCookie = &token
		hash := hashOf(token.Reveal())
		rec.Domain = hash[:]
		if err := savePointer(tx, domainKey(rec.Domain), rec); err != nil {
			return nil, err
		}
	}
	if o.Refresh {
		token := secret.NewToken(secret.Refresh)
		opened.Refresh = &token
		if err := rec.startFamily(tx, token); err != nil {
			return nil, err
		}
	}
	if err := r.enlist(tx, rec); err != nil {
		return nil, err
	}
	if err := rec.save(tx); err != nil {
		return nil, err
	}
	who := o.User.Identity()
	opened.ID, opened.Expires = rec.id().String(), rec.Until.Time()
	opened.Live = rec.live(&who, !o.Kind.Facade())
	if o.Kind.Facade() { // nobody ever has its cookie
		opened.Cookie = secret.SessionToken{}
	}
	return opened, nil
}

func newRecord(o Opening, now second) *record {
	idle, absolute, remember := lifetimes(o)
	return &record{
		Principal: o.User.ID, Epoch: o.User.Epoch, AMR: o.Proof.AMR,
		PasswordAt: secondOf(o.Proof.PasswordAt), FactorAt: secondOf(o.Proof.FactorAt),
		Created: now, Idle: idle, IdleUntil: now.plus(idle), Until: now.plus(absolute),
		Remember: remember, Kind: o.Kind,
		Client: o.Origin.Client, UserAgent: cut(o.Origin.UserAgent),
	}
}

// lifetimes decides the limits of a session in seconds. With remember-me there is
// one limit instead of two. The administrators' realm is never remembered.
func lifetimes(o Opening) (idle, absolute uint32, remember bool) {
	l, d := o.Lifetimes, account.Lifetimes{Idle: DefaultIdle, Absolute: DefaultAbsolute}
	admin := o.User.Realm == AdminRealm
	if admin {
		d = account.Lifetimes{Idle: DefaultAdminIdle, Absolute: DefaultAdminAbsolute}
	}
	if l == (account.Lifetimes{}) {
		d.Remember = DefaultRemember
	}
	pick := func(set, otherwise time.Duration) time.Duration {
		if set > 0 {
			return set
		}
		return otherwise
	}
	if long := pick(l.Remember, d.Remember); o.Remember && !admin && long > 0 {
		return wholeSeconds(long), wholeSeconds(long), true
	}
	absolute = wholeSeconds(pick(l.Absolute, d.Absolute))
	return min(wholeSeconds(pick(l.Idle, d.Idle)), absolute), absolute, false
}

// cut bounds a stranger's text and takes out what could break a page or a log.
func cut(agent string) string {
	agent = strings.ToValidUTF8(agent[:min(len(agent), maxUserAgent)], "")
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, agent)
}

// savePointer lets a token's hash lead to a session. It stays as long as the
// session may: of a dead refresh token, so that its reuse is seen.
func savePointer(tx store.Tx, key []byte, rec *record) error {
	id := rec.id()
	if err := store.Save(tx, key, &pointer{Session: id[:]}, rec.Until.Time()); err != nil {
		return fmt.Errorf("save token: %w", err)
	}
	return nil
}

// enlist adds a session to its principal's and makes room.
func (r *Registry) enlist(tx store.Tx, rec *record) error {
	all, err := loadRoster(tx, rec.Principal)
	if err != nil {
		return err
	}
	now := secondOf(tx.Now())
	all = slices.DeleteFunc(all, func(m member) bool { return now >= m.until })
	if len(all) >= MaxPerPrincipal {
		if all, err = r.makeRoom(tx, rec.Principal, all); err != nil {
			return err
		}
	}
	return saveRoster(tx, rec.Principal, append(all, member{rec.id(), rec.Until}))
}

// makeRoom drops what has expired from a full roster, and if that is nothing,
// ends the oldest session.
func (r *Registry) makeRoom(tx store.Tx, who principal.ID, all []member) ([]member, error) {
	now := secondOf(tx.Now())
	living := all[:0:0]
	for _, m := range all {
		rec, err := loadRecord(tx, m.id)
		switch {
		case errors.Is(err, ErrNone):
		case err != nil:
			return nil, err
		case rec.expired(now):
			if err := remove(tx, rec); err != nil {
				return nil, err
			}
		default:
			living = append(living, m)
		}
	}
	for len(living) >= MaxPerPrincipal {
		rec, err := loadRecord(tx, living[0].id)
		if err != nil {
			return nil, err
		}
		if err := remove(tx, rec); err != nil {
			return nil, err
		}
		if err := r.recordEnd(tx, rec, audit.OK, "limit"); err != nil {
			return nil, err
		}
		living = living[1:]
	}
	return living, nil
}

func (r *Registry) recordEnd(tx store.Tx, rec *record, outcome audit.Outcome, cause string) error {
	e := audit.Event{
		Kind: audit.KindSessionRevoke, Outcome: outcome, Cause: cause,
		Principal: rec.Principal, Session: rec.id().String(), Client: rec.Client,
	}
	u, err := r.directory.ByID(tx, rec.Principal)
	if err == nil {
		e.Name = u.Ref().String()
	} else if !errors.Is(err, account.ErrUnknownUser) {
		return err
	}
	return r.audit.Record(tx, e)
}
