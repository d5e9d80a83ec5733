package fastapi2fa_test

import (
	"image/png"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
	"github.com/sallyport-auth/sallyport/internal/web/compat/fastapi2fa"
)

const (
	missingField = `"msg":"field required","type":"value_error.missing"}`
	badDevice    = `"msg":"value is not a valid enumeration member; permitted: 'email', 'code_generator'","type":"type_error.enum","ctx":{"enum_values":["email","code_generator"]}}`
)

func found(all ...string) string { return `{"detail":[` + strings.Join(all, ",") + `]}` }

func TestSignup(t *testing.T) {
	h := newHouse(t)
	rows := []struct {
		name, body string
		status     int
		want       string
	}{
		{"without TFA", `{"email":"a@Example.com","full_name":"A","password":"` + password + `","tfa_enabled":false}`, 200, ""},
		{"null TFA", `{"email":"b@example.com","full_name":"B","password":"` + password + `","tfa_enabled":null,"device":null}`, 200, ""},
		{"a code generator", `{"email":"c@example.com","full_name":"C","password":"` + password + `","tfa_enabled":true,"device":{"device_type":"code_generator"}}`, 200, "png"},
		{"numbers become texts", `{"email":"d@example.com","full_name":12,"password":90817263544536271819,"tfa_enabled":0}`, 200, ""},
		{"e-mail", `{"email":"e@example.com","full_name":"E","password":"` + password + `","tfa_enabled":true,"device":{"device_type":"email"}}`, 400,
			`{"detail":"Codes by e-mail are not sent here: choose the device_type code_generator."}`},
		{"no tfa_enabled", `{"email":"f@example.com","full_name":"F","password":"` + password + `"}`, 422, found(`{"loc":["body","tfa_enabled"],` + missingField)},
		{"no device", `{"email":"f@example.com","full_name":"F","password":"` + password + `","tfa_enabled":true}`, 400,
			`{"detail":"when enabling two factor authentication, also a device_type should be provided"}`},
		{"a text that is true before it is read", `{"tfa_enabled":"off"}`, 400,
			`{"detail":"when enabling two factor authentication, also a device_type should be provided"}`},
		{"null device", `{"tfa_enabled":true,"device":null}`, 400,
			`{"detail":"when enabling two factor authentication, also a device_type should be provided"}`},
		{"bad device", `{"email":"f@example.com","full_name":"F","password":"` + password + `","tfa_enabled":true,"device":{"device_type":"sms"}}`, 422,
			found(`{"loc":["body","device","device_type"],` + badDevice)},
		{"a long name", `{"email":"f@example.com","full_name":"` + strings.Repeat("x", 300) + `","password":"` + password + `","tfa_enabled":false}`, 422,
			found(`{"loc":["body","full_name"],"msg":"at most 256 printable bytes are allowed","type":"value_error"}`)},
		{"bytes that are no text", "{\"email\":\"\xff\"}", 400, `{"detail":"There was an error parsing the body"}`},
		{"bad address", `{"email":"nobody","full_name":"F","password":"` + password + `","tfa_enabled":false}`, 422,
			found(`{"loc":["body","email"],"msg":"value is not a valid email address","type":"value_error.email"}`)},
		{"nothing", `{}`, 422, found(`{"loc":["body","email"],`+missingField, `{"loc":["body","tfa_enabled"],`+missingField, `{"loc":["body","full_name"],`+missingField, `{"loc":["body","password"],`+missingField)},
		{"wrong types", `{"email":null,"full_name":[],"password":{},"tfa_enabled":7,"device":3}`, 422, found(
			`{"loc":["body","email"],"msg":"none is not an allowed value","type":"type_error.none.not_allowed"}`,
			`{"loc":["body","tfa_enabled"],"msg":"value could not be parsed to a boolean","type":"type_error.bool"}`,
			`{"loc":["body","full_name"],"msg":"str type expected","type":"type_error.str"}`,
			`{"loc":["body","password"],"msg":"str type expected","type":"type_error.str"}`,
			`{"loc":["body","device"],"msg":"value is not a valid dict","type":"type_error.dict"}`)},
		{"duplicate with TFA", `{"email":"a@example.com","full_name":"A","password":"` + password + `","tfa_enabled":true,"device":{"device_type":"code_generator"}}`, 400,
			"{\"detail\":\"User with email `a@example.com` already exists\"}"},
		{"duplicate without TFA", `{"email":"A@example.com","full_name":"A","password":"` + password + `","tfa_enabled":false}`, 400,
			"{\"detail\":\"User with email `a@example.com` already exists\"}"},
		{"no JSON", `{"email":`, 422, found(`{"loc":["body",9],"msg":"Expecting value: line 1 column 10 (char 9)","type":"value_error.jsondecode","ctx":{"msg":"Expecting value","pos":9,"lineno":1,"colno":10}}`)},
		{"a list", `[1]`, 422, found(`{"loc":["body"],"msg":"value is not a valid dict","type":"type_error.dict"}`)},
		{"null", `null`, 422, found(`{"loc":["body"],` + missingField)},
		{"empty", ``, 422, found(`{"loc":["body"],` + missingField)},
	}
	for _, row := range rows {
		h.want(row.name, h.signup(row.body), row.status, row.want)
	}
	a := h.signup(`{"email":"g@example.com","full_name":"G","password":"123456","tfa_enabled":false}`)
	if a.Status != 422 || !strings.HasPrefix(a.Body, `{"detail":[{"loc":["body","password"],"msg":"The password is `) || !strings.HasSuffix(a.Body, `"type":"value_error"}]}`) {
		t.Errorf("a weak password: %d %s", a.Status, a.Body)
	}
	h.want("a form", h.Do("POST", api+"/auth/signup", "email=a", formType), 422, found(`{"loc":["body"],"msg":"value is not a valid dict","type":"type_error.dict"}`))
	h.want("a long body", h.signup(`{"email":"`+strings.Repeat("x", 70<<10)+`"}`), 413, `{"detail":"Request Entity Too Large"}`)
	h.pair(h.login("a@example.com", password), 200) // no duplicate changed anything
	h.pair(h.login("d@example.com", "90817263544536271819"), 200)
}

