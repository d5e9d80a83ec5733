package secret_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// cheap keeps the tests fast; what it costs is not what they are about.
func cheap() secret.HashParams { return secret.HashParams{MemoryKiB: 64, Time: 1, Threads: 1} }

const passphrase = "correct horse battery staple"

func TestAPasswordVerifiesAgainstItsHash(t *testing.T) {
	ctx := context.Background()
	h := secret.NewHasher(secret.HasherOptions{Params: cheap()})
	phc, err := h.Hash(ctx, passphrase)
	if err != nil || secret.Kind(phc) != "argon2id" || secret.CheckDigest(phc) != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("%s, %v", phc, err)
	}
	if again, _ := h.Hash(ctx, passphrase); again == phc {
		t.Error("the salt came twice")
	}
	for password, want := range map[string]bool{passphrase: true, "": false, passphrase + " ": false, "Correct horse battery staple": false, passphrase + "\x00": false, strings.Repeat("x", 1<<20): false, "\xff": false} {
		if ok, rehash, err := h.Verify(ctx, password, phc); ok != want || rehash || err != nil {
			t.Errorf("%.30q: %v, %v, %v", password, ok, rehash, err)
		}
	}
	dearer := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 64, Time: 2, Threads: 1}})
	if ok, rehash, err := dearer.Verify(ctx, passphrase, phc); !ok || !rehash || err != nil {
		t.Errorf("other parameters ask for a rehash: %v, %v, %v", ok, rehash, err)
	}
	if ok, rehash, _ := dearer.Verify(ctx, "wrong", phc); ok || rehash {
		t.Error("a wrong password asks for nothing")
	}
}

// The reference implementation's own test: argon2id, 2 passes, 64 MiB, "somesalt".
func TestArgon2idReferenceVector(t *testing.T) {
	h := secret.NewHasher(secret.HasherOptions{})
	ok, rehash, err := h.Verify(context.Background(), "password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if !ok || !rehash || err != nil {
		t.Errorf("%v, %v, %v", ok, rehash, err)
	}
}

func TestPasswordsAreComparedInOneSpelling(t *testing.T) {
	ctx := context.Background()
	h := secret.NewHasher(secret.HasherOptions{Params: cheap()})
	phc, err := h.Hash(ctx, "Ångström\u00a0weiß ich")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := h.Verify(ctx, "A\u030angstro\u0308m weiß ich", phc); !ok || err != nil {
		t.Errorf("another keyboard's spelling is the same password: %v", err)
	}
	if ok, _, _ := h.Verify(ctx, "ångström weiß ich", phc); ok {
		t.Error("case matters")
	}
}

// A password of a megabyte would keep the slow hashes busy: it is answered.
func TestPasswordsThatCannotBeHashed(t *testing.T) {
	ctx := context.Background()
	h := secret.NewHasher(secret.HasherOptions{Params: cheap()})
	for _, password := range []string{"", strings.Repeat("x", secret.MaxPassword+1), "a\x00b", "line\nbreak", "\xff\xfe"} {
		var weak *secret.WeakPassword
		if phc, err := h.Hash(ctx, password); !errors.As(err, &weak) || phc != "" || weak.Reason == "" {
			t.Errorf("%.30q: %q, %v", password, phc, err)
		}
		if err := h.Unknown(ctx, password); err != nil {
			t.Errorf("an unknown name costs the same for every password: %v", err)
		}
	}
	if _, err := h.Hash(ctx, strings.Repeat("xy z", secret.MaxPassword/4)); err != nil {
		t.Errorf("the bound itself is allowed: %v", err)
	}
}

