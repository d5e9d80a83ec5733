package importing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command/importing"
)

const (
	bcryptHash = "$2y$05$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS"
	djangoHash = "pbkdf2_sha256$12000$seasalt00000000$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM="
	argonHash  = "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHRzYWx0c2FsdA$jA6pRTwM/MpBYfSj3/mmvzLhKCr9OLJ3tnGQXn+N8L8"
)

// readFrom reads rows of a system and shows each on a line, its secrets too. What
// stands in canaries may stand in no refusal, and nowhere when an entry is printed.
func readFrom(t testing.TB, system, text string, key *importing.Fernet, canaries ...string) (list, notes []string, err error) {
	t.Helper()
	return readWithout(t, system, text, key, nil, canaries...)
}

// readWithout leaves methods out.
func readWithout(t testing.TB, system, text string, key *importing.Fernet, leave []string, canaries ...string) (list, notes []string, err error) {
	t.Helper()
	r, err := importing.From(strings.NewReader(text), system, key)
	if err != nil {
		return nil, nil, err
	}
	r.LeaveOut(leave)
	for e, err := range r.Users() {
		if err != nil {
			return list, r.Notes(), err
		}
		for _, c := range canaries {
			if e.Refused != nil && strings.Contains(e.Refused.Message+e.Place, c) || strings.Contains(fmt.Sprintf("%+v %+v %+v", e, e.TOTP, e.Service), c) {
				t.Errorf("%s shows %q: %+v", e.Place, c, e.Refused)
			}
		}
		list = append(list, shown(&e))
	}
	return list, r.Notes(), nil
}

