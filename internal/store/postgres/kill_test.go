package postgres

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/store/postgres/pgtest"
)

// The test binary is its own victim: with these in the environment it is another
// node, which counts until it is killed, or stands still with the lock in its hand.
const (
	victimURL   = "SALLYPORT_TEST_VICTIM_URL"
	victimHolds = "SALLYPORT_TEST_VICTIM_HOLDS"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(victimURL); url != "" {
		fmt.Fprintln(os.Stderr, "victim:", beVictim(url))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// beVictim prints a line for each Update that was acknowledged.
func beVictim(url string) error {
	ctx := context.Background()
	s, err := Open(ctx, Options{URL: url})
	if err != nil {
		return err
	}
	for {
		err := s.Update(ctx, func(tx store.Tx) error {
			if os.Getenv(victimHolds) != "" {
				fmt.Println("holds")
				select {}
			}
			return count(tx, record("n"))
		})
		if err != nil {
			return err
		}
		fmt.Println("counted")
	}
}

// victim starts another node and returns its lines.
func victim(t *testing.T, url, holds string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimURL+"="+url, victimHolds+"="+holds)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// A node is killed again and again while it counts: what it acknowledged is there,
// and one more at most, whose answer it did not live to see.
func TestKilledNodeLosesNothing(t *testing.T) {
	url := pgtest.URL(t)
	s := node(t, url)
	acknowledged := uint64(0)
	const rounds = 5
	for range rounds {
		cmd, lines := victim(t, url, "")
		for n := 0; lines.Scan(); n++ {
			acknowledged++
			if n == 20 { // the 21st
				_ = cmd.Process.Kill()
			}
		}
	}
	if acknowledged < rounds*20 {
		t.Errorf("only %d were acknowledged: the other nodes did not live", acknowledged)
	}
	if n := number(t, s, record("n")); n < acknowledged || n > acknowledged+rounds {
		t.Errorf("%d were acknowledged, and the counter says %d", acknowledged, n)
	}
}

// A node that is killed with the lock in its hand gives it back at once; one that
// stands still has it taken away before others give up.
func TestNodeThatHoldsTheLock(t *testing.T) {
	for _, killed := range []bool{true, false} {
		url := pgtest.URL(t)
		s := node(t, url)
		cmd, lines := victim(t, url, "holds")
		if !lines.Scan() {
			t.Fatal("the other node does not hold the lock")
		}
		if killed {
			_ = cmd.Process.Kill()
		}
		begin := time.Now()
		if err := put(t, s, record("k"), "x"); err != nil {
			t.Errorf("killed %v: %v", killed, err)
		}
		if took := time.Since(begin); killed && took > writerIdle/2 {
			t.Errorf("the lock came back after %v", took)
		}
	}
}
