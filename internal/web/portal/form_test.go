package portal

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// timed notes the read deadlines of a connection.
type timed struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (w *timed) SetReadDeadline(t time.Time) error {
	w.deadlines = append(w.deadlines, t)
	return nil
}

// D6. Attack: a form that never arrives whole holds a connection for ever. Its
// body has a time to arrive, which is over when it has.
func TestD6FormHasATimeToArrive(t *testing.T) {
	r := httptest.NewRequest("POST", "/sallyport/login", strings.NewReader("code=123456"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := &timed{ResponseRecorder: httptest.NewRecorder()}
	if f, _, err := readForm(w, r, ""); err != nil || f["code"] != "123456" {
		t.Fatal(f, err)
	}
	if d := w.deadlines; len(d) != 2 || time.Until(d[0]) > 10*time.Second || !d[1].IsZero() {
		t.Errorf("read deadlines: %v", d)
	}
}

// Whatever is posted: no panic, and what comes out is UTF-8 within its limit.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"", "code=123456", "code=1&code=2", "code=%zz", "a;b", "recovery_code=a&recovery_code=b",
		"l=%ff", "=&=&=", "rd=" + strings.Repeat("a", 4097), "username=%00", "code[]=1", "x=" + strings.Repeat("&", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		fields, many, err := readForm(httptest.NewRecorder(), r, "recovery_code")
		if err != nil {
			if fields != nil || many != nil {
				t.Error("an error, and fields too")
			}
			return
		}
		for _, v := range many {
			fields["recovery_code"] = v
			if len(v) > 128 {
				t.Error("a recovery code is too long")
			}
		}
		for name, v := range fields {
			if most, known := limit(name); !known || len(v) > most || !utf8.ValidString(v) {
				t.Errorf("field %q holds %d bytes", name, len(v))
			}
		}
	})
}

// Whatever cookies come: only well-formed ids with one cookie each are held,
// and new ids are well-formed, distinct and in order of time.
func FuzzPending(f *testing.F) {
	f.Add("sallyport_login_0tovphj33xu=spe_x")
	f.Add("sallyport_login_0tovphj33xu=a; sallyport_login_0tovphj33xu=b; sallyport_login_=c; sallyport_login_../=d")
	f.Fuzz(func(t *testing.T, cookies string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"] = []string{cookies}
		x := &exchange{p: &Portal{}, r: r, w: httptest.NewRecorder(), scheme: "http"}
		for id := range x.pendings() {
			if !isPendingID(id) || len(r.CookiesNamed(pendingName+id)) != 1 {
				t.Errorf("%q is held", id)
			}
		}
	})
}

func TestPendingIDsSortByAge(t *testing.T) {
	now := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	before := ""
	for i := range 100 {
		id := newPendingID(now.AddDate(0, i, 0))
		if !isPendingID(id) || id <= before {
			t.Fatalf("%q after %q", id, before)
		}
		before = id
	}
}
