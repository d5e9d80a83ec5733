package trench_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

const notFoundPage = "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Not Found</title>\n</head>\n<body>\n  <h1>Not Found</h1><p>The requested resource was not found on this server.</p>\n</body>\n</html>\n"

// What the frame of the original says: paths, methods, types, bodies, fields.
func TestFrame(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		h.want("unknown path", h.post("/auth/nothing/", "", ""), 404, notFoundPage)
		h.want("the prefix itself", h.get("/auth", ""), 404, notFoundPage)
		h.want("suffix of login/code/", h.post("/auth/login/code/more/", "", ""), 404, notFoundPage)
		for path, to := range map[string]string{
			"/auth/login": "/auth/login/", "/auth/mfa/config?a=b": "/auth/mfa/config/?a=b", "/auth/app/activate/confirm": "/auth/app/activate/confirm/",
		} {
			got := h.get(path, "")
			if got.Status != 301 || got.Header.Get("Location") != to || got.Body != "" || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%s: %d to %q, %q", path, got.Status, got.Header.Get("Location"), got.Body)
			}
		}
		for method, path := range map[string]string{"GET": "/auth/login/", "PUT": "/auth/login/code/", "DELETE": "/auth/mfa/config/", "OPTIONS": "/auth/login/"} {
			got := h.Do(method, path, "")
			h.want(method+" "+path, got, 405, `{"detail":"Method \"`+method+`\" not allowed."}`)
			if want := map[string]string{"/auth/mfa/config/": "GET, HEAD"}[path]; got.Header.Get("Allow") != want && got.Header.Get("Allow") != "POST" {
				t.Errorf("%s: Allow %q", path, got.Header.Get("Allow"))
			}
		}
		if got := h.Do("HEAD", "/auth/mfa/config/", ""); got.Status != 200 || got.Body != "" {
			t.Errorf("HEAD: %d %q", got.Status, got.Body)
		}
		login := func(what, kind, body string, status int, want string) {
			t.Helper()
			h.want(what, h.Do("POST", "/auth/login/", body, "Content-Type: "+kind), status, want)
		}
		none := `{"password":["This field is required."],"username":["This field is required."]}`
		login("text", "text/plain", "x", 415, `{"detail":"Unsupported media type \"text/plain\" in request."}`)
		login("no type", "", "x", 415, `{"detail":"Unsupported media type \"\" in request."}`)
		login("nothing at all", "text/plain", "", 400, none)
		login("bad JSON", "application/json", `{"username": x}`, 400, `{"detail":"JSON parse error - Expecting value: line 1 column 14 (char 13)"}`)
		login("garbage behind", "application/json", `{} {}`, 400, `{"detail":"JSON parse error - Extra data: line 1 column 4 (char 3)"}`)
		login("a list", "application/json", `[]`, 400, `{"non_field_errors":["Invalid data. Expected a dictionary, but got list."]}`)
		login("a text", "application/json; charset=utf-8", `"x"`, 400, `{"non_field_errors":["Invalid data. Expected a dictionary, but got str."]}`)
		login("null", "application/json", `null`, 400, `{"non_field_errors":["No data provided"]}`)
		login("empty form", "application/x-www-form-urlencoded", "a=b", 400, none)
		login("no boundary", "multipart/form-data", "x", 400, `{"detail":"Multipart form parse error - Invalid boundary in multipart: None"}`)
		login("blank", "application/json", `{"username":"","password":"  "}`, 400, `{"password":["This field may not be blank."],"username":["This field may not be blank."]}`)
		login("null fields", "application/json", `{"username":null,"password":[]}`, 400, `{"password":["Not a valid string."],"username":["This field may not be null."]}`)
		login("truth", "application/json", `{"username":true,"password":{}}`, 400, `{"password":["Not a valid string."],"username":["Not a valid string."]}`)
		login("NUL", "application/json", `{"username":"a\u0000b","password":"x"}`, 400, `{"username":["Null characters are not allowed."]}`)
		login("half a pair", "application/json", `{"username":"a\ud800","password":"x"}`, 400, `{"username":["Surrogate characters are not allowed: U+D800."]}`)
		login("too long", "application/json", strings.Repeat(" ", 64<<10)+"{}", 413, `{"detail":"The body is larger than 64 KiB."}`)
		login("nested", "application/json", strings.Repeat("[", 5000), 400, `{"detail":"JSON parse error - maximum recursion depth exceeded"}`)

		if got := h.post("/auth/mfa/change-primary-method/", `{"method":"<&>","code":"1"}`, h.login("/auth/", "admin")); got.Body != `{"method":["\"<&>\" is not a valid choice."]}` {
			t.Errorf("what is repeated: %s", got.Body)
		}

		good := func(what, kind, body string) {
			t.Helper()
			h.tokens("/auth/", h.Do("POST", "/auth/login/", body, "Content-Type: "+kind))
		}
		good("form", "application/x-www-form-urlencoded", "username=+admin&password="+strings.ReplaceAll(password, " ", "%20"))
		good("the last of two", "application/json", `{"username":"eve","username":"admin","password":" `+password+` "}`)
		good("multipart", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nadmin\r\n--x\r\n"+
			"Content-Disposition: form-data; name=\"password\"\r\n\r\n"+password+"\r\n--x--\r\n")
		h.want("a file is no text", h.Do("POST", "/auth/login/", "--x\r\nContent-Disposition: form-data; name=\"username\"; filename=\"f\"\r\n\r\nadmin\r\n--x--\r\n",
			"Content-Type: multipart/form-data; boundary=x"), 400, `{"password":["This field is required."],"username":["Not a valid string."]}`)
	})
}

