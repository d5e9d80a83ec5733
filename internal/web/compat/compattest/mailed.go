package compattest

import (
	"regexp"
	"strings"
	"time"
)

// Mailbox is where people read what a running gateway mails.
type Mailbox struct {
	// Next waits for the next mail to an address and returns its text.
	Next func(to string) string
}

var codeLine = regexp.MustCompile(`(?m)^\s*([0-9]{6})\s*$`)

// codes waits for a mail to an address that holds so many codes, each on a line of its
// own; notices between are passed over.
func (m Mailbox) codes(to string, n int) (codes []string) {
	for {
		found := codeLine.FindAllStringSubmatch(m.Next(to), -1)
		if len(found) != n {
			continue
		}
		for _, f := range found {
			codes = append(codes, f[1])
		}
		return codes
	}
}

func (m Mailbox) code(to string) string { return m.codes(to, 1)[0] }

// MailedWords are the configuration under which the flows by mail run, beside `mail`.
// Clients of dialect 0.2 and 0.3 have a server each.
func MailedWords(dialect string) string {
	return `
compat:
  fastapi2fa: {signup: true}
  trench: {dialect: ` + dialect + `}
realms:
  trench: {confirm_disable: true}
throttle: {sends: 50, network_sends: 200}
`
}

// Mailed runs the flows of django-trench's sample client and of fastapi_2fa's README
// with codes by mail, as their users would.
func (s Server) Mailed(box Mailbox, dialect string) {
	s.trenchByMail(box, dialect == "0.2")
	s.fastapiByMail(box)
}

// sample is what the sample client sends: JSON, and its token.
type sample struct {
	Server
	auth  string // URL
	token string // header, for curl
}

func (c *sample) post(status, path string, fields map[string]string) map[string]any {
	c.Helper()
	return c.want(status, "curl -X POST "+c.auth+path+jsonBody(fields)+c.token)
}

func (c *sample) active(what, want string) {
	c.Helper()
	if got := text(c.want("200", "curl "+c.auth+"/mfa/user-active-methods/"+c.token), ""); got != want {
		c.Errorf("django-trench: %s: %s, want %s", what, got, want)
	}
}

// enter logs in, by a code where one is asked for.
func (c *sample) enter(old bool, code func(method string) string) {
	c.Helper()
	c.token = ""
	answer := c.post("200", "/login/", map[string]string{"username": "mailed", "password": words})
	if answer["ephemeral_token"] != nil {
		method := text(answer, "method")
		answer = c.post("200", "/login/code/", map[string]string{"ephemeral_token": text(answer, "ephemeral_token"), "code": code(method)})
	}
	c.token = " -H 'Authorization: Bearer " + text(answer, "access") + "'"
	if old {
		c.token = " -H 'Authorization: JWT " + text(answer, "token") + "'"
	}
}

func (s Server) trenchByMail(box Mailbox, old bool) {
	s.Helper()
	const address = "mailed@example.com"
	s.Run(words+"\n", "user", "add", "mailed@trench", "--email", address, "--password-stdin", "--json")
	c := &sample{Server: s, auth: s.URL + "/auth"}
	code := func(method string) string {
		if method != "email" {
			s.Errorf("django-trench: asked for %s", method)
		}
		return box.code(address)
	}
	said := "details"
	if old {
		said = "message"
	}
	sent := func(what string, answer map[string]any) {
		if text(answer, said) != "Email message with MFA code has been sent." {
			s.Errorf("django-trench: %s: %v", what, answer)
		}
	}

	c.enter(old, code)
	if got := s.want("200", "curl -L "+c.auth+"/mfa/config"); !strings.Contains(text(got, ""), `"email"`) {
		s.Errorf("django-trench: the configuration: %v", got)
	}
	sent("activate", c.post("200", "/email/activate/", map[string]string{"method": "email", "email": address}))
	confirmed := c.post("200", "/email/activate/confirm/", map[string]string{"method": "email", "code": box.code(address)})
	backup, _ := confirmed["backup_codes"].([]any)
	if len(backup) != 5 {
		s.Fatalf("django-trench: backup codes: %v", confirmed)
	}
	c.active("activated", `[{"name":"email","is_primary":true}]`)

	c.enter(old, code) // the second step, by the code that was mailed
	c.enter(old, func(string) string { box.code(address); return backup[0].(string) })
	sent("code", c.post("200", "/code/request/", map[string]string{"method": "email"}))
	if got := c.post("200", "/email/codes/regenerate/", map[string]string{"method": "email", "code": box.code(address)}); len(got["backup_codes"].([]any)) != 5 {
		s.Errorf("django-trench: new backup codes: %v", got)
	}

	field := "details"
	if old {
		field = "qr_link"
	}
	m := regexp.MustCompile(`secret=([A-Z2-7]+)`).FindStringSubmatch(text(c.post("200", "/app/activate/", map[string]string{"method": "app"}), field))
	if m == nil {
		s.Fatal("django-trench: the link has no secret")
	}
	seed := m[1]
	c.post("200", "/app/activate/confirm/", map[string]string{"method": "app", "code": s.code(seed)})
	c.active("two", `[{"name":"email","is_primary":true},{"name":"app","is_primary":false}]`)

	sent("code of the primary method", c.post("200", "/code/request/", map[string]string{"method": "email"}))
	change := map[string]string{"method": "app", "code": box.code(address)}
	if old {
		c.post("200", "/mfa/change-primary-method/", change)
	} else {
		c.post("204", "/mfa/change-primary-method/", change)
	}
	c.active("changed", `[{"name":"app","is_primary":true},{"name":"email","is_primary":false}]`)

	sent("code", c.post("200", "/code/request/", map[string]string{"method": "email"}))
	c.post("204", "/email/deactivate/", map[string]string{"method": "email", "code": box.code(address)})
	c.active("one", `[{"name":"app","is_primary":true}]`)
}

