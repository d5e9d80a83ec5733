package adjure_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
	"github.com/sallyport-auth/sallyport/internal/web/compat/compattest"
)

// spellings of a code that a generous verifier takes for the same. None of them is
// the original's.
func spellings(code string) []string {
	wide := func(zero rune) string {
		return strings.Map(func(r rune) rune { return zero + r - '0' }, code)
	}
	texts := []string{wide('０'), wide('٠'), wide('𝟎'), "0" + code, code + "0", "+" + code, code + "\x00", code + ".0", code + "e0"}
	for _, space := range []string{" ", "\t", "\n", "\u00a0", "\u200b", "\ufeff", "-", "_"} {
		texts = append(texts, space+code, code+space, code[:3]+space+code[3:])
	}
	return texts
}

// Attack: a code that was used comes again, in another spelling. And before it was
// used, only its own digits are the code, as in the original.
func TestO1O2NoSpellingOfACodeIsGoodButItsOwnAndThatOnce(t *testing.T) {
	h := newHouse(t)
	for i, text := range spellings("000000") {
		p := h.provision(fmt.Sprint("fresh ", i))
		code := p.code()
		h.problem(fmt.Sprintf("a fresh code like %q", text), p.authenticate(spellings(code)[i]), 400, "VALIDATION_FAILURE", wrongCode)
		h.empty("the code itself", p.authenticate(code))
		h.problem("again", p.authenticate(code), 400, "VALIDATION_FAILURE", wrongCode)
		h.problem(fmt.Sprintf("a used code like %q", text), p.authenticate(spellings(code)[i]), 400, "VALIDATION_FAILURE", wrongCode)
	}
	p := h.provision("codes on paper")
	for i, code := range []string{" " + p.codes[0], p.codes[0] + "\n", strings.ToUpper(p.codes[0]), p.codes[0][:16] + "-" + p.codes[0][16:], p.codes[0] + "0"} {
		h.problem(fmt.Sprintf("a recovery code like %q", code), p.recover(code), 400, "INVALID_RECOVERY_CODE", wrongRecovery)
		if i == 3 {
			h.empty("the recovery code itself", p.recover(p.codes[0]))
		}
	}
}

// A replay is no guess: twenty of them lock nobody out.
func TestO2AReplayIsRefusedAndNotCounted(t *testing.T) {
	h := newHouse(t)
	p := h.provision("alice")
	used := p.code()
	h.empty("the first time", p.authenticate(used))
	for range 20 {
		h.problem("a replay", p.authenticate(used), 400, "VALIDATION_FAILURE", wrongCode)
	}
	h.Time.Advance(30 * time.Second)
	h.problem("a replay in the next step", p.authenticate(used), 400, "VALIDATION_FAILURE", wrongCode)
	h.empty("the next code", p.authenticate(p.code()))
}

// O12: the clock goes back ten minutes, and codes of then are not good again.
func TestO12NothingIsReusedWhenTheClockGoesBack(t *testing.T) {
	h := newHouse(t)
	p := h.provision("alice")
	first := p.code()
	h.empty("a code", p.authenticate(first))
	h.Time.Advance(10 * time.Minute)
	h.empty("a later one", p.authenticate(p.code()))
	h.Time.Advance(-10 * time.Minute)
	h.problem("the first one again", p.authenticate(first), 400, "VALIDATION_FAILURE", wrongCode)
	h.problem("the one of this step", p.authenticate(p.code()), 400, "VALIDATION_FAILURE", wrongCode)
}

// parallel sends so many requests at once and counts the statuses.
func parallel(n int, send func() compattest.Answer) map[int]int {
	var mu sync.Mutex
	var wait sync.WaitGroup
	statuses := map[int]int{}
	for range n {
		wait.Go(func() {
			a := send()
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
		})
	}
	wait.Wait()
	return statuses
}

// Attack: one overheard code, posted 200 times at once.
func TestO3OneCodeIsGoodOnceOfTwoHundredAtOnce(t *testing.T) {
	h := newHouse(t)
	p := h.provision("alice")
	code := p.code()
	if got := parallel(200, func() compattest.Answer { return p.authenticate(code) }); got[200] != 1 || got[400] != 199 {
		t.Errorf("a code: %v", got)
	}
	if got := parallel(200, func() compattest.Answer { return p.recover(p.codes[0]) }); got[200] != 1 || got[400]+got[429] != 199 {
		t.Errorf("a recovery code: %v", got)
	}
	body := object("user_id", "new")
	if got := parallel(50, func() compattest.Answer { return h.Do("POST", "/user/provision", body) }); got[200] != 1 || got[400] != 49 {
		t.Errorf("a new user: %v", got)
	}
}

// Attack: many guesses at once, to be judged before one of them is counted.
func TestO4ParallelGuessesAreCounted(t *testing.T) {
	h := newHouse(t)
	p := h.provision("alice")
	wrong, free := p.wrong(), throttle.DefaultPolicy().Principal
	if got := parallel(60, func() compattest.Answer { return p.authenticate(wrong) }); got[400] != free || got[429] != 60-free {
		t.Errorf("%v, and %d are free", got, free)
	}
}

// Where so many codes were wrong that none is judged any more, waiting does not help,
// and the answer says what does.
func TestO6AClosedPlace(t *testing.T) {
	h := newHouse(t)
	p := h.provision("bob")
	wrong := p.wrong()
	var last compattest.Answer
	for range 300 {
		if last = p.authenticate(wrong); last.Status != 429 {
			continue
		}
		seconds, err := strconv.Atoi(last.Header.Get("Retry-After"))
		if err != nil {
			break
		}
		h.Time.Advance(time.Duration(seconds) * time.Second)
	}
	h.problem("closed", last, 429, "VALIDATION_FAILURE", "Too many wrong codes: use a backup code, or ask your administrator.")
	h.Time.Advance(15 * time.Minute)
	h.empty("as it says", p.recover(p.codes[0]))
	h.empty("and then", p.authenticate(p.code()))
}