// Login, the second step and their failures, whoever is named.
func TestLogin(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		seed, codes := h.person("admin")
		h.User("off", "trench", "", password)
		h.User("nopassword", "trench", "", "")
		h.Must(h.disable("off"))
		h.User("other", "users", "", password)
		bad := h.pick(`{"non_field_errors":["Unable to login with provided credentials."]}`, `{"error":"Unable to login with provided credentials."}`)
		for _, name := range []string{"nobody", "off", "nopassword", "other", "other@users", "x@y@z"} {
			h.want("login of "+name, h.post("/auth/login/", h.form("username", name, "password", password), ""), 400, bad)
		}
		h.want("wrong password", h.post("/auth/login/", h.form("username", "admin", "password", "wrong"), ""), 400, bad)

		got := h.post("/auth/login/", h.form("username", "admin", "password", password), "")
		if eph := h.half("admin"); h.old() == !strings.Contains(got.Body, `"method":"app","other_methods":[]}`) || strings.Contains(got.Body, eph) {
			t.Errorf("first step: %s", got.Body)
		}
		status := map[bool]int{true: 400, false: 401}[h.old()]
		second := func(what, body string, status int, old, new string) {
			t.Helper()
			h.want(what, h.post("/auth/login/code/", body, ""), status, h.pick(old, new))
		}
		second("no fields", "", 400, `{"ephemeral_token":["This field is required."],"code":["This field is required."]}`,
			`{"ephemeral_token":["This field is required."],"code":["This field is required."]}`)
		second("blank", `{"ephemeral_token":"x","code":""}`, 400, `{"code":["This field may not be blank."]}`, `{"code":["This field may not be blank."]}`)
		second("bad token", h.form("ephemeral_token", "1-abc-def", "code", "123456"), status,
			`{"non_field_errors":["Invalid or expired token."]}`, `{"error":"Invalid or expired token."}`)
		second("bad code", h.form("ephemeral_token", h.half("admin"), "code", h.wrong(seed)), status,
			`{"non_field_errors":["Invalid or expired code."]}`, `{"error":"Invalid or expired code."}`)

		h.Time.Advance(time.Second)
		auth := h.second("/auth/", "admin", " "+h.code(seed)+" ")
		h.want("in", h.get("/auth/mfa/user-active-methods/", auth), 200, `[{"name":"app","is_primary":true}]`)
		h.second("/auth/jwt/", "admin", codes[0])
		h.User("mail", "trench", "Mail@example.com", password) // whose name was this address
		h.login("/auth/", "mail@example.com")
		h.want("a backup code is good once", h.post("/auth/login/code/", h.form("ephemeral_token", h.half("admin"), "code", codes[0]), ""), status,
			h.pick(`{"non_field_errors":["Invalid or expired code."]}`, `{"error":"Invalid or expired code."}`))
		h.next()
		eph, code := h.half("admin"), strings.TrimLeft(h.code(seed), "0")
		for h.code(seed) != code { // a number has no leading zeros
			h.next()
			code = strings.TrimLeft(h.code(seed), "0")
		}
		h.tokens("/auth/", h.post("/auth/login/code/", `{"ephemeral_token":"`+eph+`","code":`+code+`}`, ""))
		h.next()
		eph = h.half("admin")
		h.Time.Advance(5*time.Minute + time.Second)
		second("an old token", h.form("ephemeral_token", eph, "code", h.code(seed)), status,
			`{"non_field_errors":["Invalid or expired token."]}`, `{"error":"Invalid or expired token."}`)
	})
}