// Made with crypt(3) and hashlib, not with this package.
var foreignDigests = []struct{ kind, password, digest string }{
	{"bcrypt", passphrase, "$2b$05$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS"},
	{"bcrypt", passphrase, "$2a$06$......................6dg39QMdV9yPof6yJxQedCiaVkf.ine"},
	{"bcrypt", "pässwörd-日本", "$2y$05$abcdefghijklmnopqrstuuv7nmgFJ7pylCSRskRKzuYPP.6qF/kau"},
	{"sha512-crypt", passphrase, "$6$saltstring$qvPJY4PeugKzKQqyIJ0gRdJnpS0uaaiZ.X1SaheFedsK/yZPwlluTLS90fJPM41sD5JxCHKgGr1..qt5HqEY8."},
	{"sha512-crypt", passphrase, "$6$rounds=10000$saltstringsaltst$vYfRg0cvt6jqN.cdxF22BORftytx0YPFkovksVubXuGbzxqnymO6iA22anPhq1CcF20s8mxa6wCNxLd21.zwA."},
	{"scrypt", passphrase, "$scrypt$ln=14,r=8,p=1$c2l4dGVlbiBieXRlIHNsdA$+MlkscRfrlPlgdYQk55KaGvpWS4JwVxO/WRAZf4hBwg"},
	{"scrypt", passphrase, "$scrypt$ln=14,r=8,p=1$c2l4dGVlbiBieXRlIHNsdA$.MlkscRfrlPlgdYQk55KaGvpWS4JwVxO/WRAZf4hBwg"},
	{"pbkdf2-sha256", passphrase, "$pbkdf2-sha256$29000$c2l4dGVlbiBieXRlIHNsdA$JNhzAr3HOLBXZLhXvaaAnaKkqcBrpydrWM3wWFqRBH8"},
	{"pbkdf2-sha256", passphrase, "$pbkdf2-sha256$i=29000$c2l4dGVlbiBieXRlIHNsdA$JNhzAr3HOLBXZLhXvaaAnaKkqcBrpydrWM3wWFqRBH8"},
	{"pbkdf2-sha512", passphrase, "$pbkdf2-sha512$i=1000,l=64$c2l4dGVlbiBieXRlIHNsdA$3QMwrxLg4/X2UcnWiHG3oGtaw1Sr4coKsAAOWMiR/640yePfdIno4J23vNuKz9ZkADlvSFRe8oUd+qOpwSH1Ww"},
	{"django-pbkdf2-sha256", passphrase, "pbkdf2_sha256$12000$seasalt2ForYou$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM="},
	{"django-pbkdf2-sha1", passphrase, "pbkdf2_sha1$12000$seasalt2ForYou$99KFIsmyrYs9F2wBaxxANYkNqG8="},
	{"django-scrypt", passphrase, "scrypt$16384$seasalt2ForYou$8$1$BPIOPH7oIFnmkzmo0lpAuVkjgTMk1BjSxhWH7lsN1ZDg5ySxu4K0DEqx7qHkISkL17C6BfRsmLmF49a9XOGW2Q=="},
	{"django-bcrypt", passphrase, "bcrypt_sha256$$2b$05$abcdefghijklmnopqrstuuo5UaIBysJIH5CaMip.8XQbctZzHcXPa"},
	{"django-bcrypt", passphrase, "bcrypt$$2b$05$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS"},
	{"django-argon2", "password", "argon2$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
	{"sha1", passphrase, "{SHA}q/eq1kOINtvlJqojGr3i0O73TUI="},
	{"apr1", passphrase, "$apr1$8charslt$TxqCMW/wugr5AjSCvFj.M1"},
	{"apr1", "pässwörd-日本", "$apr1$ab$yCx9UFhOlYY9SyugMr.OH1"},
	{"apr1", "a", "$apr1$8charslt$2Bf/yKSMH3UNzGJdBWZQW/"},
}

func TestForeignHashesVerifyAndAskForARehash(t *testing.T) {
	ctx := context.Background()
	h := secret.NewHasher(secret.HasherOptions{Params: cheap()})
	for _, f := range foreignDigests {
		if kind := secret.Kind(f.digest); kind != f.kind {
			t.Errorf("%s: kind %q", f.digest, kind)
		}
		if ok, rehash, err := h.Verify(ctx, f.password, f.digest); !ok || !rehash || err != nil {
			t.Errorf("%s: %v, %v, %v", f.digest, ok, rehash, err)
		}
		for _, wrong := range []string{"", f.password + "x", f.password[1:], strings.ToUpper(f.password), f.password + "\x00", f.password + "\x00" + f.password, strings.Repeat(f.password, 100)} {
			if ok, rehash, err := h.Verify(ctx, wrong, f.digest); ok || rehash || err != nil {
				t.Errorf("%s verified %.40q: %v, %v", f.digest, wrong, rehash, err)
			}
		}
	}
}

// An imported account has the empty password; what cannot be a password here
// must not open it.
func TestTheEmptyPasswordOpensNothing(t *testing.T) {
	h := secret.NewHasher(secret.HasherOptions{Params: cheap()})
	const digest = "$2b$05$abcdefghijklmnopqrstuu0oImNDIy4flhldV9YqunRgBAePKmw7m" // of ""
	if err := secret.CheckDigest(digest); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", "\x00", "\x00\x00", "\xff", strings.Repeat("x", 2000)} {
		if ok, rehash, err := h.Verify(context.Background(), password, digest); ok || rehash || err != nil {
			t.Errorf("%.10q: %v, %v, %v", password, ok, rehash, err)
		}
	}
}

