package trench

import (
	"context"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// defaultSMS is what clients call SMS where nothing says otherwise.
const defaultSMS = "sms_twilio"

// words are the names that the original's projects gave to methods. Several are of SMS:
// each sender was a method. The settings of a project could name a method as they
// liked, and one of the installation's own has its own name here too.
var words = [...]struct {
	name   string
	factor factor.Name
}{
	{"app", factor.TOTP},
	{"email", factor.Email},
	{"sms_twilio", factor.SMS},
	{"sms_api", factor.SMS},
	{"sms_aws", factor.SMS},
	{"sms", factor.SMS}, // as the sample client has it
	{"yubi", factor.YubiKey},
}

// names tell what the wire calls second factors from what we do, and which of them the
// facade's realm offers.
type names struct {
	realm   account.Realm
	offered []factor.Name // that clients can set up, in the realm's order
	sms     string        // what SMS is called
}

// namesOf reads them of the realm's settings of this moment.
func (f *Facade) namesOf(ctx context.Context) (n names, err error) {
	err = f.Store.View(ctx, func(tx store.Tx) error {
		if n.realm, err = f.Directory.RealmToBe(tx, f.realm); err != nil {
			return err
		}
		n.offered, err = f.Factors.Offered(tx, f.realm)
		return err
	})
	n.offered = slices.DeleteFunc(n.offered, func(m factor.Name) bool { return m == factor.Passkey })
	n.sms = f.sms
	for _, w := range words {
		if _, labelled := n.realm.MethodLabels[w.name]; labelled && w.factor == factor.SMS && w.name != string(factor.SMS) {
			n.sms = w.name
			break
		}
	}
	return n, err
}

// factor is what a name of the wire stands for, whether the realm offers it or not; "":
// nothing.
func (n names) factor(name string) factor.Name {
	method := factor.Name(name)
	if factor.Sendable(method) && slices.Contains(n.offered, method) {
		return method
	}
	for _, w := range words {
		if w.name == name {
			return w.factor
		}
	}
	if factor.Sendable(method) || method == factor.Passkey {
		return method // the installation's own, or one that was set up natively
	}
	return ""
}

// of is how the wire calls a factor: by our own name where it has none.
func (n names) of(method factor.Name) string {
	if method == factor.SMS {
		return n.sms
	}
	for _, w := range words {
		if w.factor == method {
			return w.name
		}
	}
	return string(method)
}

// offers reports whether clients can set up what a name stands for.
func (n names) offers(name string) bool { return slices.Contains(n.offered, n.factor(name)) }

// all are the names of what clients can set up.
func (n names) all() []string {
	list := make([]string, 0, len(n.offered))
	for _, method := range n.offered {
		list = append(list, n.of(method))
	}
	return list
}

// label is how the realm calls a method: by the name of the wire or our own.
func (n names) label(name string) string {
	for _, key := range []string{name, string(n.factor(name))} {
		if text := n.realm.MethodLabels[key]; text != "" {
			return text
		}
	}
	return name
}