// Every protected call without a good token, and the original's words about it.
func TestProtected(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		paths := map[string]string{
			"/auth/logout/": "POST", "/auth/token/logout/": "POST", "/auth/app/activate/": "POST", "/auth/app/activate/confirm/": "POST",
			"/auth/app/deactivate/": "POST", "/auth/app/codes/regenerate/": "POST", "/auth/mfa/codes/regenerate/": "POST",
			"/auth/code/request/": "POST", "/auth/mfa/user-active-methods/": "GET", "/auth/mfa/change-primary-method/": "POST",
		}
		notValid := `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token is invalid or expired"}]}`
		rows := []struct{ auth, challenge, body string }{
			{"", h.pick(`JWT realm="api"`, `Bearer realm="api"`), `{"detail":"Authentication credentials were not provided."}`},
			{"Basic YTpi", h.pick(`JWT realm="api"`, `Bearer realm="api"`), `{"detail":"Authentication credentials were not provided."}`},
			{"bearer x", h.pick(`JWT realm="api"`, `Bearer realm="api"`), `{"detail":"Authentication credentials were not provided."}`},
			{"Bearer x", `Bearer realm="api"`, notValid},
			{"Bearer", `Bearer realm="api"`, `{"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}`},
			{"Bearer a b", `Bearer realm="api"`, `{"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}`},
			{"Token x", "Token", `{"detail":"Invalid token."}`},
			{"token " + strings.Repeat("0", 40), "Token", `{"detail":"Invalid token."}`},
			{"Token", "Token", `{"detail":"Invalid token header. No credentials provided."}`},
			{"Token a b", "Token", `{"detail":"Invalid token header. Token string should not contain spaces."}`},
			{"JWT x", `JWT realm="api"`, `{"detail":"Error decoding signature."}`},
			{"JWT", `JWT realm="api"`, `{"detail":"Invalid Authorization header. No credentials provided."}`},
			{"jwt a b", `JWT realm="api"`, `{"detail":"Invalid Authorization header. Credentials string should not contain spaces."}`},
		}
		for path, method := range paths {
			for _, row := range rows {
				for _, m := range []string{method, "PATCH"} { // who calls is asked before what
					got := h.Do(m, path, "", "Authorization: "+row.auth)
					h.want(path+" with "+row.auth, got, 401, row.body)
					if got.Header.Get("WWW-Authenticate") != row.challenge {
						t.Errorf("%s with %q: challenge %q", path, row.auth, got.Header.Get("WWW-Authenticate"))
					}
				}
			}
		}
		h.User("admin", "trench", "", password)
		for _, kind := range kinds {
			auth := h.login(kind.door, "admin")
			for path := range paths {
				h.want(path, h.Do("PATCH", path, "", "Authorization: "+auth), 405, `{"detail":"Method \"PATCH\" not allowed."}`)
			}
		}
	})
}

// The tokens of simplejwt: what refreshes, what is verified, when they end.
func TestSimpleJWT(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		pair := h.object("login", h.post("/auth/jwt/login/", h.form("username", "admin", "password", password), ""), "refresh", "access")
		access, refresh := pair["access"].(string), pair["refresh"].(string)
		bad := `{"detail":"Token is invalid or expired","code":"token_not_valid"}`
		h.want("no token", h.post("/auth/jwt/refresh/", "", ""), 400, `{"refresh":["This field is required."]}`)
		h.want("access does not refresh", h.post("/auth/jwt/refresh/", h.form("refresh", access), ""), 401, `{"detail":"Token has wrong type","code":"token_not_valid"}`)
		h.want("verify nothing", h.post("/auth/jwt/verify/", `{}`, ""), 400, `{"token":["This field is required."]}`)
		h.want("verify", h.post("/auth/jwt/verify/", h.form("token", access), ""), 200, `{}`)
		h.want("verify the other", h.post("/auth/jwt/verify/", h.form("token", refresh), ""), 200, `{}`)
		h.want("verify garbage", h.post("/auth/jwt/verify/", h.form("token", "x.y.z"), ""), 401, bad)
		if got := h.get("/auth/mfa/user-active-methods/", "Bearer "+refresh); got.Status != 401 {
			t.Errorf("the refresh token opens calls: %d", got.Status)
		} else if !strings.Contains(got.Body, `"message":"Token has wrong type"`) {
			t.Error(got.Body)
		}
		h.Time.Advance(5 * time.Minute)
		h.want("an access token lives 5 minutes", h.post("/auth/jwt/verify/", h.form("token", access), ""), 401, bad)
		if got := h.get("/auth/mfa/user-active-methods/", "Bearer "+access); got.Status != 401 {
			t.Errorf("after 5 minutes: %d", got.Status)
		}
		h.Time.Advance(23 * time.Hour)
		access = h.object("refresh", h.post("/auth/jwt/refresh/", h.form("refresh", refresh), ""), "access")["access"].(string)
		h.want("the new one", h.get("/auth/mfa/user-active-methods/", "Bearer "+access), 200, `[]`)
		h.Time.Advance(time.Hour)
		h.want("a refresh token lives a day", h.post("/auth/jwt/refresh/", h.form("refresh", refresh), ""), 401, bad)

		if h.old() {
			auth := h.login("/auth/", "admin")
			h.Time.Advance(5 * time.Minute)
			h.want("drf-jwt", h.get("/auth/mfa/user-active-methods/", auth), 401, `{"detail":"Signature has expired."}`)
		}
	})
}

