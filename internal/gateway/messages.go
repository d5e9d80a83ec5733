package gateway

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sallyport-auth/sallyport/internal/notify"
	"github.com/sallyport-auth/sallyport/internal/notify/mail"
	"github.com/sallyport-auth/sallyport/internal/notify/post"
	"github.com/sallyport-auth/sallyport/internal/secret"
)

// trial is the word for messages that are written to the log instead of sent.
const trial = "log"

// SMS says who sends short messages: one of the three. Written as a text it is log.
type SMS struct {
	Log    bool    `json:"log,omitempty"`    // write them to the log, codes too: for trying things out
	Twilio *Twilio `json:"twilio,omitempty"` // https://www.twilio.com
	SMSAPI *SMSAPI `json:"smsapi,omitempty"` // https://www.smsapi.com
}

// Twilio is an account with Twilio.
type Twilio struct {
	Account string `json:"account,omitempty"` // "AC…"
	Key     string `json:"key,omitempty"`     // "SK…", an API key; default: the account itself
	Token   string `json:"token,omitempty"`   // the account's auth token, or the secret of the key
	From    string `json:"from,omitempty"`    // a number with +, or a sender's name
	Service string `json:"service,omitempty"` // "MG…", a messaging service, instead of from
	URL     string `json:"url,omitempty"`     // default https://api.twilio.com
}

// SMSAPI is an account with SMSAPI.
type SMSAPI struct {
	Token string `json:"token,omitempty"` // an OAuth token with the right to send
	From  string `json:"from,omitempty"`  // a sender's name; default: the account's own
	URL   string `json:"url,omitempty"`   // default https://api.smsapi.com
}

// Method is an own way to reach people: a program that takes their messages as
// signed webhooks (docs/messages.md).
type Method struct {
	Webhook string `json:"webhook,omitempty"` // an https:// URL, or http:// on this machine
	Secret  string `json:"secret,omitempty"`  // of the signatures; at least 16 characters
	Label   string `json:"label,omitempty"`   // what people call it; default: its name
}

// UnmarshalJSONFrom reads "log", or the keys.
func (s *SMS) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '"' {
		type keys SMS
		return json.UnmarshalDecode(dec, (*keys)(s), json.RejectUnknownMembers(true))
	}
	word, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if word.String() != trial {
		return errors.New("expected log, or one of twilio and smsapi with its keys")
	}
	*s = SMS{Log: true}
	return nil
}

// planMessages understands who sends messages to people. Nothing is connected.
func (c *Config) planMessages(p *plan, _ shell) (err error) {
	p.senders = map[string]sender{}
	for _, step := range []func(*plan) error{c.planMail, c.planSMS, c.planOwnMethods} {
		if err := step(p); err != nil {
			return err
		}
	}
	if c.Templates == "" {
		p.templates, err = notify.Builtin()
		return err
	}
	p.templates, err = notify.LoadTemplates(c.Templates)
	var broken *notify.TemplateError
	if errors.As(err, &broken) {
		return &ConfigError{File: broken.File, Line: broken.Line, Text: broken.Text}
	}
	if err != nil {
		return c.At("/templates", "templates: %v", err)
	}
	return nil
}

// sender makes what sends for an open gateway.
type sender func(*Gateway) notify.Sender

// trialSender writes to the log.
func trialSender(g *Gateway) notify.Sender { return notify.Trial{Logger: g.log} }

func (p *plan) warnTrial(word string) {
	p.warnings = append(p.warnings, word+": log sends nothing and writes every code and link to the log, where others may read them: for trying things out alone")
}

func (c *Config) planMail(p *plan) error {
	switch c.Mail {
	case "":
		if c.written("/mail") { // an empty variable is no wish for silence
			return c.At("/mail", "mail is empty: leave it out, or say smtp://USER:PASSWORD@HOST:PORT and the sender")
		}
		return nil
	case trial:
		p.warnTrial("mail")
		p.senders[notify.Email], p.mailFrom = trialSender, "sallyport@localhost"
		return nil
	}
	account, err := mail.Parse(c.Mail)
	if err != nil {
		return c.At("/mail", "mail: %v", err)
	}
	p.mailFrom = account.From.Address
	p.senders[notify.Email] = func(*Gateway) notify.Sender { return mail.New(account) }
	return nil
}

func (c *Config) planSMS(p *plan) error {
	s := c.SMS
	if s == nil {
		return nil
	}
	named := 0
	for _, is := range []bool{s.Log, s.Twilio != nil, s.SMSAPI != nil} {
		if is {
			named++
		}
	}
	switch {
	case named != 1:
		return c.At("/sms", "sms: expected log, or one of twilio and smsapi with its keys")
	case s.Log:
		p.warnTrial("sms")
		p.senders[notify.SMS] = trialSender
		return nil
	case s.Twilio != nil:
		return c.planTwilio(p, s.Twilio)
	}
	return c.planSMSAPI(p, s.SMSAPI)
}

