package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The page of the API is whole without scripts. With them a person tries the
// calls with a token, and with nothing but the token: the cookie that this
// browser has opens nothing here.
func TestEveryPageOfTheAPIInChromium(t *testing.T) {
	w := newWalk(t, "portal: "+portal+"\nrules:\n  - {hosts: [wiki.example.com], realms: [users]}\n", "--demo")
	w.open(w.s.setupURL())
	w.fill("username", "dana", "new_password", goodPassword, "again", goodPassword)
	dana := person{name: "dana", secret: w.secret()}
	w.fill("code", dana.code(t, 0))
	w.open(portal + "/sallyport/docs")
	w.see("api", "The API")
	if n := w.count(".try:not([hidden])"); n != 0 {
		t.Errorf("%d forms without scripts, which could not be sent", n)
	}

	w.do("let scripts run", scripts(true))
	w.open(portal + "/sallyport/docs?#post-users")
	call := "#post-users"
	w.do("wait for the form", chromedp.WaitVisible(chromedp.CSS(call+" button")))
	w.see("api-call", "The API")
	w.do("let scripts run", scripts(true)) // see switched them off

	if got := w.try("get-me", ""); !strings.HasPrefix(got, "401 ") || !strings.Contains(got, "unauthenticated") {
		t.Errorf("without a token: %s", got)
	}
	half := w.answered(w.try("post-login", `{"name": "dana@admin", "password": "`+goodPassword+`"}`))
	body, err := json.Marshal(map[string]any{"ephemeral_token": half["ephemeral_token"], "code": dana.code(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	full := w.answered(w.try("post-login-code", string(body)))
	w.do("paste the token", chromedp.SetValue(chromedp.CSS("#token"), fmt.Sprint(full["access_token"])))
	if me := w.answered(w.try("get-me", "")); me["name"] != "dana" {
		t.Errorf("me: %v", me)
	}
	if got := w.try("get-users-realm-name", ""); !strings.Contains(got, "is needed") {
		t.Errorf("without a path: %s", got)
	}
	for _, store := range []string{"localStorage.length", "sessionStorage.length", "document.cookie.length"} {
		if n := read(w.tab, "look into "+store, chromedp.Evaluate[int](store)); n != 0 {
			t.Errorf("%s is %d: the token is kept in memory alone", store, n)
		}
	}
	w.end(2)
}

// try sends a call of the page and reads what it answers.
func (w *walk) try(call, body string) string {
	w.t.Helper()
	at := "#" + call
	w.do("open "+call, chromedp.Evaluate[chromedp.Void](`document.querySelector("`+at+`").open = true; document.querySelector("`+at+` pre").textContent = ""`))
	if body != "" {
		w.do("type a body", chromedp.SetValue(chromedp.CSS(at+" textarea"), body))
	}
	w.do("send "+call, chromedp.Click(chromedp.CSS(at+" button")))
	const answer = `new Promise(done => {
		const look = () => { const text = document.querySelector("%s pre").textContent; if (text) done(text); else requestAnimationFrame(look); };
		look();
	})`
	return read(w.tab, "read the answer of "+call, chromedp.Evaluate[string](fmt.Sprintf(answer, at), chromedp.EvalAwaitPromise))
}

// answered is the JSON of a good answer.
func (w *walk) answered(text string) (fields map[string]any) {
	w.t.Helper()
	_, body, _ := strings.Cut(text, "\n\n")
	if err := json.Unmarshal([]byte(body), &fields); err != nil || !strings.HasPrefix(text, "2") {
		w.t.Fatalf("answer: %s", text)
	}
	return fields
}