// The QR code of signup is of an authenticator that works at once, with its true period.
func TestSignupPicture(t *testing.T) {
	h := newHouse(t)
	a := h.signup(`{"email":"x@example.com","full_name":"X","password":"` + password + `","tfa_enabled":true,"device":{"device_type":"code_generator"}}`)
	label, seed := h.scan(a.Body)
	if label != "otpauth://totp/Sallyport:x%40example.com?issuer=Sallyport&period=30" || len(seed) != 32 {
		t.Errorf("the picture says %s and a seed of %d characters", label, len(seed))
	}
	p := &person{seed: seed, User: &account.User{Email: "x@example.com"}}
	h.pair(h.tfa(h.pre(p), h.code(p)), 200)
}

// The picture has the original's side: 49 modules of 10 pixels, with the quiet zone. Our
// encoder cuts a seed into numbers and letters in another way than the original's, and one
// of some twenty seeds needs a version more.
func TestThePictureIsAsLargeAsTheOriginals(t *testing.T) {
	h := newHouse(t, func(o *fastapi2fa.Options) { o.Rooms.Name = "fastapi_2fa" })
	usual := 0
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		a := h.signup(`{"email":"` + name + `@example.com","full_name":"X","password":"` + password + `","tfa_enabled":true,"device":{"device_type":"code_generator"}}`)
		size, err := png.DecodeConfig(strings.NewReader(a.Body))
		h.Must(err)
		if size.Width != size.Height || size.Width != 490 && size.Width != 530 {
			t.Errorf("the picture has %d×%d pixels", size.Width, size.Height)
		}
		if size.Width == 490 {
			usual++
		}
	}
	if usual < 2 {
		t.Errorf("%d of 5 pictures have the original's side", usual)
	}
}

