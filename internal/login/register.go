package login

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/audit"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

const (
	// RegisterLife is how long a link to make an account may be opened.
	RegisterLife = 24 * time.Hour
	// RegisterPosts is how many names may be tried with one link before it is dead:
	// more than people need to find a free one, less than tells who is here.
	RegisterPosts = 20
)

// The newest link of an address is the good one. What a stranger typed stands in keys
// as a MAC.
func (d *Doors) registerKey(realm, address string) store.Key {
	return store.K(store.PrefixLogin, "register", d.registering(realm, address))
}

func (d *Doors) registering(realm, address string) []byte {
	mac := secret.MAC(d.unknownKey, []byte("register"), []byte(realm), []byte(address))
	return mac[:16]
}

func registerIndex(hash []byte) store.Key { return store.K(store.PrefixLogin, "register-of", hash) }

// Register sends a link to an address with which its reader makes an account in a realm
// ("": the default one) that lets people register. The link is good for RegisterLife and
// kills an older one. Whose account exists already is told so by mail.
//
// Whether there is an account, the answer is nil, at the floor of the first door, after
// one Update that writes as much. An address is sent five messages in 15 minutes, and
// more are not told apart. Errors, which depend on the configuration, the realm's
// settings and the caller alone and leave at once: ErrNoMail,
// account.ErrRegistrationClosed, account.ErrDomain, account.ErrInvalid,
// *throttle.Throttled of the network.
func (d *Doors) Register(ctx context.Context, realm, address string, c Client) error {
	begin := time.Now()
	if err := d.links(); err != nil {
		return err
	}
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		return nil, d.register(tx, realm, address, c)
	})
	if err != nil {
		d.noteThrottled(err, principal.ID{}, "", c, "register")
		return err
	}
	return d.leaveAtFloor(ctx, begin)
}

func (d *Doors) register(tx store.Tx, realm, address string, c Client) error {
	realm, address, err := d.dir.MayRegister(tx, realm, address)
	if err != nil {
		return err
	}
	enough, err := d.strangersMail(tx, d.throttle.Unknown("register "+realm, address), c)
	if err != nil {
		return err
	}
	u, err := d.dir.ByAddressIn(tx, realm, address)
	if err != nil && !errors.Is(err, account.ErrUnknownUser) {
		return err
	}
	event := audit.Event{
		Time: tx.Now(), Kind: audit.KindRegister, Outcome: audit.OK, Client: c.Addr,
		Name: audit.Unknown(d.registering(realm, address)), Detail: map[string]string{"realm": realm},
	}
	tx.After(func() { d.audit.Note(event) }) // strangers can cause these without bound
	switch {
	case enough:
		event.Outcome, event.Cause = audit.Denied, "throttled"
		return writeDecoys(tx, linkWrites+MailWrites)
	case err == nil:
		event.Outcome, event.Cause = audit.Denied, "exists"
		event.Principal, event.Name = u.ID, u.Ref().String()
		return errors.Join(writeDecoys(tx, linkWrites), d.mail.AccountExists(tx, u))
	}
	if err := dropMailed(tx, d.registerKey(realm, address), registerIndex); err != nil {
		return err
	}
	token, err := saveMailed(tx, d.registerKey(realm, address), registerIndex, &link{Realm: realm, Address: address}, RegisterLife)
	if err != nil {
		return err
	}
	return d.mail.Registration(tx, realm, address, token, RegisterLife)
}

// TradeRegister trades the token of such a link for an ephemeral token of the portal in
// state Registering, good for LinkCookieLife. The link is not burned.
// Errors: ErrDenied, account.ErrRegistrationClosed.
func (d *Doors) TradeRegister(ctx context.Context, token string) (cookie secret.Token, err error) {
	_, err = d.decide(ctx, func(tx store.Tx) (*Next, error) {
		l, err := d.registerLink(tx, token)
		if err != nil {
			return nil, err
		}
		cookie, err = issue(tx, &ephemeral{State: Registering, Door: Portal, Principal: ownerOf(l), Link: l.Hash}, LinkCookieLife)
		return nil, err
	})
	if err != nil {
		return secret.Token{}, err
	}
	return cookie, nil
}

// ownerOf is under whom the half logins of a link are listed whose person does not
// exist yet: each link has a list of its own, so that nobody burns another's.
func ownerOf(l *link) (owner principal.ID) {
	copy(owner[:], l.Hash)
	return owner
}

// registerLink reads the link of a token that may still be opened.
func (d *Doors) registerLink(tx store.Tx, token string) (*link, error) {
	l, err := lead(tx, token, registerIndex)
	if err != nil {
		return nil, err
	}
	return d.registerOpen(tx, l)
}

// registerOpen reads the link itself if it is the newest, and its realm open still.
func (d *Doors) registerOpen(tx store.Tx, l *link) (*link, error) {
	l, err := newest(tx, d.registerKey(l.Realm, l.Address), l.Hash)
	if err == nil {
		_, _, err = d.dir.MayRegister(tx, l.Realm, l.Address)
	}
	return l, err
}