// bcrypt reads 72 bytes: whoever knows them gets in with any tail, as at home,
// but a mistyped tail must not be stored as the truth.
func TestBcryptsTailIsNotProved(t *testing.T) {
	ctx := context.Background()
	h := secret.NewHasher(secret.HasherOptions{Params: cheap()})
	const digest = "$2b$05$abcdefghijklmnopqrstuuGUnCqbfgs3htOkLrFduUjAyLBw1Rq/u" // of 80 a's
	for n, want := range map[int][2]bool{71: {false, false}, 72: {true, true}, 73: {true, false}, 80: {true, false}, 1024: {true, false}} {
		if ok, rehash, err := h.Verify(ctx, strings.Repeat("a", n), digest); ok != want[0] || rehash != want[1] || err != nil {
			t.Errorf("%d bytes: %v, %v, %v", n, ok, rehash, err)
		}
	}
}

// Somebody imports a digest that costs a day or 4 GiB to verify, or one in a
// format that is no protection. Nothing of it is computed.
func TestDigestsOutOfBoundsAreRefused(t *testing.T) {
	salt, hash := "c2l4dGVlbiBieXRlIHNsdA", "JNhzAr3HOLBXZLhXvaaAnaKkqcBrpydrWM3wWFqRBH8"
	crypt86 := strings.Repeat("a", 86)
	bad := []string{
		"", "$", "hunter2", "$plaintext$hunter2", "$0$hunter2", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g", "{SHA}W6ph5Mm5Pz8=", "{SHA}", "$apr1$saltsalts$TxqCMW/wugr5AjSCvFj.M1", "$apr1$s:lt$TxqCMW/wugr5AjSCvFj.M1", "argon2$argon2i$v=19$m=512,t=2,p=2$" + salt + "$" + hash, "argon2$$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + hash, "bcrypt$$2x$05$" + strings.Repeat("a", 53), "scrypt$16383$seasalt2ForYou$8$1$" + hash + "=", "scrypt$1048576$seasalt2ForYou$8$1$" + hash + "=", "{SSHA}x", "{PLAIN}x", "$apr1$salt$hash", "$1$salt$hash", "$5$saltstring$" + strings.Repeat("a", 43),
		"$md5$x", "$sha1$1$salt$hash", "md5$salt$hash", "sha1$salt$hash", "bcrypt_sha256$$2b$12$x", "$bcrypt-sha256$v=2,t=2b,r=12$x$y", "$2$05$" + strings.Repeat("a", 53), "$2x$05$" + strings.Repeat("a", 53),
		"$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + hash, "$argon2d$v=19$m=64,t=1,p=1$" + salt + "$" + hash, "$argon2id$m=64,t=1,p=1$" + salt + "$" + hash, "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + hash,
		"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$", "$argon2id$v=19$m=64,t=1,p=1$$" + hash, "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + hash + "=", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + hash + "$", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AAAA",
		"$2b$05$short", "$2b$05$" + strings.Repeat("a", 52), "$2b$05$" + strings.Repeat("a", 54), "$2b$05$" + strings.Repeat("!", 53), "$2b$5$" + strings.Repeat("a", 54),
		"$scrypt$ln=14,r=8$" + salt + "$" + hash, "$scrypt$16384$8$1$" + salt + "$" + hash, "$scrypt$ln=14,r=8,p=1$" + salt + "$" + hash + "$x",
		"$pbkdf2$29000$" + salt + "$" + hash, "$pbkdf2-md5$29000$" + salt + "$" + hash, "$pbkdf2-sha256$29000$" + salt, "$pbkdf2-sha256$29000$" + salt + "$" + strings.Repeat("A", 80), "$pbkdf2-sha256$i=29000,l=31$" + salt + "$" + hash,
		"pbkdf2_sha1$12000$seasalt2ForYou$VNdX", "pbkdf2_sha256$12000$seasalt2ForYou$VNdX", "pbkdf2_sha256$12000$$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM=",
		"$6$salt$short", "$6$" + strings.Repeat("s", 17) + "$" + crypt86, "$6$$" + crypt86, "$6$rounds=5000$salt", "$6$round=5000$salt$" + crypt86, "$6$s:lt$" + crypt86,
		foreignDigests[0].digest + "\n", " " + foreignDigests[0].digest, foreignDigests[0].digest + "\x00", "$6$salt$" + strings.Repeat("a", 1<<20),
	}
	for _, c := range []struct{ format, values string }{
		{"$argon2id$v=19$%s$" + salt + "$" + hash, "m=4194304,t=1,p=1 m=262145,t=1,p=1 m=7,t=1,p=1 m=15,t=1,p=2 m=64,t=0,p=1 m=64,t=11,p=1 m=128,t=1,p=9 m=64,t=1,p=0 m=64,t=1,p=256 m=064,t=1,p=1 m=+64,t=1,p=1 m=64,p=1,t=1 m=64,t=1 m=64,t=1,p=1,x=1 m=99999999999999999999,t=1,p=1 m=64,t=1,p=1,keyid=x"},
		{"$2b$%s$" + strings.Repeat("a", 53), "00 01 03 16 31 99 -4 1x"},
		{"$scrypt$%s$" + salt + "$" + hash, "ln=9,r=8,p=1 ln=18,r=8,p=1 ln=17,r=8,p=2 ln=63,r=1,p=1 ln=64,r=1,p=1 ln=20,r=2,p=1 ln=10,r=65,p=1 ln=10,r=1,p=65 ln=10,r=0,p=1 ln=10,r=1,p=0 ln=10,r=1073741824,p=1"},
		{"$pbkdf2-sha256$%s$" + salt + "$" + hash, "0 1 999 2000001 4294967296 -1 1e6 i= ,l=32"},
		{"pbkdf2_sha256$%s$seasalt2ForYou$VNdX9QXABUN0yU2u964icF4sZX2GWdz+A55919AY2uM=", "0 999 2000001 x"},
		{"$6$rounds=%s$salt$" + crypt86, "0 999 500001 999999999 05000 x"},
	} {
		for _, value := range strings.Fields(c.values) {
			bad = append(bad, fmt.Sprintf(c.format, value))
		}
	}
	h := secret.NewHasher(secret.HasherOptions{Params: cheap()})
	for _, digest := range bad {
		err := secret.CheckDigest(digest)
		if !errors.Is(err, secret.ErrDigest) {
			t.Errorf("%.80q: %v", digest, err)
			continue
		}
		if strings.Contains(err.Error(), hash) || strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 300 {
			t.Errorf("the error shows the hash: %v", err)
		}
		if ok, rehash, err := h.Verify(context.Background(), "hunter2", digest); ok || rehash || !errors.Is(err, secret.ErrDigest) {
			t.Errorf("%.80q: %v, %v, %v", digest, ok, rehash, err)
		}
	}
	for _, good := range []string{
		"$argon2id$v=19$m=262144,t=10,p=8$" + salt + "$" + hash, "$2b$15$" + strings.Repeat("a", 53), "$2y$04$" + strings.Repeat("a", 53), "$scrypt$ln=17,r=8,p=1$" + salt + "$" + hash,
		"$pbkdf2-sha256$2000000$" + salt + "$" + hash, "$6$rounds=500000$salt$" + crypt86,
	} {
		if err := secret.CheckDigest(good); err != nil {
			t.Errorf("the bound itself is allowed: %s: %v", good, err)
		}
	}
}

