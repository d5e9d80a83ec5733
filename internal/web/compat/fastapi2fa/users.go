package fastapi2fa

import (
	"cmp"
	_ "embed"
	"net/http"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// maxUsers is how many users the list shows.
const maxUsers = 100

//go:embed openapi.json
var openAPI []byte

// openAPI answers with the description of all calls.
func (x *exchange) openAPI() error {
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write(openAPI)
	return nil
}

// users lists the first users of the realm, the oldest first.
func (x *exchange) users() error {
	var users []account.User
	err := x.o.Store.View(x.r.Context(), func(tx store.Tx) (err error) {
		users, _, err = x.o.Directory.List(tx, x.o.Realm, "", "", account.MaxList)
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(users, func(a, b account.User) int { return cmp.Compare(a.Number, b.Number) })
	shown := []userOut{}
	for _, u := range users[:min(len(users), maxUsers)] {
		shown = append(shown, shownUser(&u))
	}
	x.json(http.StatusOK, shown)
	return nil
}