// RegisterAttempt is one try to make an account by a link.
type RegisterAttempt struct {
	Door     Door
	Token    string // of the portal: what TradeRegister gave; of the API: the link's own
	Name     string
	FullName string
	Password string
	Client   Client
}

// RegisterFinish makes the account, with the address of the link, which counts as
// confirmed, and burns the link. A name that is taken is told to the link's owner, and
// the link lives on for RegisterPosts names. At the portal it goes on as the first door
// does; at the API Next is nil, and the person logs in.
// Errors: ErrDenied, account.ErrExists, account.ErrAddressTaken (an account has the
// address meanwhile), account.ErrInvalid, account.ErrRegistrationClosed,
// *secret.WeakPassword, *secret.Busy.
func (d *Doors) RegisterFinish(ctx context.Context, r RegisterAttempt) (account.Identity, *Next, error) {
	if err := d.countRegister(ctx, r); err != nil {
		return account.Identity{}, nil, err
	}
	digest, err := d.hasher.Hash(ctx, r.Password)
	if err != nil {
		return account.Identity{}, nil, err
	}
	var who account.Identity
	next, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		l, t, err := d.registeringBy(tx, r)
		if err != nil {
			return nil, err
		}
		u, err := d.dir.Create(tx, account.System(account.Registered).From(r.Client.Addr, ""), account.NewUser{
			Ref: principal.Ref{Name: r.Name, Realm: l.Realm}, Email: l.Address, FullName: r.FullName, PasswordHash: digest,
		})
		if err != nil {
			return nil, err
		}
		who = u.Identity()
		if err := errors.Join(dropMailed(tx, d.registerKey(l.Realm, l.Address), registerIndex), burnAll(tx, ownerOf(l)), d.recordRegister(tx, u, r)); err != nil {
			return nil, err
		}
		if r.Door == API {
			return nil, nil
		}
		return d.pastFirst(tx, u, passage{door: r.Door, client: r.Client, target: t.Target, provedAt: tx.Now()})
	})
	if err != nil && !errors.Is(err, ErrEnrollmentClosed) {
		who = account.Identity{}
	}
	return who, next, err
}

// countRegister is the first Update: what can be refused without a hash is, and the try
// is counted at the link, a taken name too.
func (d *Doors) countRegister(ctx context.Context, r RegisterAttempt) error {
	var refused error
	_, err := d.decide(ctx, func(tx store.Tx) (*Next, error) {
		refused = nil
		l, _, err := d.registeringBy(tx, r)
		if err != nil {
			return nil, err
		}
		key := d.registerKey(l.Realm, l.Address)
		if l.Posts++; l.Posts > RegisterPosts {
			return nil, denied(dropMailed(tx, key, registerIndex))
		}
		if err := saveUsed(tx, key, l); err != nil {
			return nil, err
		}
		refused, err = d.newcomer(tx, l, r)
		return nil, err
	})
	if err != nil {
		return err
	}
	return refused
}

// newcomer says why there can be no such account.
func (d *Doors) newcomer(tx store.Tx, l *link, r RegisterAttempt) (refused, err error) {
	ref, err := d.dir.Ref(tx, r.Name, l.Realm)
	if errors.Is(err, account.ErrInvalid) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	switch _, err := d.dir.ByRef(tx, ref); {
	case err == nil:
		return account.ErrExists, nil
	case !errors.Is(err, account.ErrUnknownUser):
		return nil, err
	}
	switch _, err := d.dir.ByAddressIn(tx, l.Realm, l.Address); {
	case err == nil:
		return account.ErrAddressTaken, nil
	case !errors.Is(err, account.ErrUnknownUser):
		return nil, err
	}
	return secret.CheckPassword(d.dir.Passwords(), r.Password, ref.Name, ref.Realm, l.Address, r.FullName, "sallyport"), nil
}

// registeringBy reads the link of an attempt. t is the portal's cookie; the API has
// none. Errors: ErrDenied, account.ErrRegistrationClosed.
func (d *Doors) registeringBy(tx store.Tx, r RegisterAttempt) (l *link, t ticket, err error) {
	switch r.Door {
	case API:
		l, err = d.registerLink(tx, r.Token)
		return l, ticket{}, err
	case Portal:
		if t, err = ticketOf(tx, r.Token, Portal, Registering); err != nil {
			return nil, t, err
		}
		if l, err = loadLink(tx, registerIndex(t.Link)); err != nil {
			return nil, t, err
		}
		l, err = d.registerOpen(tx, l)
		return l, t, err
	}
	return nil, ticket{}, ErrDenied
}

func (d *Doors) recordRegister(tx store.Tx, u *account.User, r RegisterAttempt) error {
	return d.audit.Record(tx, audit.Event{
		Time: tx.Now(), Kind: audit.KindRegister, Outcome: audit.OK, Cause: "accepted", Principal: u.ID,
		Name: u.Ref().String(), Client: r.Client.Addr, Method: r.Door.String(),
	})
}
