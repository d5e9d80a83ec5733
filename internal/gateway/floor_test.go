package gateway_test

import (
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// dearHash is nobody's: PBKDF2 of a cost that ours never has.
const dearHash = "pbkdf2_sha256$1500000$seasalt00000001$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM="

// Attack: a command beside the server, in a process of its own, brings people with
// hashes that are dearer than what the server has measured. Before, their logins
// took longer than those of nobody until its next start (E1).
func TestE1TheFloorRisesForHashesThatOthersBring(t *testing.T) {
	w := open(t, centralConfig())
	before := w.gw.FloorForTest()
	err := w.gw.StoreForTest().Update(t.Context(), func(tx store.Tx) error {
		_, err := account.New(account.Options{}).Create(tx, account.Local(), account.NewUser{Ref: principal.Ref{Name: "dear", Realm: "users"}, PasswordHash: dearHash})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for w.gw.FloorForTest() <= before {
		select {
		case <-deadline.C:
			t.Fatalf("the floor stayed at %s", before)
		case <-tick.C:
		}
	}
}
