package notifytest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Short is a short message that came.
type Short struct {
	To, From, Text string
}

// Gateway stands in for a company that sends short messages.
type Gateway struct {
	server *httptest.Server
	shorts chan Short

	mu     sync.Mutex
	answer http.HandlerFunc
	seen   map[string]bool
}

// URL is where it answers.
func (g *Gateway) URL() string { return g.server.URL }

// Answer has fn answer from now on; nil: as usual.
func (g *Gateway) Answer(fn http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = fn
}

// Next waits for the next message.
func (g *Gateway) Next(t testing.TB) Short {
	t.Helper()
	select {
	case m := <-g.shorts:
		return m
	case <-time.After(patience):
		t.Fatal("no short message came")
		return Short{}
	}
}

// None fails the test where a message came that nobody waited for.
func (g *Gateway) None(t testing.TB) {
	t.Helper()
	select {
	case m := <-g.shorts:
		t.Fatalf("a message came to %s that should not: %s", m.To, m.Text)
	default:
	}
}

func gateway(t testing.TB, handler func(*Gateway, http.ResponseWriter, *http.Request)) *Gateway {
	t.Helper()
	g := &Gateway{shorts: make(chan Short, 1000), seen: map[string]bool{}}
	g.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		answer := g.answer
		g.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		handler(g, w, r)
	}))
	t.Cleanup(g.server.Close)
	return g
}

func say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// form reads a form with exactly these fields, each once.
func form(r *http.Request, names ...string) (url.Values, bool) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" {
		return nil, false
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return nil, false
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, false
	}
	for name, list := range values {
		if len(list) != 1 || !slices.Contains(names, name) {
			return nil, false
		}
	}
	return values, true
}

// e164 tells whether a text is a number with + and its country.
func e164(text string) bool {
	digits, ok := strings.CutPrefix(text, "+")
	return ok && number(digits)
}

func number(digits string) bool {
	return len(digits) >= 8 && len(digits) <= 15 && strings.Trim(digits, "0123456789") == "" && digits[0] != '0'
}

// Twilio answers as Twilio's API of 2010-04-01 does, for one account.
func Twilio(t testing.TB, account, user, token string) *Gateway {
	return gateway(t, func(g *Gateway, w http.ResponseWriter, r *http.Request) {
		refuse := func(status, code int, text string) {
			say(w, status, map[string]any{"code": code, "message": text, "more_info": "https://www.twilio.com/docs/errors/" + strconv.Itoa(code), "status": status})
		}
		id, key, ok := r.BasicAuth()
		switch {
		case !ok || !same(id, user) || !same(key, token):
			refuse(http.StatusUnauthorized, 20003, "Authenticate")
			return
		case r.URL.Path != "/2010-04-01/Accounts/"+account+"/Messages.json":
			refuse(http.StatusNotFound, 20404, "The requested resource "+r.URL.Path+" was not found")
			return
		case r.Method != http.MethodPost:
			refuse(http.StatusMethodNotAllowed, 20004, "Method not allowed")
			return
		}
		values, ok := form(r, "To", "From", "Body", "MessagingServiceSid")
		to, from, body := values.Get("To"), values.Get("From")+values.Get("MessagingServiceSid"), values.Get("Body")
		switch {
		case !ok:
			refuse(http.StatusBadRequest, 20001, "Unknown parameters")
		case to == "":
			refuse(http.StatusBadRequest, 21604, "A 'To' phone number is required.")
		case !e164(to):
			refuse(http.StatusBadRequest, 21211, "The 'To' number "+to+" is not a valid phone number.")
		case from == "":
			refuse(http.StatusBadRequest, 21603, "A 'From' phone number is required.")
		case body == "":
			refuse(http.StatusBadRequest, 21602, "Message body is required.")
		case len([]rune(body)) > 1600:
			refuse(http.StatusBadRequest, 21617, "The concatenated message body exceeds the 1600 character limit")
		default:
			g.shorts <- Short{To: to, From: from, Text: body}
			say(w, http.StatusCreated, map[string]any{"sid": "SM" + strings.Repeat("0", 32), "account_sid": account, "to": to, "from": from, "body": body,
				"status": "queued", "error_code": nil, "error_message": nil})
		}
	})
}

