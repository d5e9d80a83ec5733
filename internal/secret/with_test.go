package secret_test

import (
	"context"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// Attack: while somebody floods the login, the operator reloads with other costs.
// Gained before: no slot was free to measure them, and a floor of nothing told by
// its time which names exist.
func TestWithHasAFloorBeforeItIsMeasured(t *testing.T) {
	h := secret.NewHasher(secret.HasherOptions{Slots: 1, Queue: -1, Params: secret.HashParams{MemoryKiB: 1024, Time: 1}})
	if h.Measure(context.Background()) == 0 || !h.Measured() {
		t.Fatal("not measured")
	}
	same := h.With(secret.HashParams{MemoryKiB: 1024, Time: 1})
	if !same.Measured() || same.Floor(false) != h.Floor(false) {
		t.Errorf("the same costs: %v, want %v", same.Floor(false), h.Floor(false))
	}
	dearer := h.With(secret.HashParams{MemoryKiB: 4096, Time: 2})
	if dearer.Measured() {
		t.Error("an estimate counts as measured")
	}
	if low := 7 * h.Floor(false); dearer.Floor(false) < low {
		t.Errorf("eight times the work has a floor of %v, want about 8 times %v", dearer.Floor(false), h.Floor(false))
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if dearer.Measure(ended) != 0 || dearer.Floor(false) == 0 {
		t.Error("a measuring that found no slot took the floor away")
	}
	if running, most, waiting := dearer.Load(); most != 1 || running != 0 || waiting != 0 {
		t.Errorf("other costs have other slots: %d of %d, %d wait", running, most, waiting)
	}
}
