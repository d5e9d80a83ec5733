package main

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// Somebody who sees one code on a screen posts it two hundred times at once, in
// the hope that the check and the burn are two steps. Gained before: as many
// sessions as posts that fell between them.
func TestO3ParallelPostsOfOneCodeOpenOneSession(t *testing.T) {
	s := serveBinary(t, t.TempDir(), "--demo")
	alice := s.addUser("alice")
	const posts = 200
	client := &http.Client{}
	tokens := make([]any, posts)
	status, answer := call(t, client, "POST", s.base+"/sallyport/api/v1/login", map[string]any{"name": alice.name, "password": alice.password}, sameOrigin)
	if status != 200 {
		t.Fatalf("first door: %d %v", status, answer)
	}
	for i := range tokens {
		tokens[i] = answer["ephemeral_token"]
	}
	code := alice.code(t, 0)
	var good, refused atomic.Int32
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range posts {
		group.Go(func() {
			<-start
			status, _, answer, err := tryCall(browserLike(t), "POST", s.base+"/sallyport/api/v1/login/code", map[string]any{"ephemeral_token": tokens[i], "code": code}, sameOrigin)
			switch {
			case err != nil:
				t.Error(err)
			case status == 200 && answer["status"] == "ok":
				good.Add(1)
			case status == 401 || status == 429:
				refused.Add(1)
			default:
				t.Errorf("%d %v", status, answer)
			}
		})
	}
	close(start)
	group.Wait()
	if good.Load() != 1 || refused.Load() != posts-1 {
		t.Fatalf("%d sessions and %d refusals from %d posts of one code", good.Load(), refused.Load(), posts)
	}
	if _, list := s.admin("GET", "/sessions", nil); len(list["sessions"].([]any)) != 1 {
		t.Fatalf("sessions: %v", list)
	}

	// The same code later, elsewhere (a fresh first door), and after a restart.
	for _, restart := range []bool{false, true} {
		if restart {
			s.term()
			s.start()
		}
		status, answer, err := s.login(browserLike(t), alice, code)
		if err != nil || status != 401 {
			t.Fatalf("the burned code again (restart %v): %d %v %v", restart, status, answer, err)
		}
	}
	if status, answer, err := s.login(browserLike(t), alice, alice.code(t, 1)); err != nil || status != 200 {
		t.Fatalf("the owner is locked out: %d %v %v", status, answer, err)
	}
}

// State of one login kept in a shared place hands one person's session to
// another. Gained before: somebody else's account, by being quick.
func TestH9ThousandUsersInParallelEachGetTheirOwnSession(t *testing.T) {
	s := serveBinary(t, t.TempDir(), "--demo", "--config", writeConfig(t, "passwords: {memory: 8192, time: 1}\n"))
	const users = 1000
	people := make([]person, users)
	inParallel(users, 16, func(i int) {
		p, err := s.tryAddUser(fmt.Sprintf("user%04d", i))
		if err != nil {
			t.Error(err)
		}
		people[i] = p
	})
	if t.Failed() {
		t.FailNow()
	}
	var group sync.WaitGroup
	for i := range users {
		group.Go(func() {
			p := people[i]
			client := browserLike(t)
			// The code is asked for when it is needed, so that waiting for
			// the first door does not make it old.
			status, answer, err := patient(client, s.base+"/sallyport/api/v1/login", map[string]any{"name": p.name, "password": p.password})
			if err != nil || status != 200 {
				t.Errorf("%s, first door: %d %v %v", p.name, status, answer, err)
				return
			}
			status, answer, err = patient(client, s.base+"/sallyport/api/v1/login/code", map[string]any{"ephemeral_token": answer["ephemeral_token"], "code": p.code(t, 0)})
			if err != nil || status != 200 {
				t.Errorf("%s, second door: %d %v %v", p.name, status, answer, err)
				return
			}
			status, _, me, err := tryCall(client, "GET", s.base+"/sallyport/api/v1/me", nil, http.Header{"Authorization": {"Bearer " + fmt.Sprint(answer["access_token"])}})
			if err != nil || status != 200 || me["name"] != p.name {
				t.Errorf("%s sees %v (%d %v)", p.name, me["name"], status, err)
			}
			status, _, page, err := tryCall(client, "GET", s.base+"/", nil, http.Header{"Accept": {"application/json"}})
			if err != nil || status != 200 || page["Remote-User"] != p.name {
				t.Errorf("%s is %v to the upstream (%d %v)", p.name, page, status, err)
			}
		})
	}
	group.Wait()
}

func inParallel(n, workers int, do func(i int)) {
	next := make(chan int)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}