// SMSAPI answers as SMSAPI's sms.do does: with status 200 to mistakes too, and once
// for each idx.
func SMSAPI(t testing.TB, token string) *Gateway {
	return gateway(t, func(g *Gateway, w http.ResponseWriter, r *http.Request) {
		refuse := func(code int, text string) {
			say(w, http.StatusOK, map[string]any{"error": code, "message": text})
		}
		if r.Method != http.MethodPost || r.URL.Path != "/sms.do" {
			http.NotFound(w, r)
			return
		}
		if !same(r.Header.Get("Authorization"), "Bearer "+token) {
			refuse(101, "Authorization failed")
			return
		}
		values, ok := form(r, "to", "message", "from", "format", "encoding", "idx", "check_idx")
		idx := values.Get("idx")
		switch {
		case !ok || values.Get("format") != "json" || values.Get("encoding") != "utf-8":
			refuse(8, "Error in request (Please report)")
			return
		case values.Get("message") == "":
			refuse(11, "The message is too long or there is no message or parameter: nounicode is set and special characters (including Polish characters) are used")
			return
		case !number(values.Get("to")):
			say(w, http.StatusOK, map[string]any{"invalid_numbers": []any{map[string]any{"number": values.Get("to"), "message": "Invalid phone number"}},
				"error": 13, "message": "No correct phonenumbers"})
			return
		}
		g.mu.Lock()
		again := idx != "" && g.seen[idx]
		g.seen[idx] = true
		g.mu.Unlock()
		if again && values.Get("check_idx") == "1" {
			refuse(53, "Not unique idx")
			return
		}
		g.shorts <- Short{To: "+" + values.Get("to"), From: values.Get("from"), Text: values.Get("message")}
		say(w, http.StatusOK, map[string]any{"count": 1, "list": []any{map[string]any{"id": "1460969715572091219", "points": 0.16, "number": values.Get("to"),
			"date_sent": 1460969712, "submitted_number": values.Get("to"), "status": "QUEUE", "error": nil, "idx": idx, "parts": 1}}})
	})
}

// Hook is a webhook's message that came and whose signature was good.
type Hook struct {
	ID, Kind, Method, To, Subject, Text, Realm, Person string
	Data                                               map[string]string
	Timestamp                                          int64
}

// Receiver receives webhooks.
type Receiver struct {
	*Gateway
	hooks chan Hook
}

// Next waits for the next message.
func (r *Receiver) Next(t testing.TB) Hook {
	t.Helper()
	select {
	case h := <-r.hooks:
		return h
	case <-time.After(patience):
		t.Fatal("no webhook came")
		return Hook{}
	}
}

// Webhook receives what is signed with a secret, at /hook, at a time of clock give or
// take five minutes; each id once. Anything else is refused.
func Webhook(t testing.TB, secret string, clock func() time.Time) *Receiver {
	r := &Receiver{hooks: make(chan Hook, 1000)}
	r.Gateway = gateway(t, func(g *Gateway, w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(io.LimitReader(req.Body, 64<<10))
		if err != nil || req.Method != http.MethodPost || req.URL.Path != "/hook" || req.Header.Get("Content-Type") != "application/json" {
			http.Error(w, "not a webhook", http.StatusBadRequest)
			return
		}
		stamp := req.Header.Get("Sallyport-Timestamp")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(stamp + "." + string(body)))
		at, err := strconv.ParseInt(stamp, 10, 64)
		age := clock().Sub(time.Unix(at, 0)).Abs()
		if err != nil || age > 5*time.Minute || !same(req.Header.Get("Sallyport-Signature"), "v1="+hex.EncodeToString(mac.Sum(nil))) {
			http.Error(w, "the signature is not good", http.StatusUnauthorized)
			return
		}
		h := Hook{Timestamp: at}
		if err := json.Unmarshal(body, &h); err != nil || h.ID == "" || !same(h.ID, req.Header.Get("Sallyport-Message")) {
			http.Error(w, "not a message", http.StatusBadRequest)
			return
		}
		g.mu.Lock()
		again := g.seen[h.ID]
		g.seen[h.ID] = true
		g.mu.Unlock()
		if !again {
			r.hooks <- h
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return r
}
