package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/api"
)

// BenchmarkVerify is POST /verify of a good token that nobody has asked about, by
// a service with its own token, from 64 goroutines, on a store in memory: all that
// it costs the processor.
func BenchmarkVerify(b *testing.B) {
	w := newQuietWorld(b)
	must(b, w.store.Update(b.Context(), func(tx store.Tx) error {
		_, err := w.dir.SetRealm(tx, account.Local(), "robots", account.Settings{}, nil, 0)
		return err
	}))
	make := func(ref principal.Ref) []byte {
		var seed []byte
		must(b, w.store.Update(b.Context(), func(tx store.Tx) error {
			s, err := w.dir.CreateService(tx, account.Local(), account.NewService{Ref: ref})
			if err == nil {
				seed = s.Seeds[0].Secret
			}
			return err
		}))
		return seed
	}
	token := func(seed []byte) string {
		p := otp.Default()
		text, err := p.Code(seed, p.Step(w.clock.Now()))
		must(b, err)
		return text
	}
	authorization := basic("checker@auth", token(make(principal.Ref{Name: "checker", Realm: "auth"})))
	bodies := [][]byte{}
	for i := range b.N {
		ref := principal.Ref{Name: fmt.Sprintf("s%d", i), Realm: "robots"}
		text, err := json.Marshal(map[string]string{"name": ref.Name, "realm": ref.Realm, "token": token(make(ref))})
		must(b, err)
		bodies = append(bodies, text)
	}
	var next atomic.Int64
	b.SetParallelism(64)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequest("POST", "https://auth.example.com"+api.Prefix+"/verify", bytes.NewReader(bodies[next.Add(1)-1]))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", authorization)
			rec := httptest.NewRecorder()
			w.api.ServeHTTP(rec, r)
			if !bytes.Contains(rec.Body.Bytes(), []byte(`"OK"`)) {
				b.Error(rec.Body.String())
				return
			}
		}
	})
}
