package secret_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// A sample takes as long as the digest it is made of, and tells nothing of it:
// two people's digests of one cost have one sample.
func TestSampleIsNobodys(t *testing.T) {
	h := secret.NewHasher(secret.HasherOptions{})
	for _, d := range foreignDigests {
		sample, cost, err := secret.Sample(d.digest)
		if err != nil || cost == 0 {
			t.Errorf("%s: %v, cost %d", d.kind, err, cost)
			continue
		}
		if secret.Kind(sample) != d.kind || secret.CheckDigest(sample) != nil || sample == d.digest || len(sample) != len(d.digest) {
			t.Errorf("%s became %s", d.digest, sample)
		}
		if again, same, err := secret.Sample(sample); again != sample || same != cost || err != nil {
			t.Errorf("%s: the sample of a sample is %s at %d: %v", d.kind, again, same, err)
		}
		if ok, _, err := h.Verify(t.Context(), d.password, sample); ok || err != nil {
			t.Errorf("%s: the sample takes the password: %v", d.kind, err)
		}
	}
	cost := func(digest string) uint64 {
		_, cost, err := secret.Sample(digest)
		if err != nil {
			t.Error(err)
		}
		return cost
	}
	if cost("$6$saltstring$qvPJY4PeugKzKQqyIJ0gRdJnpS0uaaiZ.X1SaheFedsK/yZPwlluTLS90fJPM41sD5JxCHKgGr1..qt5HqEY8.") != 5000 {
		t.Error("rounds that are not written are 5000")
	}
	if cost("$2b$06$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS") != 2*cost("$2b$05$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS") {
		t.Error("one more in bcrypt's cost is twice the work")
	}
	const dear = "$argon2id$v=19$m=65536,t=3,p=4$c2l4dGVlbiBieXRlIHNsdA$JNhzAr3HOLBXZLhXvaaAnaKkqcBrpydrWM3wWFqRBH8"
	if sample, _, err := secret.Sample(dear); err != nil || !strings.HasPrefix(sample, "$argon2id$v=19$m=65536,t=3,p=4$AAAA") {
		t.Errorf("argon2id of somebody dearer: %s, %v", sample, err)
	}
	for _, none := range []string{"", "words", "$2b$05$short", "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlIHNsdA$JNhzAr3HOLBXZLhXvaaAnaKkqcBrpydrWM3wWFqRBH8"} {
		if _, _, err := secret.Sample(none); !errors.Is(err, secret.ErrDigest) {
			t.Errorf("a sample of %q: %v", none, err)
		}
	}
}
