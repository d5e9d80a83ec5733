package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web"
	"github.com/sallyport-auth/sallyport/internal/web/compat/fastapi2fa"
)

// letters writes what other rooms have to say to people into the outbox: the codes of
// factor, the links and notices of login. It is the one place that knows the portal,
// so no link is ever built from what a request says about its host.
type letters struct {
	out    *notify.Outbox
	plan   map[string]sender // of this configuration; the outbox has the newest one's
	portal string            // origin; "": no link can be sent
	labels map[string]string // of own methods
	sender string            // address of the installation; "": nobody's
	store  store.Store
}

// newLetters returns the one of a gateway.
func (g *Gateway) newLetters() *letters {
	p := &letters{out: g.state.outbox, plan: g.plan.senders, portal: g.plan.sites[0].portal, labels: map[string]string{}, sender: g.plan.mailFrom, store: g.state.Store}
	for name, m := range g.cfg.Methods {
		p.labels[name] = m.Label
	}
	return p
}

// ownMethods are the names of an installation's own methods.
func (g *Gateway) ownMethods() []factor.Name {
	var names []factor.Name
	for _, name := range slices.Sorted(maps.Keys(g.cfg.Methods)) {
		names = append(names, factor.Name(name))
	}
	return names
}

// Sends implements factor.Sender.
func (p *letters) Sends(method factor.Name) bool {
	return p.plan[string(method)] != nil && p.out.Sends(string(method))
}

// Send implements factor.Sender. The newest code of a person, method and purpose makes
// an older one that is still waiting worthless.
func (p *letters) Send(tx store.Tx, m factor.Message) error {
	to := m.To
	if to == "" { // the receiver of an own method knows people by their names
		to = m.User.Ref().String()
	}
	return p.out.Queue(tx, notify.Message{
		Kind: codeKind(m), Method: string(m.Method), To: to, Realm: m.User.Realm, Person: m.User.ID, Expires: m.Expires,
		Replaces: strings.Join([]string{"code", m.User.ID.String(), string(m.Method), string(m.For)}, "/"),
		Data: about(m.User, map[string]string{
			notify.FieldCode: m.Code, notify.FieldExpires: inWords(m.Expires.Sub(tx.Now())), notify.FieldMethod: p.label(string(m.Method)),
		}),
	})
}

func codeKind(m factor.Message) notify.Kind {
	switch {
	case m.For == factor.ForLogin:
		return notify.LoginCode
	case m.Method == factor.Email:
		return notify.EmailCode
	case m.Method == factor.SMS:
		return notify.PhoneCode
	}
	return notify.MethodCode
}

// about adds whom a text is for.
func about(u *account.User, data map[string]string) map[string]string {
	data[notify.FieldName], data[notify.FieldRealm] = cmp.Or(u.FullName, u.Name), u.Realm
	return data
}

// label is what people call a method.
func (p *letters) label(method string) string {
	switch factor.Name(method) {
	case factor.TOTP:
		return "authenticator app"
	case factor.Email:
		return "e-mail"
	case factor.SMS:
		return "SMS"
	case factor.YubiKey:
		return "YubiKey"
	case factor.Passkey:
		return "passkey"
	case factor.RecoveryCode:
		return "recovery code"
	}
	return cmp.Or(p.labels[method], method)
}

// Links implements login.Mail.
func (p *letters) Links() bool { return p.portal != "" && p.Sends(factor.Email) }

// link is where a token leads.
func (p *letters) link(path string, token secret.Token) string {
	return p.portal + path + "?" + url.Values{"token": {token.Reveal()}}.Encode()
}

// mailLink queues a link that replaces an older one of its kind.
func (p *letters) mailLink(tx store.Tx, kind notify.Kind, u *account.User, path string, token secret.Token, life time.Duration) error {
	return p.out.Queue(tx, notify.Message{
		Kind: kind, Method: notify.Email, To: u.Email, Realm: u.Realm, Person: u.ID, Expires: tx.Now().Add(life),
		Replaces: string(kind) + "/" + u.ID.String(),
		Data:     about(u, map[string]string{notify.FieldLink: p.link(path, token), notify.FieldExpires: inWords(life)}),
	})
}

// Reset implements login.Mail.
func (p *letters) Reset(tx store.Tx, u *account.User, token secret.Token, life time.Duration) error {
	return p.mailLink(tx, notify.Reset, u, login.ResetPath, token, life)
}

// Invitation implements login.Mail.
func (p *letters) Invitation(tx store.Tx, u *account.User, token secret.Token, life time.Duration) error {
	return p.mailLink(tx, notify.Invitation, u, login.InvitePath, token, life)
}