func TestHashParamsHaveBounds(t *testing.T) {
	for _, p := range []secret.HashParams{{}, secret.DefaultHashParams(), cheap(), {MemoryKiB: 256 * 1024, Time: 10, Threads: 8}} {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, p := range []secret.HashParams{{MemoryKiB: 4 << 20}, {MemoryKiB: 7}, {Time: 11}, {Threads: 9}, {MemoryKiB: 8, Threads: 2}} {
		if p.Validate() == nil {
			t.Errorf("%+v is valid", p)
		}
	}
	h := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 1, Time: 1, Threads: 200}})
	if phc, err := h.Hash(context.Background(), passphrase); err != nil || secret.CheckDigest(phc) != nil {
		t.Errorf("what a hasher writes it can read: %s, %v", phc, err)
	}
}

func TestTheFloorIsMeasured(t *testing.T) {
	ctx := context.Background()
	h := secret.NewHasher(secret.HasherOptions{Params: cheap()})
	if h.Floor(true) != 0 {
		t.Error("nothing is measured yet")
	}
	native := h.Measure(ctx)
	if native <= 0 || h.Floor(false) != native+native/2 || h.Floor(true) != h.Floor(false) {
		t.Errorf("native %v, floor %v", native, h.Floor(false))
	}
	cost, err := h.MeasureForeign(ctx, "$pbkdf2-sha256$200000$c2l4dGVlbiBieXRlIHNsdA$JNhzAr3HOLBXZLhXvaaAnaKkqcBrpydrWM3wWFqRBH8")
	if err != nil || h.Floor(true) < cost+cost/2 || h.Floor(false) != native+native/2 {
		t.Errorf("foreign %v, floor %v, %v", cost, h.Floor(true), err)
	}
	before := h.Floor(true)
	if _, err := h.MeasureForeign(ctx, "$pbkdf2-sha256$1000$c2l4dGVlbiBieXRlIHNsdA$JNhzAr3HOLBXZLhXvaaAnaKkqcBrpydrWM3wWFqRBH8"); err != nil || h.Floor(true) != before {
		t.Errorf("a cheaper format does not lower the floor: %v", err)
	}
	if _, err := h.MeasureForeign(ctx, "$plaintext$x"); !errors.Is(err, secret.ErrDigest) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if h.Measure(ended) != 0 {
		t.Error("a measure that was cut short is none")
	}
}

