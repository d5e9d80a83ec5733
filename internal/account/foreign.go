package account

import (
	"errors"
	"maps"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// foreignHashes is the one record of which foreign password hashes came in: per
// format a digest of the dearest cost that was seen, which is nobody's.
type foreignHashes struct {
	store.Meta
	Kinds map[string]foreignHash `json:"kinds"`
}

type foreignHash struct {
	Sample string `json:"sample"`
	Cost   uint64 `json:"cost"`
}

func foreignKey() store.Key { return store.K(store.PrefixAccount, keyForeign) }

// ForeignKey is the key of the record that says which foreign password hashes came
// in, for Watch: whoever measures them measures again.
func ForeignKey() []byte { return foreignKey() }

func loadForeign(tx store.Tx) (*foreignHashes, error) {
	f, err := store.Load[foreignHashes](tx, foreignKey())
	if errors.Is(err, store.ErrNotFound) {
		return &foreignHashes{}, nil
	}
	return f, err
}

// noteForeign remembers the cost of a password's hash that is not of our own
// making, or dearer than what we make by default. It is read by Get, and written only where a dearer one comes.
func noteForeign(tx store.Tx, hash string) error {
	kind := secret.Kind(hash)
	if kind == "" {
		return nil
	}
	sample, cost, err := secret.Sample(hash)
	if kind == "argon2id" && errors.Is(err, secret.ErrDigest) {
		return nil // ours, or no dearer
	}
	if err != nil {
		return err
	}
	f, err := loadForeign(tx)
	if err != nil || f.Kinds[kind].Cost >= cost {
		return err
	}
	if f.Kinds == nil {
		f.Kinds = map[string]foreignHash{}
	}
	f.Kinds[kind] = foreignHash{Sample: sample, Cost: cost}
	return store.Save(tx, foreignKey(), f, noExpiry)
}

// ForeignDigests returns a digest of each foreign format that ever came in, as
// dear as the dearest of its format, and nobody's. Whoever opens the doors has
// the Hasher measure each: otherwise a login of a person whose hash came from
// elsewhere takes longer than one of nobody, and tells who exists.
func (d *Directory) ForeignDigests(tx store.Tx) ([]string, error) {
	f, err := loadForeign(tx)
	if err != nil {
		return nil, err
	}
	var digests []string
	for _, kind := range slices.Sorted(maps.Keys(f.Kinds)) {
		digests = append(digests, f.Kinds[kind].Sample)
	}
	return digests, nil
}