func shown(e *importing.Entry) string {
	if e.Refused != nil {
		return e.Place + " refused " + e.Refused.Code
	}
	text := e.Place + " " + e.Name
	for _, part := range []string{e.Other, e.Realm, e.Email, e.FullName, e.PasswordHash.Reveal()} {
		text += "|" + part
	}
	if e.Disabled != nil {
		text += fmt.Sprintf(" disabled=%v", *e.Disabled)
	}
	if e.TOTP != nil {
		text += fmt.Sprintf(" %s %d/%d/%s", e.TOTP.Secret.Reveal(), e.TOTP.Digits, e.TOTP.Period, e.TOTP.Algorithm)
	}
	for _, m := range e.Methods {
		text += " " + m.Name
		if m.Key != "" {
			text += ":" + m.Key
		}
	}
	if e.Phone != "" {
		text += " phone=" + e.Phone
	}
	if e.Primary != "" {
		text += " first=" + e.Primary
	}
	for _, c := range e.RecoveryCodes {
		text += " code=" + c.Reveal()
	}
	if e.Mailed {
		text += " mailed"
	}
	for _, c := range e.RecoveryDigests {
		text += " digest=" + c.Reveal()
	}
	if s := e.Service; s != nil {
		text += fmt.Sprintf(" seed=%s %q %q %v", s.Seed.Reveal(), s.Description, s.Owner, s.Trusted)
	}
	return text
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAdjureRows(t *testing.T) {
	const seed = "48656c6c6f21deadbeef48656c6c6f21deadbeef"
	text := `{"user_id":"Alice 1","secret":"` + seed + `","key_length":6,"key_valid_duration":30,"hash_algorithm":"SHA256","recovery_codes":["0af1","0af2"]}
{"user_id":"b", "secret":"` + strings.ToUpper(seed) + `", "key_length":8.0, "key_valid_duration":3600, "hash_algorithm":"SHA1", "recovery_codes":[]}

{"user_id":null,"secret":"` + seed + `","key_length":6,"key_valid_duration":30,"hash_algorithm":"SHA256","recovery_codes":[]}
{"user_id":"c","secret":"4865canary","key_length":6,"key_valid_duration":30,"hash_algorithm":"SHA256","recovery_codes":[]}
{"user_id":"c","secret":"","key_length":6,"key_valid_duration":30,"hash_algorithm":"SHA256","recovery_codes":[]}
{"user_id":"c","secret":"` + seed + `","key_length":7,"key_valid_duration":30,"hash_algorithm":"SHA256","recovery_codes":[]}
{"user_id":"c","secret":"` + seed + `","key_length":0,"key_valid_duration":30,"hash_algorithm":"SHA256","recovery_codes":[]}
{"user_id":"c","secret":"` + seed + `","key_length":6,"key_valid_duration":0,"hash_algorithm":"SHA256","recovery_codes":[]}
{"user_id":"c","secret":"` + seed + `","key_length":6,"key_valid_duration":2.5,"hash_algorithm":"SHA256","recovery_codes":[]}
{"user_id":"c","secret":"` + seed + `","key_length":6,"key_valid_duration":-30,"hash_algorithm":"SHA256","recovery_codes":[]}
{"user_id":"c","secret":"` + seed + `","key_length":6,"key_valid_duration":1e300,"hash_algorithm":"SHA256","recovery_codes":[]}
{"user_id":"c","secret":"` + seed + `","key_length":6,"key_valid_duration":30,"hash_algorithm":"","recovery_codes":[]}
{"user_id":"c","secret":"` + seed + `","key_length":6,"key_valid_duration":30,"hash_algorithm":"SHA256","canary":[]}
["canary"]
{"user_id":"c","secret":"canary`
	got, notes, err := readFrom(t, importing.Adjure, text, nil, "canary", seed[:12], "JBSWY")
	if err != nil || notes != nil {
		t.Errorf("%v, %v", notes, err)
	}
	same(t, "adjure", got, []string{
		"line 1 Alice 1||||| JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP 6/30/SHA256 code=0af1 code=0af2",
		"line 2 b||||| JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP 8/3600/SHA1",
		"line 4 refused malformed", "line 5 refused totp", "line 6 refused totp", "line 7 refused totp", "line 8 refused totp", "line 9 refused totp",
		"line 10 refused totp", "line 11 refused totp", "line 12 refused totp", "line 13 refused totp", "line 14 refused malformed", "line 15 refused malformed", "line 16 refused malformed",
	})
}

func TestUngleichRows(t *testing.T) {
	text := `{"name":"deploy","realm":"ungleich-admin","seed":"JBSWY3DPEHPK3PXP","is_active":true}
{"name":"old","realm":"x.y","seed":"JBSWY3DPEHPK3PXP","is_active":0}
{"appname":"shop","appuuid":"6B0C8BD4-0000-4000-8000-000000000001","username":"nico","seed":"JBSWY3DPEHPK3PXP","trusted":1}
{"appname":"bare","appuuid":"6b0c8bd4000040008000000000000002","username":"","seed":"JBSWY3DPEHPK3PXP","trusted":false}
{"realm":"a","seed":"JBSWY3DP","is_active":1}
{"name":"a","seed":"JBSWY3DP","is_active":1}
{"name":"a","realm":"a","seed":"JBSWY3DP"}
{"name":"a","realm":"a","seed":"JBSWY3DP","is_active":"yes"}
{"name":"a","realm":"a","seed":7,"is_active":1}
{"appname":"a","username":"a","seed":"JBSWY3DP","trusted":1}
{"appname":"a","appuuid":"JBSWY3DP","username":"a","seed":"JBSWY3DP","trusted":1}
{"name":"a","realm":"a","appuuid":"6b0c8bd4-0000-4000-8000-000000000001","seed":"JBSWY3DP","is_active":1}`
	got, _, err := readFrom(t, importing.Ungleich, text, nil, "JBSW")
	if err != nil {
		t.Error(err)
	}
	same(t, "ungleich", got, []string{
		`line 1 deploy||ungleich-admin||| disabled=false seed=JBSWY3DPEHPK3PXP "" "" false`,
		`line 2 old||x.y||| disabled=true seed=JBSWY3DPEHPK3PXP "" "" false`,
		`line 3 6b0c8bd4-0000-4000-8000-000000000001||ungleich-apps||| seed=JBSWY3DPEHPK3PXP "shop" "nico" true`,
		`line 4 6b0c8bd4-0000-4000-8000-000000000002||ungleich-apps||| seed=JBSWY3DPEHPK3PXP "bare" "" false`,
		"line 5 refused malformed", "line 6 refused malformed", "line 7 refused malformed", "line 8 refused malformed", "line 9 refused malformed",
		"line 10 refused malformed", "line 11 refused invalid_name", "line 12 refused malformed",
	})
}

func fastapiRow(id int, email, hash, tfa, device, key, tokens string) string {
	return fmt.Sprintf(`{"id":%d,"email":%q,"full_name":null,"hashed_password":%q,"tfa_enabled":%s,"device_type":%s,"key":%s,"backup_tokens":%s}`+"\n", id, email, hash, tfa, device, key, tokens)
}

func TestFastAPIRows(t *testing.T) {
	const app, mail = `"CODE_GENERATOR"`, `"EMAIL"`
	good, foreign := `"`+pythonSeed+`"`, `"`+specToken+`"`
	text := fastapiRow(1, "Bob@example.com", bcryptHash, "true", app, good, `["418908","000001"]`) +
		fastapiRow(2, "bob@other.example", bcryptHash, "false", "null", "null", "[]") +
		fastapiRow(3, `a"b c@example.com`, bcryptHash, "null", "null", "null", "null") +
		fastapiRow(4, "user@example.com", bcryptHash, "true", mail, good, `["123456"]`) +
		fastapiRow(5, "off@example.com", bcryptHash, "false", app, good, `["123456"]`) +
		fastapiRow(6, "x@example.com", "JBSWcanary", "false", "null", "null", "[]") +
		fastapiRow(7, "x@example.com", bcryptHash, "true", app, foreign, "[]") +
		fastapiRow(8, "x@example.com", bcryptHash, "true", app, "null", "[]") +
		fastapiRow(9, "x@example.com", bcryptHash, "true", "null", "null", "[]") +
		`{"id":10,"email":null,"hashed_password":"x"}` + "\n" + `{"email":"x@example.com","hashed_password":"x"}`
	got, notes, err := readFrom(t, importing.FastAPI2FA, text, fernet(t, pythonKey), "JBSW", "FiPhXf1s", "gAAA", "418908")
	if err != nil {
		t.Error(err)
	}
	same(t, "fastapi2fa", got, []string{
		"line 1 bob|bob-1||Bob@example.com||" + bcryptHash + " JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP 6/30/SHA1 code=418908 code=000001 mailed",
		"line 2 bob|bob-2||bob@other.example||" + bcryptHash,
		`line 3 user-3|user-3||a"b c@example.com||` + bcryptHash,
		"line 4 user-4|user-4||user@example.com||" + bcryptHash + " email code=123456 mailed",
		"line 5 off|off-5||off@example.com||" + bcryptHash,
		"line 6 refused not_hashed", "line 7 refused totp", "line 8 refused totp", "line 9 refused unknown_method", "line 10 refused malformed", "line 11 refused malformed",
	})
	if len(notes) != 0 {
		t.Errorf("notes %q", notes)
	}
	got, notes, err = readWithout(t, importing.FastAPI2FA, text, fernet(t, pythonKey), []string{"email"})
	if err != nil || len(notes) != 1 || !strings.HasPrefix(notes[0], "1 user has codes by mail") || got[3] != "line 4 user-4|user-4||user@example.com||"+bcryptHash {
		t.Errorf("without mail: %q, %q, %v", got, notes, err)
	}

	// A wrong key ends it at the first seed, whatever stands before.
	for _, key := range []*importing.Fernet{fernet(t, specKey), nil} {
		for _, before := range []string{"", fastapiRow(2, "bob@other.example", bcryptHash, "false", "null", "null", "[]")} {
			got, _, err := readFrom(t, importing.FastAPI2FA, before+text, key)
			if err == nil || !strings.Contains(err.Error(), "the Fernet key does not open") || len(got) != strings.Count(before, "\n") {
				t.Errorf("a wrong key: %q, %v", got, err)
			}
		}
	}
}

func trenchRow(name, password, methods string) string {
	return fmt.Sprintf(`{"id":7,"username":%q,"password":%q,"email":"%s@example.com","first_name":"Al","last_name":"Ice","is_active":1,"methods":%s}`+"\n", name, password, name, methods)
}

func trenchMethod(name, secret string, active int, codes string) string {
	return fmt.Sprintf(`{"name":%q,"secret":%q,"is_primary":1,"is_active":%d,"backup_codes":%q}`, name, secret, active, codes)
}

func TestTrenchRows(t *testing.T) {
	app := func(codes string) string {
		return "[" + trenchMethod("app", "JBSWY3DPEHPK3PXP", 1, codes) + "," + strings.Replace(trenchMethod("email", "ABCDEFGHIJKLMNOP", 1, ""), `"is_primary":1`, `"is_primary":0`, 1) + "]"
	}
	text := trenchRow("alice", djangoHash, app(djangoHash+"|"+djangoHash)) +
		trenchRow("old", djangoHash, app(djangoHash+",abcdefABCDEF,")) +
		trenchRow("set", "!", app("{'"+djangoHash+"', 'aB3'}")) +
		trenchRow("argon", argonHash, app(argonHash)) +
		strings.Replace(trenchRow("mail", djangoHash, "["+trenchMethod("sms_api", "ABCDEFGHIJKLMNOP", 1, "abcABC")+","+trenchMethod("pager", "ABCDEFGHIJKLMNOP", 1, "defDEF")+","+trenchMethod("app", "JBSW", 0, "")+"]"), `"email"`, `"phone_number":"+41791234589","email"`, 1) +
		trenchRow("none", djangoHash, "null") +
		strings.Replace(trenchRow("off", djangoHash, "[]"), `"is_active":1`, `"is_active":false`, 1) +
		trenchRow("plain", "canary", "[]") +
		trenchRow("twice", djangoHash, "["+trenchMethod("app", "JBSWY3DPEHPK3PXP", 1, "")+","+trenchMethod("app", "JBSWY3DPEHPK3PXP", 1, "")+"]") +
		trenchRow("hash", djangoHash, app("sha1$canary$1234")) +
		trenchRow("cost", djangoHash, app("pbkdf2_sha256$999999999999$canary$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM=")) +
		trenchRow("kind", djangoHash, `"canary"`) +
		`{"id":1,"username":"x","password":"!","methods":[]}` + "\n" +
		trenchRow("keyed", djangoHash, "["+trenchMethod("yubi", "ccccccbcgujh", 1, "")+"]") +
		trenchRow("phones", djangoHash, "["+trenchMethod("sms_twilio", "ABCDEFGHIJKLMNOP", 1, "")+","+trenchMethod("sms_aws", "ABCDEFGHIJKLMNOP", 1, "")+"]") +
		trenchRow("mails", djangoHash, "["+trenchMethod("email", "ABCDEFGHIJKLMNOP", 1, "")+","+trenchMethod("email", "ABCDEFGHIJKLMNOP", 1, "")+"]") +
		trenchRow("own", djangoHash, "["+trenchMethod("Canary", "ABCDEFGHIJKLMNOP", 1, "")+"]")
	canaries := []string{"canary", "Canary", "JBSW", "VNdX9", "abcdefABC"}
	got, notes, err := readFrom(t, importing.Trench, text, nil, canaries...)
	if err != nil || len(notes) != 0 {
		t.Error(err, notes)
	}
	who := func(name, hash string) string {
		return name + "|||" + name + "@example.com|Al Ice|" + hash + " disabled=false"
	}
	const totp = " JBSWY3DPEHPK3PXP 6/30/SHA1"
	refused := []string{"line 8 refused not_hashed", "line 9 refused totp", "line 10 refused recovery_code", "line 11 refused recovery_code", "line 12 refused malformed", "line 13 refused malformed"}
	same(t, "trench", got, append(append([]string{
		"line 1 " + who("alice", djangoHash) + totp + " email first=totp digest=" + djangoHash + " digest=" + djangoHash,
		"line 2 " + who("old", djangoHash) + totp + " email first=totp code=abcdefABCDEF digest=" + djangoHash,
		"line 3 " + who("set", "") + totp + " email first=totp code=aB3 digest=" + djangoHash,
		"line 4 " + who("argon", argonHash) + totp + " email first=totp digest=" + argonHash,
		"line 5 " + who("mail", djangoHash) + " sms pager phone=+41791234589 first=pager code=abcABC code=defDEF",
		"line 6 " + who("none", djangoHash), "line 7 " + strings.Replace(who("off", djangoHash), "=false", "=true", 1),
	}, refused...),
		"line 14 "+who("keyed", djangoHash)+" yubikey:ccccccbcgujh first=yubikey",
		"line 15 "+who("phones", djangoHash)+" sms first=sms",
		"line 16 refused method", "line 17 refused unknown_method"))

	got, notes, err = readWithout(t, importing.Trench, text, nil, importing.LeftOut(), canaries...)
	if err != nil {
		t.Error(err)
	}
	same(t, "trench, the app alone", got, append(append([]string{
		"line 1 " + who("alice", djangoHash) + totp + " first=totp digest=" + djangoHash + " digest=" + djangoHash,
		"line 2 " + who("old", djangoHash) + totp + " first=totp code=abcdefABCDEF digest=" + djangoHash,
		"line 3 " + who("set", "") + totp + " first=totp code=aB3 digest=" + djangoHash,
		"line 4 " + who("argon", argonHash) + totp + " first=totp digest=" + argonHash,
		"line 5 " + who("mail", djangoHash) + " phone=+41791234589",
		"line 6 " + who("none", djangoHash), "line 7 " + strings.Replace(who("off", djangoHash), "=false", "=true", 1),
	}, refused...),
		"line 14 "+who("keyed", djangoHash), "line 15 "+who("phones", djangoHash), "line 16 "+who("mails", djangoHash), "line 17 "+who("own", djangoHash)))
	want := []string{"5 users have the method email: ", "2 users have the method of the project's own: ", "1 user has the method sms_api: ", "1 user has the method sms_aws: ",
		"1 user has the method sms_twilio: ", "1 user has the method yubi: ", "5 users have no other method"}
	if len(notes) != len(want) {
		t.Fatalf("notes %q", notes)
	}
	for i := range want {
		if !strings.HasPrefix(notes[i], want[i]) {
			t.Errorf("note %q, want %q", notes[i], want[i])
		}
	}
}

// Nothing was printed: the query met an empty table, or the wrong one.
func TestAnEmptySystem(t *testing.T) {
	for _, system := range importing.Systems() {
		if _, _, err := readFrom(t, system, "\n", nil); err == nil || !strings.Contains(err.Error(), "the file is empty") {
			t.Errorf("%s: %v", system, err)
		}
	}
}
