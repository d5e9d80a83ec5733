package api_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// robot is a service with what it knows.
type robot struct {
	w    *world
	name string // name@realm
	seed []byte
	from string // "" : where strangers come from
}

func (w *world) robot(ref string, extra ...any) *robot {
	w.Helper()
	name, realm, _ := strings.Cut(ref, "@")
	if a := w.admin().send("GET", "/realms/"+realm, nil); a.status == 404 {
		w.admin().send("PUT", "/realms/"+realm, map[string]any{}).want(200)
	}
	body := map[string]any{"realm": realm, "name": name}
	for i := 0; i < len(extra); i += 2 {
		body[extra[i].(string)] = extra[i+1]
	}
	r := &robot{w: w, name: ref}
	r.learn(w.admin().send("POST", "/services", body).want(201))
	return r
}

func (r *robot) learn(a *answer) {
	r.w.Helper()
	seed, err := otp.ParseSeed(a.text("seed"))
	must(r.w, err)
	r.seed = seed
}

func (r *robot) seedText() string { return otp.FormatSeed(r.seed) }

func split(ref string) (name, realm string) {
	name, realm, _ = strings.Cut(ref, "@")
	return name, realm
}

func (r *robot) path() string {
	name, realm, _ := strings.Cut(r.name, "@")
	return "/services/" + realm + "/" + name
}

// at is the token of a moment so many steps from now.
func (r *robot) at(steps int64) string {
	params := otp.Default()
	token, err := params.Code(r.seed, params.Step(r.w.clock.Now())+steps)
	must(r.w, err)
	return token
}

func (r *robot) token() string { return r.at(0) }

// wrong is a token that is good at no time near now.
func (r *robot) wrong() string {
	near := map[string]bool{}
	for d := int64(-12); d <= 12; d++ {
		near[r.at(d)] = true
	}
	for i := 0; ; i++ {
		if code := fmt.Sprintf("%06d", i); !near[code] {
			return code
		}
	}
}

func basic(name, token string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+token))
}

// with is the service with some token.
func (r *robot) with(token string) *visitor {
	v := r.w.stranger().saying("Authorization", basic(r.name, token))
	if r.from != "" {
		v.from = r.from
	}
	return v
}

func (r *robot) visit() *visitor { return r.with(r.token()) }

// ask asks about another service's token.
func (r *robot) ask(subject, token string) string {
	r.w.Helper()
	name, realm, _ := strings.Cut(subject, "@")
	return r.visit().send("POST", "/verify", map[string]any{"name": name, "realm": realm, "token": token}).want(200).text("status")
}

// causes are those of the stored events of a kind, newest first.
func (w *world) causes(kind string) []string {
	w.Helper()
	var causes []string
	events, _ := w.admin().send("GET", "/audit?limit=200&kind="+kind, nil).want(200).fields["events"].([]any)
	for _, e := range events {
		cause, _ := e.(map[string]any)["cause"].(string)
		causes = append(causes, cause)
	}
	return causes
}

// access asks the token endpoint, with the credentials in the body.
func (r *robot) access(name, token string) *answer {
	r.w.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {name}, "client_secret": {token}}
	return r.w.stranger().saying("Content-Type", "application/x-www-form-urlencoded").send("POST", "/token", form.Encode())
}
