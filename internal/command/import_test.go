package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/command"
)

// Many batches, with doubles across them: the dry run counts what the import
// then does, nobody is lost, and everybody goes out again.
func TestImportOfThousands(t *testing.T) {
	const users, doubles = 5000, 50
	var file strings.Builder
	line := func(n int) {
		fmt.Fprintf(&file, `{"name":"user%d","email":"user%d@example.com","groups":["staff"],"password_hash":"pbkdf2_sha256$12000$seasalt%08d$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM="}`+"\n", n, n, n)
	}
	for n := range users {
		line(n)
	}
	for n := range doubles {
		line(n * 97)
	}
	m := newMachine(t)
	run := func(stdin string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		command.Run(t.Context(), m.shell(&stdout, &stderr), args, strings.NewReader(stdin), &stdout, &stderr)
		if strings.Contains(stderr.String(), "seasalt") || strings.Contains(stderr.String(), "VNdX9") {
			t.Errorf("a hash stands on standard error: %.300s", stderr.String())
		}
		return stdout.String()
	}
	count := func(out string) (created, exists, refused int) {
		t.Helper()
		var report struct{ Created, Exists, Refused int }
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%v: %.300s", err, out)
		}
		return report.Created, report.Exists, report.Refused
	}
	dry := run(file.String(), "user", "import", "--dry-run", "--json", "-")
	if created, exists, refused := count(dry); created != users || exists != 0 || refused != doubles {
		t.Errorf("dry run: %d, %d, %d", created, exists, refused)
	}
	real := run(file.String(), "user", "import", "--json", "-")
	if strings.Replace(dry, `"dry_run": true`, `"dry_run": false`, 1) != real {
		t.Errorf("the dry run said\n%.300s\nand the import\n%.300s", dry, real)
	}
	if created, exists, refused := count(run(file.String(), "user", "import", "--json", "-")); created != 0 || exists != users || refused != doubles {
		t.Errorf("again: %d, %d, %d", created, exists, refused)
	}
	exported := run("", "user", "export", "--with-hashes")
	if lines := strings.Count(exported, "\n"); lines != users+1 { // and the visitor
		t.Errorf("%d users were exported", lines)
	}

	// What leaves one server with its hashes comes into another, and leaves it alike.
	m = newMachine(t)
	if created, exists, refused := count(run(exported, "user", "import", "--json", "-")); created != users || exists != 1 || refused != 0 {
		t.Errorf("into another server: %d, %d, %d", created, exists, refused)
	}
	if again := run("", "user", "export", "--with-hashes"); withoutTimes(t, again) != withoutTimes(t, exported) {
		t.Error("what came in does not leave as it came")
	}
}

// An address changes hands inside of one file, and its old owner and its new ones
// stand in batches of their own, which a dry run forgets one by one: a chain, a swap
// that no order makes possible, and somebody who gains nothing but the address.
func TestDryRunKnowsWhoLeftAnAddress(t *testing.T) {
	m := newMachine(t)
	run := func(stdin string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		command.Run(t.Context(), m.shell(&stdout, &stderr), args, strings.NewReader(stdin), &stdout, &stderr)
		return stdout.String()
	}
	user := func(name, address string) string {
		return fmt.Sprintf(`{"name":%q,"email":%q}`+"\n", name, address+"@example.com")
	}
	run(user("m1", "one")+user("m2", "two")+user("m3", "three")+user("s1", "s1")+user("s2", "s2")+user("still", "still"), "user", "import", "-")
	others := func(batch string) string { // more than one batch
		var all strings.Builder
		for n := range 250 {
			all.WriteString(user(fmt.Sprint(batch, n), fmt.Sprint(batch, n)))
		}
		return all.String()
	}
	file := user("m1", "new") + user("s1", "s2") + user("still", "Still") + others("a") +
		user("m2", "one") + user("s2", "s1") + others("b") +
		user("m3", "two") + user("m4", "THREE") + user("m5", "one") + user("m6", "still") + others("c") +
		`{"name":"m7","email":"three@example.com","phone":"none"}` + "\n" + user("m8", "two")
	dry := run(file, "user", "import", "--on-conflict", "update", "--dry-run", "--json", "-")
	real := run(file, "user", "import", "--on-conflict", "update", "--json", "-")
	if strings.Replace(dry, `"dry_run": true`, `"dry_run": false`, 1) != real {
		t.Errorf("the dry run said\n%s\nand the import\n%s", dry, real)
	}
	for _, want := range []string{`"created": 751,`, `"updated": 3,`, `"exists": 1,`, `"refused": 6,`} {
		if !strings.Contains(real, want) {
			t.Errorf("no %s in\n%s", want, real)
		}
	}
}

func withoutTimes(t *testing.T, lines string) string {
	t.Helper()
	var all strings.Builder
	for line := range strings.Lines(lines) {
		var user map[string]any
		if err := json.Unmarshal([]byte(line), &user); err != nil {
			t.Fatal(err)
		}
		delete(user, "created_at")
		text, err := json.Marshal(user)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(append(text, '\n'))
	}
	return all.String()
}

// Ctrl-C at a pipe that never ends, before the first user and between two.
func TestCtrlCEndsAnImport(t *testing.T) {
	for _, c := range []struct{ written, want string }{
		{`{"name":"alice"}` + "\n", "sallyport: interrupted\n"},
		{strings.Repeat(`{"name":"alice"}`+"\n", 10_000), "read the file: interrupted\n"},
	} {
		m := newMachine(t)
		r, w := io.Pipe()
		ctx, interrupt := context.WithCancel(t.Context())
		var stdout, stderr bytes.Buffer
		exit := make(chan int, 1)
		go func() {
			exit <- command.Run(ctx, m.shell(&stdout, &stderr), []string{"user", "import", "--format", "jsonl", "-"}, r, &stdout, &stderr)
		}()
		if _, err := io.WriteString(w, c.written); err != nil { // returns when it was read
			t.Fatal(err)
		}
		interrupt()
		if code := <-exit; code != command.ExitFailed || !strings.HasSuffix(stderr.String(), c.want) {
			t.Errorf("exit code %d, stderr %.200q", code, &stderr)
		}
		_ = w.Close() // ends the reader that was left behind
	}
}