// mfa/config says what the realm's settings say.
func TestConfig(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.want("as it is", h.get("/auth/mfa/config/", "Token x"), 200, h.pick(
			`{"methods":[["app","app"]],"confirm_disable_with_code":false,"confirm_regeneration_with_code":true,"allow_backup_codes_regeneration":true}`,
			`{"methods":["app"],"confirm_disable_with_code":false,"confirm_regeneration_with_code":true,"allow_backup_codes_regeneration":true}`))
		h = build(t, dialect, func(s *account.Settings) {
			no, yes := false, true
			s.ConfirmDisable, s.ConfirmRegenerate, s.AllowRegenerate = &yes, &no, &no
			s.MethodLabels = map[string]string{"app": "Authenticator"}
		})
		h.want("changed", h.get("/auth/mfa/config/", ""), 200, h.pick(
			`{"methods":[["app","Authenticator"]],"confirm_disable_with_code":true,"confirm_regeneration_with_code":false,"allow_backup_codes_regeneration":false}`,
			`{"methods":["app"],"confirm_disable_with_code":true,"confirm_regeneration_with_code":false,"allow_backup_codes_regeneration":false}`))
		h = build(t, dialect, func(s *account.Settings) { s.Methods = []string{"email"} })
		h.User("admin", "trench", "", password)
		if got := h.get("/auth/mfa/config/", ""); !strings.HasPrefix(got.Body, `{"methods":[],`) {
			t.Errorf("methods that are not offered: %s", got.Body)
		}
		h.row("no method is offered", "/auth/app/activate/", "", h.login("/auth/", "admin"), say{404, notFoundPage}, say{0, noMethod})
	})
}

// The otpauth URI is written as pyotp writes it.
func TestURI(t *testing.T) {
	h := build(t, compat.Dialect03, func(s *account.Settings) {
		s.Issuer = "My App/1"
		s.OTP = &otp.Params{Algorithm: otp.SHA256, Digits: 8, Period: 60}
	})
	h.User("admin", "trench", "", password)
	uri := h.object("activate", h.post("/auth/app/activate/", "", h.login("/auth/", "admin")), "details")["details"].(string)
	before, rest, _ := strings.Cut(uri, "?secret=")
	if before != "otpauth://totp/My%20App/1:admin" || len(rest) < 32 || rest[32:] != "&issuer=My%20App%2F1&algorithm=SHA256&digits=8&period=60" {
		t.Error(uri)
	}
}

// Without a store nobody gets in, and nobody is told why.
func TestNoStoreNoAnswer(t *testing.T) {
	h := build(t, compat.Dialect03)
	h.User("admin", "trench", "", password)
	auth := h.login("/auth/token/", "admin")
	h.Must(h.Store.Close())
	for path, body := range map[string]string{
		"/auth/login/": h.form("username", "admin", "password", password), "/auth/login/code/": "ephemeral_token=x&code=1", "/auth/app/activate/": "",
		"/auth/app/deactivate/": "code=123456", "/auth/logout/": "", "/auth/code/request/": "",
	} {
		if got := h.post(path, body, auth); got.Status/100 == 2 || got.Status == 500 || strings.Contains(got.Body, "store") {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
}

// No token lives longer than its session.
func TestTokensEndNotAfterTheirSession(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect, func(s *account.Settings) {
			s.Session = &account.Lifetimes{Idle: 2 * time.Minute, Absolute: 2 * time.Minute}
		})
		h.User("admin", "trench", "", password)
		for _, door := range []string{"/auth/", "/auth/jwt/"} {
			_, token, _ := strings.Cut(h.login(door, "admin"), " ")
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
			h.Must(err)
			var claims struct{ Exp int64 }
			h.Must(json.Unmarshal(payload, &claims))
			if want := h.Time.Now().Add(2 * time.Minute).Unix(); claims.Exp != want {
				t.Errorf("%s: the token ends at %d, the session at %d", door, claims.Exp, want)
			}
		}
	})
}