func (c *Config) planTwilio(p *plan, t *Twilio) error {
	switch {
	case !regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`).MatchString(t.Account):
		return c.At("/sms/twilio/account", "account: expected AC and 32 hexadecimal digits")
	case t.Key != "" && !regexp.MustCompile(`^SK[0-9a-fA-F]{32}$`).MatchString(t.Key):
		return c.At("/sms/twilio/key", "key: expected SK and 32 hexadecimal digits")
	case badSecret(t.Token):
		return c.At("/sms/twilio/token", "token: expected the account's auth token, or the secret of the key")
	case (t.From == "") == (t.Service == ""):
		return c.At("/sms/twilio", "twilio: expected one of from (a number or a sender's name) and service (a messaging service)")
	case t.Service != "" && !regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`).MatchString(t.Service):
		return c.At("/sms/twilio/service", "service: expected MG and 32 hexadecimal digits")
	case t.From != "" && !plainText(t.From, 32):
		return c.At("/sms/twilio/from", "from: expected a number such as +41445550100, or a sender's name")
	case t.URL != "" && post.CheckURL(t.URL) != nil:
		return c.At("/sms/twilio/url", "url: %v", post.CheckURL(t.URL))
	}
	out := &post.Twilio{Account: t.Account, Key: t.Key, Token: secret.NewText(t.Token), From: t.From, Service: t.Service, Base: t.URL}
	p.senders[notify.SMS] = func(*Gateway) notify.Sender { return out }
	return nil
}

func (c *Config) planSMSAPI(p *plan, s *SMSAPI) error {
	switch {
	case badSecret(s.Token):
		return c.At("/sms/smsapi/token", "token: expected an OAuth token of the account")
	case s.From != "" && !plainText(s.From, 32):
		return c.At("/sms/smsapi/from", "from: expected a sender's name that the account has")
	case s.URL != "" && post.CheckURL(s.URL) != nil:
		return c.At("/sms/smsapi/url", "url: %v", post.CheckURL(s.URL))
	}
	out := &post.SMSAPI{Token: secret.NewText(s.Token), From: s.From, Base: s.URL}
	p.senders[notify.SMS] = func(*Gateway) notify.Sender { return out }
	return nil
}

func (c *Config) planOwnMethods(p *plan) error {
	for name, m := range c.Methods {
		at := "/methods/" + pointerEscape.Replace(name)
		switch {
		case slices.Contains(ownedMethods(), name):
			return c.At(at, "methods: %s is a method of ours: give yours another name", name)
		case !regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`).MatchString(name):
			return c.At(at, "methods: expected a name of small letters, digits and _, at most 32, that begins with a letter")
		case post.CheckURL(m.Webhook) != nil:
			return c.At(at+"/webhook", "webhook: %v", post.CheckURL(m.Webhook))
		case len(m.Secret) < post.MinSecret || badSecret(m.Secret):
			return c.At(at+"/secret", "secret: expected at least %d characters on one line, usually {file.PATH}", post.MinSecret)
		case m.Label != "" && !plainText(m.Label, maxName):
			return c.At(at+"/label", "label: expected at most %d characters on one line, with no space at either end", maxName)
		}
		p.senders[name] = func(g *Gateway) notify.Sender {
			return &post.Webhook{URL: m.Webhook, Secret: secret.NewText(m.Secret), Site: g.siteName(), Clock: g.clock}
		}
	}
	return nil
}

// ownedMethods are the names of factors and messages that are ours, and those that
// facades have for them.
func ownedMethods() []string {
	return []string{"totp", "recovery_code", "passkey", notify.Email, notify.SMS, "yubikey", "password", "trusted",
		"app", "sms_twilio", "sms_api", "sms_aws", "yubi", "log", "default"}
}

// badSecret reports whether a text cannot be a secret that goes into a header.
func badSecret(text string) bool {
	return text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == unicode.ReplacementChar || r == 0x7f })
}

func plainText(text string, most int) bool {
	return utf8.RuneCountInString(text) <= most && strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// settings are what this configuration says about messages.
func (g *Gateway) settings() notify.Settings {
	s := notify.Settings{Site: g.siteName(), Templates: g.plan.templates, Senders: map[string]notify.Sender{}, Labels: map[string]string{}}
	for name, m := range g.cfg.Methods {
		s.Labels[name] = cmp.Or(m.Label, name)
	}
	for method, open := range g.plan.senders {
		s.Senders[method] = open(g)
	}
	return s
}

// siteName is what messages call the installation.
func (g *Gateway) siteName() string {
	if g.cfg.Name != "" {
		return g.cfg.Name
	}
	return "Sallyport"
}

// Outbox is where rooms queue messages to people, and where administrators see what
// became of them. There is one, also where no configuration sends anything.
func (s *State) Outbox() *notify.Outbox { return s.outbox }

// message counts an outcome of the outbox.
func (m *metrics) message(kind notify.Kind, outcome notify.Outcome) {
	word := string(kind)
	if !kind.Known() { // of another version of the program, over the same store
		word = other
	}
	m.messages.WithLabelValues(word, string(outcome)).Inc()
}