// People with one local part have names that differ.
func TestNames(t *testing.T) {
	h := newHouse(t)
	for _, email := range []string{"kim@one.example", "kim@two.example", "Kim@three.example"} {
		h.want(email, h.signup(`{"email":"`+email+`","full_name":"","password":"`+password+`","tfa_enabled":false}`), 200, "")
		h.pair(h.login(email, password), 200)
	}
	form := regexp.MustCompile("^kim(-[0-9a-f]{4})?$")
	h.Must(h.Store.View(t.Context(), func(tx store.Tx) error {
		users, _, err := h.Directory.List(tx, realm, "", "", 10)
		if len(users) != 3 {
			t.Errorf("%d users: %v", len(users), users)
		}
		for _, u := range users {
			if !form.MatchString(u.Name) {
				t.Errorf("a user is called %s", u.Name)
			}
		}
		return err
	}))
}

func TestLogin(t *testing.T) {
	h := newHouse(t)
	h.User("ann", realm, "ann@example.com", password)
	bob := h.person("bob")
	h.User("eve", "users", "eve@example.com", password) // of another realm
	p := h.pair(h.login("ann@example.com", password), 200)
	if strings.Count(p.Access, ".") != 2 || strings.Count(p.Refresh, ".") != 2 {
		t.Error("the tokens are no JWTs")
	}
	a := h.login(bob.Email, password)
	if a.Status != 202 || !strings.HasSuffix(a.Body, `,"refresh_token":null}`) {
		t.Errorf("with a factor: %d", a.Status)
	}
	multi := "--b\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nann@example.com\r\n--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n" + password + "\r\n--b--\r\n"
	h.pair(h.Do("POST", api+"/auth/login", multi, "Content-Type: multipart/form-data; boundary=b"), 200)
	h.pair(h.Do("POST", api+"/auth/login", "grant_type=password&username=ann%40example.com&password=quartz+lantern%20otter", formType), 200)

	denied := `{"detail":"Incorrect email or password"}`
	for _, who := range [][2]string{{"ann@example.com", "wrong horse"}, {"nobody@example.com", password}, {"ann", password}, {"eve@example.com", password}, {"eve@users", password}, {"bob@fastapi2fa", password}} {
		a := h.login(who[0], who[1])
		h.want(who[0], a, 401, denied)
		if a.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: there is a challenge", who[0])
		}
	}
	both := found(`{"loc":["body","username"],`+missingField, `{"loc":["body","password"],`+missingField)
	h.want("JSON", h.Do("POST", api+"/auth/login", `{"username":"a","password":"b"}`, jsonType), 422, both)
	h.want("empty", h.Do("POST", api+"/auth/login", "", formType), 422, both)
	h.want("no password", h.Do("POST", api+"/auth/login", "username=a&password=", formType), 422, found(`{"loc":["body","password"],`+missingField))
	h.want("another grant", h.Do("POST", api+"/auth/login", "grant_type=client&username=a&password=b", formType), 422,
		found(`{"loc":["body","grant_type"],"msg":"string does not match regex \"password\"","type":"value_error.str.regex","ctx":{"pattern":"password"}}`))
	h.want("no parts", h.Do("POST", api+"/auth/login", "x", "Content-Type: multipart/form-data; boundary=b"), 400, `{"detail":"There was an error parsing the body"}`)
	h.want("a file", h.Do("POST", api+"/auth/login", strings.Replace(multi, `"username"`, `"username"; filename="x"`, 1), "Content-Type: multipart/form-data; boundary=b"), 422,
		found(`{"loc":["body","username"],"msg":"str type expected","type":"type_error.str"}`))
	h.want("no boundary", h.Do("POST", api+"/auth/login", multi, "Content-Type: multipart/form-data"), 400, `{"detail":"There was an error parsing the body"}`)
}