// Attack: guesses spread over both doors of the facade and the gateway's own, each of
// which would have a counter of its own. And who waits gets in.
func TestO6WrongCodesCountAtThePersonWhateverTheDoor(t *testing.T) {
	h := newHouse(t)
	const words = "quartz lantern otter velvet"
	u := h.User("alice", "adjure", "", words)
	h.update(func(tx store.Tx) error {
		return h.Factors.Bring(tx, account.Local(), u.ID, factor.Brought{Seed: secret.NewBytes([]byte("twenty bytes of seed")), Params: otp.Default(), RecoveryCodes: []string{strings.Repeat("0a", 16)}})
	})
	p, other := h.person("alice", nil), h.provision("bob")
	client := login.Client{Addr: netip.MustParseAddr("192.0.2.7")}
	next, err := h.Doors.Password(t.Context(), login.Attempt{Login: "alice", Realm: "adjure", Password: words, Door: login.API, Client: client})
	h.Must(err)
	second := login.Second{Ephemeral: next.Ephemeral.Reveal(), Door: login.API, Client: client}

	used := p.code()
	h.empty("a code", p.authenticate(used))
	second.Code = used
	if _, err := h.Doors.Code(t.Context(), second); !errors.Is(err, login.ErrDenied) {
		t.Errorf("the used code at the gateway's own door: %v", err)
	}
	wrong := p.wrong()
	second.Code = wrong
	if _, err := h.Doors.Code(t.Context(), second); !errors.Is(err, login.ErrDenied) {
		t.Errorf("a wrong code at the gateway's own door: %v", err)
	}
	h.problem("1", p.authenticate(wrong), 400, "VALIDATION_FAILURE", wrongCode)
	h.problem("2", p.authenticate("not a code"), 400, "VALIDATION_FAILURE", wrongCode)
	h.problem("3", p.recover(strings.Repeat("f", 32)), 400, "INVALID_RECOVERY_CODE", wrongRecovery)
	h.problem("4", p.recover("x"), 400, "INVALID_RECOVERY_CODE", wrongRecovery)

	a := p.authenticate(p.code())
	h.problem("too many", a, 429, "VALIDATION_FAILURE", throttled)
	if a.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	h.problem("too many", p.recover(strings.Repeat("0a", 16)), 429, "INVALID_RECOVERY_CODE", throttled)
	if _, err := h.Doors.Code(t.Context(), second); !errors.As(err, new(*throttle.Throttled)) {
		t.Errorf("the gateway's own door: %v", err)
	}
	h.empty("somebody else", other.authenticate(other.code()))
	h.Time.Advance(time.Minute)
	h.empty("after the wait", p.authenticate(p.code()))
	h.problem("a wrong one then", p.authenticate(wrong), 400, "VALIDATION_FAILURE", wrongCode)
}

// Attack: the recovery code of one person in the name of another, who must not lose
// it either.
func TestM3ARecoveryCodeIsItsOwners(t *testing.T) {
	h := newHouse(t)
	alice, bob := h.provision("alice"), h.provision("bob")
	h.problem("alice's code for bob", bob.recover(alice.codes[0]), 400, "INVALID_RECOVERY_CODE", wrongRecovery)
	h.empty("for alice", alice.recover(alice.codes[0]))
	h.problem("bob's one-time code for alice", alice.authenticate(bob.code()), 400, "VALIDATION_FAILURE", wrongCode)
	h.problem("a recovery code as a code", bob.authenticate(bob.codes[0]), 400, "VALIDATION_FAILURE", wrongCode)
	h.problem("a code as a recovery code", bob.recover(bob.code()), 400, "INVALID_RECOVERY_CODE", wrongRecovery)
	h.empty("bob's code for bob", bob.authenticate(bob.code()))
}

// Attack: what is no code at all.
func TestM5NoCodeIsNoProgress(t *testing.T) {
	h := newHouse(t)
	p := h.provision("alice")
	for _, name := range []string{"auth_code", "recovery_code"} {
		path := map[string]string{"auth_code": "/user/authenticate", "recovery_code": "/user/recovery/authenticate"}[name]
		for _, body := range []string{"", "{}", "[]", `{"user_id": "alice"}`, `{"user_id": "alice", "` + name + `": ""}`, `{"user_id": "alice", "` + name + `": []}`,
			`{"user_id": "alice", "` + name + `": ["` + p.code() + `"]}`, `{"user_id": "alice", "` + name + `": {"$ne": ""}}`, `{"user_id": "alice", "` + name + `": true}`,
			`{"user_id": ["alice"], "` + name + `": "` + p.code() + `"}`, `{"user_id": "alice", "` + name + `": "` + p.code() + `", "` + name + `": null}`} {
			if a := h.Do("POST", path, body); a.Status != 400 {
				t.Errorf("%s %s: %d %s", path, body, a.Status, a.Body)
			}
		}
	}
	if a := h.Do("POST", "/user/authenticate?user_id=alice&auth_code="+p.code(), "user_id=alice&auth_code="+p.code(), "Content-Type: application/x-www-form-urlencoded"); a.Status != 400 {
		t.Errorf("a form: %d %s", a.Status, a.Body)
	}
	h.empty("the code was not burned by any of these", p.authenticate(p.code()))
}
