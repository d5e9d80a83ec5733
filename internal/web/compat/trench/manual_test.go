package trench_test

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// The examples of the original's manual (0.2), as they stand there: what curl sends of
// them. Host and credentials are ours.
func TestTheManualsExamples(t *testing.T) {
	h := mailing(t, compat.Dialect02)
	h.User("admin", "trench", "admin@example.com", "yourpassword")
	curl := func(path, data, header string) compattest.Answer {
		return h.Do("POST", path, data, "User-Agent: curl/7.88.1", "Accept: */*", "Content-Type: application/x-www-form-urlencoded", header)
	}
	provided := h.object("login", curl("/auth/login/", "username=admin&password=yourpassword", "Accept-Language: en"), "token")["token"].(string)
	h.want("activate", curl("/auth/email/activate/", "method=email", "Authorization: JWT "+provided), 200, `{"message":"Email message with MFA code has been sent."}`)
	h.object("confirm", curl("/auth/email/activate/confirm/", "code="+h.Post.Last().Code, "Authorization: JWT "+provided), "backup_codes")

	got := curl("/auth/login/", "username=admin&password=yourpassword", "Accept-Language: en")
	eph := h.object("login again", got, "ephemeral_token", "method", "other_methods")["ephemeral_token"].(string)
	h.want("login again", got, 200, `{"ephemeral_token":"`+eph+`","method":"email","other_methods":[]}`)
	h.object("we're in", curl("/auth/login/code/", "code="+h.Post.Last().Code+"&ephemeral_token="+eph, "Accept-Language: en"), "token")
}

// The same with an app.
func TestTheManualsExamplesWithAnApp(t *testing.T) {
	h := build(t, compat.Dialect02)
	h.User("admin", "trench", "", "yourpassword")
	curl := func(path, data, header string) compattest.Answer {
		return h.Do("POST", path, data, "User-Agent: curl/7.88.1", "Accept: */*", "Content-Type: application/x-www-form-urlencoded", header)
	}
	provided := h.object("login", curl("/auth/login/", "username=admin&password=yourpassword", "Accept-Language: en"), "token")["token"].(string)
	link := h.object("activate", curl("/auth/app/activate/", "method=app", "Authorization: JWT "+provided), "qr_link")["qr_link"].(string)
	if !strings.HasPrefix(link, "otpauth://totp/MyApplication:admin?secret=") || !strings.HasSuffix(link, "&issuer=MyApplication") {
		t.Error(link)
	}
	_, raw, _, err := otp.ParseURI(link)
	h.Must(err)
	seed := otp.FormatSeed(raw)
	h.object("confirm", curl("/auth/app/activate/confirm/", "code="+h.code(seed), "Authorization: JWT "+provided), "backup_codes")

	got := curl("/auth/login/", "username=admin&password=yourpassword", "Accept-Language: en")
	eph := h.object("login again", got, "ephemeral_token", "method", "other_methods")["ephemeral_token"].(string)
	h.want("login again", got, 200, `{"ephemeral_token":"`+eph+`","method":"app","other_methods":[]}`)
	h.next()
	h.object("we're in", curl("/auth/login/code/", "code="+h.code(seed)+"&ephemeral_token="+eph, "Accept-Language: en"), "token")
}

// Where the realm's methods name the app alone, all others are not configured.
func TestMethodsThatAreNotConfigured(t *testing.T) {
	both(t, func(t *testing.T, dialect compat.Dialect) {
		h := build(t, dialect)
		h.User("admin", "trench", "", password)
		auth := h.login("/auth/", "admin")
		for _, name := range []string{"email", "sms_twilio", "sms_api", "yubi"} {
			for _, path := range []string{"/activate/", "/activate/confirm/", "/deactivate/", "/codes/regenerate/"} {
				got := h.post("/auth/"+name+path, "code=123456", auth)
				if want := map[bool]int{true: 404, false: 400}[h.old()]; got.Status != want {
					t.Errorf("%s%s: %d %s", name, path, got.Status, got.Body)
				}
			}
		}
	})
}
