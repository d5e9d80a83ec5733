// Package internal_test holds the walls of the house: who may import whom.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sallyport-auth/sallyport/"

// floors are the rooms from the ground up. A room may import rooms on floors
// below its own, never its own floor or one above.
var floors = [][]string{
	{"internal/principal", "internal/secret", "internal/otp", "deploy", "examples"},
	{"internal/store"},
	{"internal/audit"},
	{"internal/throttle", "internal/notify"},
	{"internal/account"},
	{"internal/session"},
	{"internal/factor"},
	{"internal/guard", "internal/login"},
	{"internal/web", "internal/command"},
	{"internal/gateway"},
	{"standalone", "caddymodule", "scripts/bare", "scripts/programs"},
	{"scripts/caddy"},
}

// walls are the imports that only one room may make.
var walls = []struct{ forbidden, allowed, reason string }{
	{"github.com/dgraph-io/badger/", "internal/store/badger", "only store/badger knows Badger: everything else must work on any engine"},
	{"github.com/jackc/pgx/", "internal/store/postgres", "only store/postgres knows PostgreSQL"},
	{"github.com/caddyserver/caddy/", "caddymodule,scripts/caddy", "the core must run without Caddy"},
	{"net/http", "internal/notify/post,internal/notify/notifytest,internal/factor/yubico,internal/web,internal/command,internal/gateway,standalone,caddymodule,scripts/bare,scripts/programs,examples", "rooms below web decide; they do not speak HTTP, but for messages that leave by it, and to ask those who know a YubiKey"},
	{"github.com/wneessen/go-mail", "internal/notify/mail", "only notify/mail speaks SMTP: rooms queue messages and wait for nobody"},
	{"github.com/wneessen/go-mail/", "internal/notify/mail", "only notify/mail speaks SMTP: rooms queue messages and wait for nobody"},
	{"github.com/emersion/go-smtp", "internal/notify/notifytest", "a server for mail is for tests alone"},
	{"github.com/sallyport-auth/sallyport/internal/notify/notifytest", "internal/notify/notifytest", "tests alone may stand in for those who carry messages"},
	{"github.com/sallyport-auth/sallyport/internal/factor/yubico/yubicotest", "internal/factor/yubico/yubicotest", "tests alone may stand in for those who know a YubiKey"},
	{"github.com/go-webauthn/webauthn/", "internal/factor", "only factor speaks WebAuthn: everybody else carries its JSON unread"},
	{"github.com/sallyport-auth/sallyport/internal/factor/passkeytest", "internal/factor/passkeytest", "tests alone may stand in for an authenticator"},
	{"github.com/prometheus/", "internal/gateway,standalone,caddymodule", "rooms say what happened, by events and observers; only the assembly knows who counts it, and no room can invent a label"},
	{"github.com/spf13/cobra", "internal/command,standalone,caddymodule", "the command line stands in one room"},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

// room says to which room and floor a package belongs; floor -1: none.
func room(path string) (name string, floor int) {
	for i, rooms := range floors {
		for _, r := range rooms {
			if path == r || strings.HasPrefix(path, r+"/") {
				return r, i
			}
		}
	}
	return "", -1
}

func TestRoomsImportDownwardsOnly(t *testing.T) {
	for _, p := range packages(t) {
		here, floor := room(p.ImportPath)
		if floor < 0 {
			if p.ImportPath != "internal" {
				t.Errorf("%s belongs to no room: put it into the table of floors", p.ImportPath)
			}
			continue
		}
		for _, imported := range p.Imports {
			path, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			there, below := room(path)
			if there == here {
				continue // inside one room
			}
			aid := strings.HasSuffix(p.ImportPath, "test") && path == "internal/store/storetest" // a package for tests, over the store for tests
			if strings.HasPrefix(path, "internal/store/") && here != "internal/gateway" && !aid {
				t.Errorf("%s imports %s: engines are chosen by gateway alone", p.ImportPath, path)
			}
			if below >= floor {
				t.Errorf("%s imports %s: a room imports downwards only, so that each can be understood, tested and replaced without those above it", p.ImportPath, path)
			}
		}
	}
}

func TestWalls(t *testing.T) {
	for _, p := range packages(t) {
		for _, w := range walls {
			for _, imported := range p.Imports {
				if imported != w.forbidden && !(strings.HasSuffix(w.forbidden, "/") && strings.HasPrefix(imported, w.forbidden)) {
					continue
				}
				inside := slices.ContainsFunc(strings.Split(w.allowed, ","), func(a string) bool {
					return p.ImportPath == a || strings.HasPrefix(p.ImportPath, a+"/")
				})
				if !inside {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, w.reason)
				}
			}
		}
	}
}