func TestTestToken(t *testing.T) {
	h := newHouse(t)
	ann, bob := h.User("ann", realm, "ann@example.com", password), h.person("bob")
	p := h.pair(h.login("ann@example.com", password), 200)
	h.want("one factor", h.testToken(p.Access), 200, `{"email":"ann@example.com","tfa_enabled":false,"full_name":"","id":`+num(ann)+`,"device":null}`)
	q := h.pair(h.tfa(h.pre(bob), h.code(bob)), 200)
	h.want("two factors", h.testToken(q.Access), 200,
		`{"email":"bob@example.com","tfa_enabled":true,"full_name":"","id":`+num(bob.User)+`,"device":{"device_type":"code_generator","id":`+num(bob.User)+`}}`)

	for _, header := range [][]string{nil, {"Authorization: Basic YTpi"}, {"Authorization: "}, {bearer(p.Access), bearer(p.Access)}} {
		h.challenged("no token", h.Do("GET", api+"/auth/test-token", "", header...), 401, `{"detail":"Not authenticated"}`)
	}
	for _, token := range []string{"", "garbage", h.pre(bob), p.Refresh, p.Access + "x", p.Access[:len(p.Access)-2]} {
		h.challenged("a bad token", h.testToken(token), 403, credentials)
	}
	h.Time.Advance(30*time.Minute + time.Second)
	h.challenged("expired", h.testToken(p.Access), 401, `{"detail":"Token expired"}`)
	p = h.pair(h.refresh(p.Refresh), 200)
	h.Must(h.Store.Update(t.Context(), func(tx store.Tx) error { return h.Directory.Delete(tx, account.Local(), ann.ID) }))
	h.want("a deleted user", h.testToken(p.Access), 404, `{"detail":"Could not find user"}`)
	h.want("a deleted user's refresh", h.refresh(p.Refresh), 404, `{"detail":"Invalid token for user"}`)
}

func num(u *account.User) string { return strconv.FormatUint(u.Number, 10) }

// challenged is want with WWW-Authenticate.
func (h *house) challenged(what string, a compattest.Answer, status int, body string) {
	h.Helper()
	h.want(what, a, status, body)
	if a.Header.Get("WWW-Authenticate") != "Bearer" {
		h.Errorf("%s: no challenge", what)
	}
}

func TestRefresh(t *testing.T) {
	h := newHouse(t)
	h.User("ann", realm, "ann@example.com", password)
	p := h.pair(h.login("ann@example.com", password), 200)
	h.Time.Advance(23 * time.Hour)
	q := h.pair(h.refresh(p.Refresh), 200)
	if q.Refresh == p.Refresh || q.Access == p.Access {
		t.Error("the tokens are the old ones")
	}
	h.pair(h.refresh(p.Refresh), 200) // it stays good
	if a := h.testToken(q.Access); a.Status != 200 {
		t.Errorf("the new access token: %d", a.Status)
	}
	h.Time.Advance(time.Hour + time.Second)
	bad := `{"detail":"Invalid token"}`
	h.want("expired", h.refresh(p.Refresh), 403, bad)
	h.want("garbage", h.refresh("garbage"), 403, bad)
	h.want("an access token", h.refresh(q.Access), 403, bad)
	h.want("a number", h.Do("POST", api+"/auth/refresh", `{"refresh_token":7}`, jsonType), 403, bad)
	none := found(`{"loc":["body","refresh_token"],` + missingField)
	for _, body := range []string{`{}`, ``, `null`, `[]`, `7`, `{"refresh_token":null}`} {
		h.want("missing "+body, h.Do("POST", api+"/auth/refresh", body, jsonType), 422, none)
	}
	h.want("a list", h.Do("POST", api+"/auth/refresh", `{"refresh_token":["a"]}`, jsonType), 422, found(`{"loc":["body","refresh_token"],"msg":"str type expected","type":"type_error.str"}`))
	// A session ends for good after seven days, and so do its tokens, however fresh.
	for range 7 {
		q = h.pair(h.refresh(q.Refresh), 200)
		h.Time.Advance(23*time.Hour + 50*time.Minute)
	}
	h.want("after seven days", h.refresh(q.Refresh), 403, bad)
}

