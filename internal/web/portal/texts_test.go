package portal

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestWaitsAreSaidRoundedUp(t *testing.T) {
	p := &Portal{texts: texts()}
	for d, want := range map[time.Duration]string{
		0: "1 second", time.Millisecond: "1 second", time.Second: "1 second", 1001 * time.Millisecond: "2 seconds",
		119 * time.Second: "119 seconds", 2 * time.Minute: "2 minutes", 14*time.Minute + time.Second: "15 minutes",
		119 * time.Minute: "119 minutes", 121 * time.Minute: "3 hours",
	} {
		if got := p.wait(d); got != want {
			t.Errorf("%s is said as %q, want %q", d, got, want)
		}
	}
}

func TestProgramsAreSaidInPlainWords(t *testing.T) {
	p := &Portal{texts: texts()}
	for header, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                   "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15":                   "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0":                                                                    "Firefox on Android",
		"Mozilla/5.0 (compatible; something)": "Mozilla/5.0 (compatible; something)",
		"curl/8.14.1":                         "curl/8.14.1",
		"evil Mozilla/ Firefox/ Linux":        "evil Mozilla/ Firefox/ Linux",
		"":                                    "Unknown program",
	} {
		if got := p.agent(header); got != want {
			t.Errorf("%q is said as %q, want %q", header, got, want)
		}
	}
}

// Where a login leads is said in words that cannot be played with: what the
// address bar will show, without the query, and never longer than a few lines.
func TestTheWayIsSaidAsTheAddressBarWillSayIt(t *testing.T) {
	p := &Portal{texts: texts(), table: []route{{path: "/sallyport/account/"}}}
	x := &exchange{p: p, r: httptest.NewRequest("GET", "http://app.example.com/sallyport/login", nil)}
	for target, want := range map[string]way{
		"":                          {Start: true},
		"/sallyport/":               {Start: true},
		strayed:                     {Start: true},
		"/sallyport/account/?m=x":   {Account: true},
		"/sallyport/account/../../": {Where: []string{"app.example.com/", "sallyport/", "account/", "../", ".."}},
		"/":                         {Where: []string{"app.example.com"}},
		"/a/b?token=secret#c":       {Where: []string{"app.example.com/", "a/", "b"}},
		"https://wiki.example.com":  {Where: []string{"wiki.example.com"}},
		"https://wiki.example.com:8443/é/\u202ex": {Where: []string{"wiki.example.com:8443/", "%C3%A9/", "%E2%80%AEx"}},
		"/" + strings.Repeat("x", 500):            {Where: []string{"app.example.com/", strings.Repeat("x", maxWhere-16) + "…"}},
	} {
		if got := x.way(target); !reflect.DeepEqual(got, want) {
			t.Errorf("%.60q is said as %+v, want %+v", target, got, want)
		}
	}
}
