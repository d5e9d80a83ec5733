package account_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Attack: people were imported with dearer hashes than ours; whoever measures
// how long a refused login takes learns who exists. The directory remembers what
// is to be measured at the next start: per format the dearest, and nothing that
// belongs to anybody.
func TestForeignHashesAreRememberedByTheirCost(t *testing.T) {
	d := newDirectory(t, nil)
	crypt := func(cost, fill string) string { return "$2b$" + cost + "$" + strings.Repeat(fill, 53) }
	django := "pbkdf2_sha256$12000$seasalt2ForYou$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM="
	digests := func() (list []string) {
		d.must(func(tx store.Tx) (err error) { list, err = d.ForeignDigests(tx); return err })
		return list
	}
	var id principal.ID
	create := func(name, hash string) {
		d.must(func(tx store.Tx) error {
			u, err := d.Create(tx, account.Local(), account.NewUser{Ref: ref(name), PasswordHash: hash})
			if err == nil {
				id = u.ID
			}
			return err
		})
	}
	create("alice", hash("canary"))
	create("bob", "")
	if got := digests(); len(got) != 0 {
		t.Fatalf("foreign, without any: %v", got)
	}
	create("carol", crypt("10", "a"))
	create("dave", crypt("12", "b"))
	create("erin", crypt("08", "c"))
	if got, want := digests(), []string{crypt("12", ".")}; !slices.Equal(got, want) {
		t.Errorf("the dearest of a format: %v, want %v", got, want)
	}
	d.must(func(tx store.Tx) error { _, err := d.SetPassword(tx, account.Local(), id, django); return err })
	got := digests()
	if len(got) != 2 || got[0] != crypt("12", ".") || !strings.HasPrefix(got[1], "pbkdf2_sha256$12000$") {
		t.Errorf("two formats: %v", got)
	}
	const dear = "$argon2id$v=19$m=65536,t=3,p=4$"
	create("fred", dear+"c2l4dGVlbiBieXRlIHNsdA$JNhzAr3HOLBXZLhXvaaAnaKkqcBrpydrWM3wWFqRBH8")
	if got = digests(); len(got) != 3 || !strings.HasPrefix(got[0], dear+"AAAA") {
		t.Errorf("argon2id of somebody who computes more: %v", got)
	}
	if all := strings.Join(got, " "); strings.Contains(all, "seasalt") || strings.Contains(all, "VNdX") || strings.Contains(all, "bbb") {
		t.Errorf("somebody's salt or hash: %s", all)
	}
}