func TestLoginTFA(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	pre := h.pre(bob)
	h.want("a wrong code", h.tfa(pre, h.wrong(bob)), 403, `{"detail":"TOTP token mismatch"}`)
	twice := `{"loc":["query","tfa_token"],` + missingField
	h.want("no code", h.Do("POST", api+"/tfa/login_tfa", "", bearer(pre)), 422, found(twice, twice))
	h.challenged("no token", h.Do("POST", api+"/tfa/login_tfa", ""), 401, `{"detail":"Not authenticated"}`)
	p := h.pair(h.tfa(pre, h.code(bob)), 200)
	h.challenged("an access token", h.tfa(p.Access, h.code(bob)), 403, credentials)
	h.challenged("the same pre-tfa token", h.tfa(pre, h.code(bob)), 401, preExpired)
	h.Time.Advance(time.Minute)
	pre = h.pre(bob)
	h.Time.Advance(5*time.Minute + time.Second)
	h.challenged("an expired pre-tfa token", h.tfa(pre, h.code(bob)), 401, preExpired)
	// Two steps on either side are accepted, three are not.
	for _, away := range []time.Duration{-90, 90} {
		pre, now := h.pre(bob), h.Time.Now()
		h.Time.Set(now.Add(away * time.Second))
		code := h.code(bob)
		h.Time.Set(now)
		h.want("three steps away", h.tfa(pre, code), 403, `{"detail":"TOTP token mismatch"}`)
	}
	for _, away := range []time.Duration{-60, 60} {
		pre, now := h.pre(bob), h.Time.Now()
		h.Time.Set(now.Add(away * time.Second))
		code := h.code(bob)
		h.Time.Set(now)
		h.pair(h.tfa(pre, code), 200)
	}
}

func TestRecoverTFA(t *testing.T) {
	h := newHouse(t)
	bob := h.person("bob")
	if len(bob.codes) != 5 || len(bob.codes[0]) != 6 {
		t.Fatalf("there are %d backup tokens", len(bob.codes))
	}
	pre := h.pre(bob)
	h.want("missing", h.Do("POST", api+"/tfa/recover_tfa", "", bearer(pre)), 422, found(`{"loc":["query","tfa_backup_token"],`+missingField))
	h.want("wrong", h.recover(pre, "no"), 403, `{"detail":"TOTP backup token not found"}`)
	h.pair(h.recover(pre, bob.codes[0]), 200)
	h.challenged("a used pre-tfa token", h.recover(pre, bob.codes[1]), 401, preExpired)
	h.want("a used one", h.recover(h.pre(bob), bob.codes[0]), 403, `{"detail":"TOTP backup token not found"}`)
	for _, code := range bob.codes[1:] {
		h.pair(h.recover(h.pre(bob), code), 200)
	}
	h.want("none left", h.recover(h.pre(bob), bob.codes[4]), 404,
		`{"detail":"User bob@example.com has elapsed his backup tokens, please contact the system administrator"}`)
	h.challenged("no token", h.recover("x", "1"), 403, credentials)
}

func TestQRCode(t *testing.T) {
	h := newHouse(t)
	h.User("ann", realm, "ann@example.com", password)
	bob := h.person("bob")
	get := func(access string) compattest.Answer {
		return h.Do("GET", api+"/tfa/get_my_qrcode", "", bearer(access))
	}
	p := h.pair(h.login("ann@example.com", password), 200)
	h.want("without a device", get(p.Access), 400, `{"detail":"User ann@example.com has not tfa enabled or has not a 'code_generator' device"}`)
	p = h.pair(h.tfa(h.pre(bob), h.code(bob)), 200)
	a := get(p.Access)
	h.want("fresh", a, 200, "png")
	if _, seed := h.scan(a.Body); seed != bob.seed {
		t.Error("it is another seed")
	}
	h.Time.Advance(5*time.Minute + time.Second)
	h.want("later", get(p.Access), 403, `{"detail":"The QR code is shown within 5 minutes after a TFA token: log in again and confirm your TFA token."}`)
	h.challenged("nobody", h.Do("GET", api+"/tfa/get_my_qrcode", ""), 401, `{"detail":"Not authenticated"}`)
}