func (s Server) fastapiByMail(box Mailbox) {
	s.Helper()
	const address = "mailed@example.com"
	api := s.URL + "/api/v1"
	form := func(email string) string {
		return "curl -X 'POST' '" + api + "/auth/login' -H 'accept: application/json' -H 'Content-Type: application/x-www-form-urlencoded' -d 'grant_type=&username=" +
			email + "&password=" + strings.ReplaceAll(words, " ", "+") + "&scope=&client_id=&client_secret='"
	}
	if said, status := s.curl("curl -X 'POST' '" + api + "/auth/signup' -H 'accept: application/json' -H 'Content-Type: application/json' -d '{\n\"email\": \"" + address +
		"\",\n\"tfa_enabled\": true,\n\"full_name\": \"string\",\n\"password\": \"" + words + "\",\n\"device\": {\n    \"device_type\": \"email\"\n}\n}'"); status != "200" || said != "" {
		s.Fatalf("fastapi_2fa: signup with the device email: %s %s", status, said)
	}
	tokens := box.codes(address, 5)
	bearer := func(token any) string {
		return " -H 'accept: application/json' -H 'Authorization: Bearer " + token.(string) + "'"
	}
	pre := s.want("202", form(address))
	pair := s.want("200", "curl -X 'POST' '"+api+"/tfa/login_tfa?tfa_token="+box.code(address)+"'"+bearer(pre["access_token"])+" -d ''")
	if got := s.want("200", "curl -X 'GET' '"+api+"/auth/test-token'"+bearer(pair["access_token"])); text(got, "email") != address || !strings.Contains(text(got, ""), `"device_type":"email"`) {
		s.Errorf("fastapi_2fa: test-token: %v", got)
	}
	s.want("200", "curl -X 'POST' '"+api+"/auth/refresh' -H 'Content-Type: application/json' -d '{\n\"refresh_token\": \""+text(pair, "refresh_token")+"\"\n}'")
	pre = s.want("202", form(address))
	box.code(address)
	s.want("200", "curl -X 'POST' '"+api+"/tfa/recover_tfa?tfa_backup_token="+tokens[0]+"'"+bearer(pre["access_token"])+" -d ''")

	const later = "later@example.com"
	s.want("200", "curl -X 'POST' '"+api+"/auth/signup' -H 'Content-Type: application/json' -d '{\"email\": \""+later+"\", \"tfa_enabled\": false, \"full_name\": \"string\", \"password\": \""+words+"\"}'")
	pair = s.want("200", form(later))
	s.want("200", "curl -X 'PUT' '"+api+"/tfa/enable_tfa'"+bearer(pair["access_token"])+" -H 'Content-Type: application/json' -d '{\n\"device_type\": \"email\"\n}'")
	box.codes(later, 5)
	pre = s.want("202", form(later))
	s.want("200", "curl -X 'POST' '"+api+"/tfa/login_tfa?tfa_token="+box.code(later)+"'"+bearer(pre["access_token"])+" -d ''")

	task := text(s.want("200", "curl -X 'GET' '"+api+"/tasks/test-celery' -H 'accept: application/json'"), "task_id")
	for until := time.Now().Add(20 * time.Second); ; {
		state := text(s.want("200", "curl -X 'GET' '"+api+"/tasks/taskstatus?task_id="+task+"' -H 'accept: application/json'"), "state")
		if state == "SUCCESS" {
			return
		}
		if state != "PENDING" || time.Now().After(until) {
			s.Fatalf("fastapi_2fa: the task is %s", state)
		}
	}
}
