package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// acknowledged is what the server said was done, before it was killed.
type acknowledged struct {
	mu     sync.Mutex
	people []person
	burned map[string][]string // name → codes that opened a session
	spent  map[string][]string // name → recovery codes that opened one
	total  int                 // of all the above, those that were looked at since included
}

// kill -9 at any moment: what was answered with success must be there
// afterwards, and what was burned must not be good again (an answer before the
// sync that covers its commit would make both happen).
func TestKilledTwentyTimesInTheMiddleOfEnrolmentsAndLogins(t *testing.T) {
	s := serveBinary(t, t.TempDir(), "--demo", "--config", writeConfig(t, "passwords: {memory: 8192, time: 1}\nthrottle: {network: 0}\n"))
	ack := &acknowledged{burned: map[string][]string{}, spent: map[string][]string{}}
	for round := range 20 {
		var group sync.WaitGroup
		stop := make(chan struct{})
		for worker := range 4 {
			group.Go(func() { workUntilKilled(s, ack, fmt.Sprintf("r%02dw%d", round, worker), stop) })
		}
		want := ack.count() + 8 + round%7 // killed at another moment each time
		eventually(t, "some work is acknowledged", func() bool { return ack.count() >= want })
		s.kill()
		close(stop)
		group.Wait()
		s.start()
		checkAcknowledged(t, s, ack)
		if t.Failed() {
			t.Fatalf("after kill %d", round+1)
		}
	}
	if len(ack.burned) < 10 || len(ack.spent) < 5 {
		t.Fatalf("%d logins by code and %d by recovery code were acknowledged: this test showed little", len(ack.burned), len(ack.spent))
	}
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}

// workUntilKilled enrols people and logs them in, by code and by recovery code.
func workUntilKilled(s *server, ack *acknowledged, prefix string, stop chan struct{}) {
	client := adminClient(s)
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		p := person{name: fmt.Sprintf("%sn%d", prefix, i), password: goodPassword}
		if status, _, _, err := tryCall(client, "POST", adminURL+"/users", map[string]any{"realm": "users", "name": p.name, "password": p.password}, nil); err != nil || status != 201 {
			return
		}
		status, _, answer, err := tryCall(client, "POST", adminURL+"/users/users/"+p.name+"/totp", map[string]any{}, nil)
		if err != nil || status != 201 {
			return
		}
		p.secret, _ = answer["secret"].(string)
		for _, code := range answer["recovery_codes"].([]any) {
			p.recovery = append(p.recovery, code.(string))
		}
		ack.mu.Lock()
		ack.people, ack.total = append(ack.people, p), ack.total+1
		ack.mu.Unlock()
		code := p.code(s.t, 0)
		if status, _, err := s.login(&http.Client{}, p, code); err != nil || status != 200 {
			return
		}
		ack.mu.Lock()
		ack.burned[p.name], ack.total = append(ack.burned[p.name], code), ack.total+1
		ack.mu.Unlock()
		status, answer, err = patient(&http.Client{}, s.base+"/sallyport/api/v1/login", map[string]any{"name": p.name, "password": p.password})
		if err != nil || status != 200 {
			return
		}
		status, _, err = patient(&http.Client{}, s.base+"/sallyport/api/v1/login/recovery-code", map[string]any{"ephemeral_token": answer["ephemeral_token"], "recovery_code": p.recovery[0]})
		if err != nil || status != 200 {
			return
		}
		ack.mu.Lock()
		ack.spent[p.name], ack.total = append(ack.spent[p.name], p.recovery[0]), ack.total+1
		ack.mu.Unlock()
	}
}

const adminURL = "http://admin/sallyport/api/v1"

// checkAcknowledged looks at the newest people of each kind: verification by an
// administrator tells good from burned without sessions.
func checkAcknowledged(t *testing.T, s *server, ack *acknowledged) {
	t.Helper()
	verify := func(name string, body map[string]any) string {
		status, answer := s.admin("POST", "/users/users/"+name+"/verify", body)
		if status != 200 {
			t.Errorf("verify %s: %d %v", name, status, answer)
		}
		return fmt.Sprint(answer["status"])
	}
	for _, p := range ack.people[max(0, len(ack.people)-8):] {
		if status, answer := s.admin("GET", "/users/users/"+p.name, nil); status != 200 {
			t.Errorf("the acknowledged user %s is gone: %d %v", p.name, status, answer)
		}
		for _, code := range ack.burned[p.name] {
			if verify(p.name, map[string]any{"code": code}) != "FAIL" {
				t.Errorf("%s: a burned code is good again", p.name)
			}
		}
		for _, code := range ack.spent[p.name] {
			if verify(p.name, map[string]any{"recovery_code": code}) != "FAIL" {
				t.Errorf("%s: a spent recovery code is good again", p.name)
			}
		}
		if verify(p.name, map[string]any{"recovery_code": p.recovery[9]}) != "OK" {
			t.Errorf("%s: an acknowledged recovery code is not good", p.name)
		}
		p.recovery[9] = p.recovery[8]
		p.recovery = p.recovery[:9]
	}
	// Each recovery code is good once: forget those that were just used.
	ack.people = ack.people[:max(0, len(ack.people)-8):max(0, len(ack.people)-8)]
}

// A disk that fills up: Badger writes through mmap, so this used to be a signal
// that kills the process, again at restart. Now: changes are refused clearly,
// nothing is lost, and it works again when there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256m"); err != nil {
		t.Fatalf("mount a small tmpfs: %v (this test needs root, as in CI)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := serveBinary(t, filepath.Join(dir, "state"), "--demo")
	alice := s.addUser("alice")
	filler := filepath.Join(dir, "filler")
	fill(t, filler)

	status, answer := s.admin("POST", "/users", map[string]any{"realm": "users", "name": "bob", "password": goodPassword})
	if status != 503 || answer["code"] == nil {
		t.Fatalf("a change on a full disk: %d %v, want 503 with a code", status, answer)
	}
	if status, answer, err := s.loginOnce(alice); err != nil || status != 503 {
		t.Fatalf("a login on a full disk: %d %v %v, want 503", status, answer, err)
	}
	if status, _ := s.admin("GET", "/users/users/alice", nil); status != 200 {
		t.Fatalf("reading on a full disk: %d", status)
	}
	s.kill()
	out, err := s.tryStart()
	if err == nil || !strings.Contains(out, s.dir) || strings.Contains(out, "SIGBUS") || strings.Contains(out, "goroutine ") {
		t.Fatalf("start on a full disk: %v; want a sentence that names the directory:\n%s", err, out)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.start()
	if status, answer, err := s.login(browserLike(t), alice, alice.code(t, 0)); err != nil || status != 200 {
		t.Fatalf("with room again: %d %v %v", status, answer, err)
	}
	s.addUser("carol")
	fill(t, filler)
	if status, _ := s.admin("POST", "/users", map[string]any{"realm": "users", "name": "dave", "password": goodPassword}); status != 503 {
		t.Fatalf("full again: %d", status)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.addUser("erin") // in the same process that saw the full disk
	s.term()
}

// fill writes until the disk has no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for range 1 << 12 {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
	t.Fatal("the disk did not fill up")
}