func TestEnableTFA(t *testing.T) {
	h := newHouse(t)
	ann, bob := h.User("ann", realm, "ann@example.com", password), h.person("bob")
	p := h.pair(h.login("ann@example.com", password), 200)
	put := func(body string, headers ...string) compattest.Answer {
		return h.Do("PUT", api+"/tfa/enable_tfa", body, append(headers, jsonType)...)
	}
	h.want("e-mail", h.enable(p.Access, "email"), 400, `{"detail":"Codes by e-mail are not sent here: choose the device_type code_generator."}`)
	h.want("bad type", h.enable(p.Access, "sms"), 422, found(`{"loc":["body","device_type"],`+badDevice))
	h.want("null", put(`{"device_type":null}`, bearer(p.Access)), 422, found(`{"loc":["body","device_type"],"msg":"none is not an allowed value","type":"type_error.none.not_allowed"}`))
	h.want("missing", put(`{}`, bearer(p.Access)), 422, found(`{"loc":["body","device_type"],`+missingField))
	h.want("nothing", put(``, bearer(p.Access)), 422, found(`{"loc":["body"],`+missingField))
	h.challenged("nobody", put(`{"device_type":"code_generator"}`), 401, `{"detail":"Not authenticated"}`)
	if a := put(`{`); a.Status != 422 { // the body is read first
		t.Errorf("nobody with no JSON: %d", a.Status)
	}
	a := h.enable(p.Access, "code_generator")
	h.want("a code generator", a, 200, "png")
	label, seed := h.scan(a.Body)
	if !strings.HasPrefix(label, "otpauth://totp/Sallyport:ann%40example.com?") {
		t.Errorf("the picture says %s", label)
	}
	new := &person{User: ann, seed: seed}
	q := h.pair(h.tfa(h.pre(new), h.code(new)), 200)
	h.want("again", h.enable(q.Access, "code_generator"), 400, `{"detail":"Two factor authentication already active for user ann@example.com"}`)
	h.Time.Advance(time.Minute)
	r := h.pair(h.tfa(h.pre(bob), h.code(bob)), 200)
	h.want("active already", h.enable(r.Access, "email"), 400, `{"detail":"Two factor authentication already active for user bob@example.com"}`)
}

func TestUsersAndTasks(t *testing.T) {
	h := newHouse(t)
	h.want("nobody", h.Do("GET", api+"/users/users", ""), 200, `[]`)
	zoe, ann := h.User("zoe", realm, "zoe@example.com", ""), h.User("ann", realm, "ann@example.com", "")
	h.User("eve", "users", "eve@example.com", "")
	one := func(u *account.User) string {
		return `{"email":"` + u.Email + `","tfa_enabled":false,"full_name":"","id":` + num(u) + `,"device":null}`
	}
	h.want("two", h.Do("GET", api+"/users/users", ""), 200, `[`+one(zoe)+`,`+one(ann)+`]`)
	h.want("no mail", h.Do("GET", api+"/tasks/test-celery", ""), 503, `{"detail":"No mail is sent here, so there is no task to start."}`)
	h.want("a task", h.Do("GET", api+"/tasks/taskstatus?task_id=x", ""), 200, `{"state":"PENDING","result":null}`)
	h.want("no task", h.Do("GET", api+"/tasks/taskstatus", ""), 422, found(`{"loc":["query","task_id"],`+missingField))
}

func TestPathsAndMethods(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"", "/", "/auth", "/auth/nothing", "/auth/l%6Fgin", "//auth/login", "/AUTH/login", "/tfa/login_tfa/x"} {
		h.want(path, h.Do("GET", api+path, ""), 404, `{"detail":"Not Found"}`)
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		a := h.Do(method, api+"/auth/login", "")
		h.want(method, a, 405, `{"detail":"Method Not Allowed"}`)
		if a.Header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow is %q", method, a.Header.Get("Allow"))
		}
	}
	if a := h.Do("HEAD", api+"/auth/test-token", ""); a.Status != 405 || a.Header.Get("Allow") != "GET" {
		t.Errorf("HEAD: %d", a.Status)
	}
	if a := h.Do("HEAD", api+"/openapi.json", ""); a.Status != 200 || a.Body != "" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD of the description: %d %v", a.Status, a.Header)
	}
	if a := h.Do("POST", api+"/openapi.json", ""); a.Status != 405 || a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST to the description: %d, Allow %q", a.Status, a.Header.Get("Allow"))
	}
	for path, to := range map[string]string{"/auth/login/": "/auth/login", "/auth/login//?a=b%20c": "/auth/login?a=b%20c", "/auth/signup/": "/auth/signup"} {
		a := h.Do("POST", api+path, "")
		h.want(path, a, 307, "")
		if got := a.Header.Get("Location"); got != h.URL+api+to {
			t.Errorf("%s leads to %q", path, got)
		}
	}
	if h.facade.Owns("/api/v1x") || h.facade.Owns("/api/authz/x") || !h.facade.Owns("/api/v1") {
		t.Error("the facade does not know what it owns")
	}
}