// A flood of logins must leave memory and cores, and answer those it cannot serve.
func TestAFloodIsAnsweredAndServed(t *testing.T) {
	h := secret.NewHasher(secret.HasherOptions{Params: secret.HashParams{MemoryKiB: 1024, Time: 1, Threads: 1}, Slots: 2, Queue: 10, MaxWait: time.Minute})
	phc, err := h.Hash(context.Background(), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	results := make(chan error, 200)
	for range cap(results) {
		wg.Go(func() {
			ok, _, err := h.Verify(context.Background(), passphrase, phc)
			if err == nil && !ok {
				err = errors.New("the right password was wrong")
			}
			results <- err
		})
	}
	wg.Wait()
	close(results)
	good, busy := 0, 0
	for err := range results {
		var b *secret.Busy
		switch {
		case err == nil:
			good++
		case errors.As(err, &b) && b.RetryAfter >= time.Second:
			busy++
		default:
			t.Fatal(err)
		}
	}
	if good < 2 || good+busy != 200 {
		t.Errorf("%d served, %d busy", good, busy)
	}
	if ok, _, err := h.Verify(context.Background(), passphrase, phc); !ok || err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

func FuzzCheckDigest(f *testing.F) {
	for _, d := range foreignDigests {
		f.Add(d.digest)
	}
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$6$rounds=5000$salt$")
	f.Add("$2b$05$")
	f.Add("pbkdf2_sha256$$$")
	f.Fuzz(func(t *testing.T, digest string) {
		err := secret.CheckDigest(digest)
		if err == nil && secret.Kind(digest) == "" || err != nil && !errors.Is(err, secret.ErrDigest) {
			t.Fatalf("%q: %v", digest, err)
		}
	})
}

func BenchmarkVerifyDefault(b *testing.B) {
	h := secret.NewHasher(secret.HasherOptions{})
	phc, err := h.Hash(context.Background(), passphrase)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, _, err := h.Verify(context.Background(), passphrase, phc); !ok || err != nil {
			b.Fatal(err)
		}
	}
}