// Registration implements login.Mail.
func (p *letters) Registration(tx store.Tx, realm, address string, token secret.Token, life time.Duration) error {
	return p.out.Queue(tx, notify.Message{
		Kind: notify.Registration, Method: notify.Email, To: address, Realm: realm, Expires: tx.Now().Add(life),
		Replaces: string(notify.Registration) + "/" + realm + "/" + address,
		Data: map[string]string{
			notify.FieldRealm: realm, notify.FieldLink: p.link(login.RegisterPath, token), notify.FieldExpires: inWords(life),
		},
	})
}

// AccountExists implements login.Mail.
func (p *letters) AccountExists(tx store.Tx, u *account.User) error {
	return p.out.Queue(tx, notify.Message{
		Kind: notify.AccountExists, Method: notify.Email, To: u.Email, Realm: u.Realm, Person: u.ID,
		Replaces: string(notify.AccountExists) + "/" + u.ID.String(),
		Data:     about(u, map[string]string{notify.FieldLink: p.portal + "/sallyport/reset"}),
	})
}

// Notice implements login.Mail.
func (p *letters) Notice(tx store.Tx, n login.Notice) error {
	data := about(n.User, map[string]string{
		notify.FieldWhen: n.At.UTC().Format("2 January 2006, 15:04 UTC"), notify.FieldMethod: p.label(n.Method), notify.FieldBy: n.By,
	})
	if n.Client.IsValid() {
		data[notify.FieldNetwork] = n.Client.Unmap().String()
	}
	if n.Browser != "" {
		data[notify.FieldBrowser] = n.Browser
		if program, system := web.Agent(n.Browser); program != "" {
			data[notify.FieldBrowser] = program + " on " + system
		}
	}
	if n.Kind == login.AddressChanged {
		data[notify.FieldAddress], data[notify.FieldMethod] = factor.Mask(n.User.Email), "e-mail address"
		if n.Method == string(account.PhoneField) {
			data[notify.FieldAddress], data[notify.FieldMethod] = factor.Mask(n.User.Phone), "phone number"
		}
	}
	if !n.NotMe.IsZero() {
		data[notify.FieldNotMe] = p.link(login.NotMePath, n.NotMe)
	}
	return p.out.Queue(tx, notify.Message{Kind: notify.Kind(n.Kind), Method: notify.Email, To: n.To, Realm: n.User.Realm, Person: n.User.ID, Data: data})
}

// Can reports whether recovery codes can be mailed, as a facade of an older system does.
func (p *letters) Can() bool { return p.Sends(factor.Email) }

// BackupTokens mails recovery codes for a facade whose clients expect that.
func (p *letters) BackupTokens(tx store.Tx, u *account.User, codes []string) error {
	return p.out.Queue(tx, notify.Message{
		Kind: notify.BackupTokens, Method: notify.Email, To: u.Email, Realm: u.Realm, Person: u.ID, Expires: tx.Now().Add(backupLife),
		Replaces: string(notify.BackupTokens) + "/" + u.ID.String(),
		Data:     about(u, map[string]string{notify.FieldCodes: strings.Join(codes, "\n")}),
	})
}

// Test implements fastapi2fa.Messages: a mail from the installation to itself.
func (p *letters) Test(tx store.Tx) (id string, err error) {
	return p.out.Post(tx, notify.Message{Kind: notify.Test, Method: notify.Email, To: p.sender, Expires: tx.Now().Add(time.Hour)})
}

// State implements fastapi2fa.Messages.
func (p *letters) State(ctx context.Context, id string) (state fastapi2fa.State, err error) {
	state = fastapi2fa.Pending
	err = p.store.View(ctx, func(tx store.Tx) error {
		e, err := p.out.Get(tx, id)
		if errors.Is(err, notify.ErrUnknown) || err == nil && e.Kind != notify.Test {
			return nil // of a mail to somebody nothing is said
		}
		switch e.State {
		case notify.Sent:
			state = fastapi2fa.Success
		case notify.Dead, notify.Expired, notify.Superseded:
			state = fastapi2fa.Failure
		}
		return err
	})
	return state, err
}

// backupLife is how long mailed recovery codes wait for a mail server.
const backupLife = 24 * time.Hour

// inWords says how long something works, rounded down to what people say.
func inWords(d time.Duration) string {
	say := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d >= 48*time.Hour:
		return say(int(d/(24*time.Hour)), "day")
	case d >= 2*time.Hour:
		return say(int(d/time.Hour), "hour")
	case d >= time.Minute:
		return say(int(d/time.Minute), "minute")
	}
	return say(int(max(d, time.Second)/time.Second), "second")
}
