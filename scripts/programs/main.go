// Command programs is the load of `make bench` for programs: it provisions
// services and users over the JSON API, and asks about their tokens, each time
// with so many clients at once. One line on standard output for each phase:
// name, calls a second, and how many there were.
//
//	programs -server http://127.0.0.1:9392 -as boss@admin -seed-file boss.seed -ask checker@auth -ask-seed-file checker.seed
//
// What is not answered as it should be ends it: a refusal is quick, and would
// look like speed.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/internal/otp"
)

// caller is a service that calls.
type caller struct {
	name string
	seed []byte
}

func (c caller) token(at time.Time) string { return code(c.seed, at, 0) }

func code(seed []byte, at time.Time, steps int64) string {
	p := otp.Default()
	text, err := p.Code(seed, p.Step(at)+steps)
	if err != nil {
		log.Fatal(err)
	}
	return text
}

// load is one run.
type load struct {
	server  string
	clients int
	http    *http.Client
}

// call posts a document and reads the answer.
func (l *load) call(as caller, path string, in, out any) {
	body, err := json.Marshal(in)
	if err != nil {
		log.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, l.server+"/sallyport/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(as.name, as.token(time.Now()))
	resp, err := l.http.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		log.Fatalf("%s: %s %s %v", path, resp.Status, text, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(text, out); err != nil {
		log.Fatal(err)
	}
}

// phase runs one call n times, and prints how many came in a second.
func (l *load) phase(name string, n int, call func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range l.clients {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				call(i)
			}
		})
	}
	wg.Wait()
	fmt.Printf("%s %.0f %d\n", name, float64(n)/time.Since(begin).Seconds(), n)
}

// verify asks about each subject's tokens of three steps, the oldest first, and
// wants each to be good once. A step that ends meanwhile would make one of them
// wrong, so that it begins early in one.
func (l *load) verify(checker caller, subjects []caller) {
	period := 30 * time.Second
	if late := time.Duration(time.Now().UnixNano()) % period; late > period/2 {
		time.Sleep(period - late)
	}
	at := time.Now()
	var ok atomic.Int64
	n := 3 * len(subjects)
	l.phase("verify", n, func(i int) {
		s := subjects[i%len(subjects)]
		var verdict struct{ Status string }
		name, realm, _ := strings.Cut(s.name, "@")
		l.call(checker, "/verify", map[string]string{"name": name, "realm": realm, "token": code(s.seed, at, int64(i/len(subjects))-1)}, &verdict)
		if verdict.Status == "OK" {
			ok.Add(1)
		}
	})
	if int(ok.Load()) != n {
		log.Fatalf("%d of %d tokens were good: the run took too long for the clock", ok.Load(), n)
	}
	name, realm, _ := strings.Cut(subjects[0].name, "@")
	var verdict struct{ Status string }
	if l.call(checker, "/verify", map[string]string{"name": name, "realm": realm, "token": code(subjects[0].seed, at, 1)}, &verdict); verdict.Status != "FAIL" {
		log.Fatal("a token was good twice: this is no measurement of burns")
	}
}

func main() {
	server := flag.String("server", "", "base URL")
	as, seedFile := flag.String("as", "", "who provisions: name@admin"), flag.String("seed-file", "", "the seed of that service")
	ask, askSeed := flag.String("ask", "", "who asks: name@auth"), flag.String("ask-seed-file", "", "the seed of that service")
	clients, subjects := flag.Int("clients", 64, "clients at once"), flag.Int("subjects", 20000, "services and users to make")
	flag.Parse()
	l := &load{server: *server, clients: *clients, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *clients, MaxConnsPerHost: *clients}}}
	boss, checker := caller{*as, seedOf(*seedFile)}, caller{*ask, seedOf(*askSeed)}
	made := make([]caller, *subjects)
	l.phase("create-service", *subjects, func(i int) {
		var answer struct{ Seed string }
		name := fmt.Sprintf("s%06d", i)
		l.call(boss, "/services", map[string]string{"realm": "robots", "name": name}, &answer)
		seed, err := otp.ParseSeed(answer.Seed)
		if err != nil {
			log.Fatal(err)
		}
		made[i] = caller{name + "@robots", seed}
	})
	l.phase("create-user", *subjects, func(i int) {
		name := fmt.Sprintf("u%06d", i)
		l.call(boss, "/users", map[string]any{"realm": "users", "name": name, "email": name + "@example.com", "groups": []string{"staff"}}, nil)
	})
	l.verify(checker, made)
}

func seedOf(path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	seed, err := otp.ParseSeed(strings.TrimSpace(string(text)))
	if err != nil {
		log.Fatal(err)
	}
	return seed
}
