package ungleich

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/login"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/web/compat/drf"
)

// maxEntries bounds a list: the original does not page.
const maxEntries = 100_000

// entry is a service as the ages C and D show it.
type entry struct {
	Name  string `json:"name"`
	Realm string `json:"realm"`
	Seed  string `json:"seed"`
}

// entryOf shows a service, without its seed unless show is true.
func entryOf(s *account.Service, show bool) entry {
	e := entry{Name: s.Name, Realm: s.Realm}
	if show {
		e.Seed = otp.FormatSeed(s.Newest().Secret)
	}
	return e
}

// late reports whether a call is of age D, in which name, realm and token are those
// of the subject.
func (c *call) late() bool {
	return c.fields.has("auth_name") || c.fields.has("auth_realm") || c.fields.has("auth_token")
}

// authenticate says who makes a call of the ages C and D. A field that is missing or
// cannot be is a wrong credential.
func (f *Facade) authenticate(c *call) (*account.Identity, error) {
	prefix := ""
	if c.late() {
		prefix = "auth_"
	}
	named, wrong := c.fields.chars(prefix+"name", prefix+"realm")
	if len(wrong) > 0 {
		return nil, login.ErrDenied // nobody was named, so nobody's tries are counted
	}
	token, errs := c.fields.char(prefix + "token")
	if len(errs) > 0 {
		token = ""
	}
	return f.prove(c, named[0], named[1], token)
}

// admitted is authenticate with a capability.
func (f *Facade) admitted(c *call, capability account.Capability) (*account.Identity, error) {
	who, err := f.authenticate(c)
	if err == nil {
		err = f.permit(c, who, capability)
	}
	return who, err
}

// verifyEntry is POST /ungleichotp/verify/.
func (f *Facade) verifyEntry(c *call) (int, any, error) {
	who, err := f.admitted(c, account.Authenticate)
	if err != nil {
		return 0, nil, err
	}
	names := []string{"verifyname", "verifyrealm", "verifytoken"}
	if c.late() {
		names = []string{"name", "realm", "token"}
	}
	about, wrong := c.fields.chars(names...)
	if len(wrong) > 0 {
		return 0, nil, invalid(wrong)
	}
	good, err := f.ask(c, who, subject{about[0], about[1], about[2]}, nil)
	if err == nil && !good {
		err = login.ErrDenied
	}
	return http.StatusOK, verdict{Status: "OK"}, err
}

// listEntries is GET /ungleichotp/: all services that the facade reaches.
func (f *Facade) listEntries(c *call) (int, any, error) {
	who, err := f.admitted(c, account.List)
	if err != nil {
		return 0, nil, err
	}
	actor := f.actor(c, who, f.capabilities(who.Realm))
	var all []*account.Service
	err = f.rooms.Store.View(c.Context(), func(tx store.Tx) error {
		all = nil
		if _, err := f.still(tx, who); err != nil {
			return err
		}
		realms, err := f.rooms.Directory.Realms(tx)
		for i := range realms {
			if err == nil && len(all) < maxEntries {
				err = f.each(tx, actor, realms[i], func(s *account.Service) bool {
					all = append(all, s)
					return len(all) < maxEntries
				})
			}
		}
		return err
	})
	if err == nil && f.showSeeds { // one line for all of them
		f.rooms.Shown(facadeName, "seeds", principal.ID{}, principal.Ref{Name: "*", Realm: "*"}, c.client.Addr, nameOf(who))
	}
	list := make([]entry, len(all))
	for i, s := range f.inOrder(all) {
		list[i] = entryOf(s, f.showSeeds)
	}
	return http.StatusOK, list, err
}

// inOrder sorts services by the time of their making, as the original's tables are.
func (f *Facade) inOrder(all []*account.Service) []*account.Service {
	if len(all) == maxEntries {
		f.log.Warn("compat.ungleich: a list was cut off, because the original's clients know no pages", "entries", maxEntries)
	}
	slices.SortFunc(all, func(a, b *account.Service) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

// each calls fn for the services of a realm that the facade reaches, until it says no.
func (f *Facade) each(tx store.Tx, actor account.Actor, realm account.Realm, fn func(*account.Service) bool) error {
	for cursor := ""; ; {
		page, next, err := f.rooms.Directory.Services(tx, realm.Name, "", cursor, account.MaxList)
		if err != nil {
			return err
		}
		for i := range page {
			if len(realm.Grants) > 0 || f.shut(realm.Name) { // elsewhere it reaches all, and each question is a look at the store
				err := f.rooms.Directory.Reaches(tx, actor, &page[i])
				if errors.Is(err, account.ErrForbidden) {
					continue
				}
				if err != nil {
					return err
				}
			}
			if !fn(&page[i]) {
				return nil
			}
		}
		if next == "" {
			return nil
		}
		cursor = next
	}
}

// createEntry is POST /ungleichotp/. In age C name and realm are the caller's own,
// which exist: nothing can be created there.
func (f *Facade) createEntry(c *call) (int, any, error) {
	who, err := f.admitted(c, account.Create)
	if err != nil {
		return 0, nil, err
	}
	named, wrong := c.fields.chars("name", "realm")
	if len(wrong) > 0 {
		return 0, nil, invalid(wrong)
	}
	actor := f.actor(c, who, f.capabilities(who.Realm))
	var made entry
	err = f.rooms.Store.Update(c.Context(), func(tx store.Tx) error {
		if _, err := f.still(tx, who); err != nil {
			return err
		}
		if err := f.makeRealm(tx, actor, named[1]); err != nil {
			return err
		}
		s, err := f.rooms.Directory.CreateService(tx, actor, account.NewService{Ref: principal.Ref{Name: named[0], Realm: named[1]}})
		if err != nil {
			return ofFields(err)
		}
		made = entryOf(s, true)
		return nil
	})
	return http.StatusCreated, made, err
}

// ofFields says which field a name is refused for.
func ofFields(err error) error {
	if errors.Is(err, account.ErrInvalid) {
		return wrongField("name", err.Error())
	}
	return err
}

// makeRealm makes a missing realm, with names as the original has them. Errors: a
// refusal where the name can be no realm's; those of SetRealm.
func (f *Facade) makeRealm(tx store.Tx, actor account.Actor, name string) error {
	canonical, err := principal.CanonicalRealm(name)
	if err != nil {
		return wrongField("realm", err.Error())
	}
	if _, err = f.rooms.Directory.Stored(tx, canonical); errors.Is(err, account.ErrUnknownRealm) {
		_, err = f.rooms.Directory.SetRealm(tx, actor, canonical, account.Settings{Names: account.NamesExact}, nil, 0)
	}
	return err
}

// target finds the service that a path names by its number. What the facade does not
// reach is not there.
func (f *Facade) target(tx store.Tx, c *call, who *account.Identity, actor account.Actor) (*account.Service, error) {
	if _, err := f.still(tx, who); err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(c.param, 10, 64)
	if err != nil {
		return nil, account.ErrUnknownService
	}
	s, err := f.rooms.Directory.ServiceByNumber(tx, number)
	if err != nil {
		return nil, err
	}
	if err = f.rooms.Directory.Reaches(tx, actor, s); errors.Is(err, account.ErrForbidden) {
		return nil, account.ErrUnknownService
	}
	return s, err
}

// showEntry is GET /ungleichotp/{id}/.
func (f *Facade) showEntry(c *call) (int, any, error) {
	who, err := f.admitted(c, account.List)
	if err != nil {
		return 0, nil, err
	}
	actor := f.actor(c, who, f.capabilities(who.Realm))
	var shown entry
	err = f.rooms.Store.View(c.Context(), func(tx store.Tx) error {
		s, err := f.target(tx, c, who, actor)
		if err == nil {
			shown = entryOf(s, f.showSeeds)
		}
		return err
	})
	return http.StatusOK, shown, err
}

// renameEntry is PUT and PATCH /ungleichotp/{id}/. In age C name and realm are the
// caller's own, so that only its own entry can have them.
func (f *Facade) renameEntry(c *call) (int, any, error) {
	who, err := f.admitted(c, account.Update)
	if err != nil {
		return 0, nil, err
	}
	actor := f.actor(c, who, f.capabilities(who.Realm))
	var shown entry
	err = f.rooms.Store.Update(c.Context(), func(tx store.Tx) error {
		s, err := f.target(tx, c, who, actor)
		if err != nil {
			return err
		}
		to, err := c.renamed(s.Ref())
		if err != nil {
			return err
		}
		if err := f.makeRealm(tx, actor, to.Realm); err != nil {
			return err
		}
		if s, err = f.rooms.Directory.RenameService(tx, actor, s.Ref(), to); err != nil {
			return ofFields(err)
		}
		shown = entryOf(s, f.showSeeds)
		return nil
	})
	return http.StatusOK, shown, err
}

// renamed is the name that a body gives to a service. PATCH may leave parts out.
func (c *call) renamed(to principal.Ref) (principal.Ref, error) {
	var wrong drf.FieldErrors
	for _, part := range []struct {
		name string
		text *string
	}{{"name", &to.Name}, {"realm", &to.Realm}} {
		if c.Method == http.MethodPatch && !c.fields.has(part.name) {
			continue
		}
		text, errs := c.fields.char(part.name)
		if len(errs) > 0 {
			wrong = append(wrong, drf.FieldError{Field: part.name, Texts: errs})
		}
		*part.text = text
	}
	if len(wrong) > 0 {
		return to, invalid(wrong)
	}
	return to, nil
}

// deleteEntry is DELETE /ungleichotp/{id}/.
func (f *Facade) deleteEntry(c *call) (int, any, error) {
	who, err := f.admitted(c, account.Delete)
	if err != nil {
		return 0, nil, err
	}
	actor := f.actor(c, who, f.capabilities(who.Realm))
	err = f.rooms.Store.Update(c.Context(), func(tx store.Tx) error {
		s, err := f.target(tx, c, who, actor)
		if err != nil {
			return err
		}
		return f.rooms.Directory.DeleteService(tx, actor, s.Ref())
	})
	return http.StatusNoContent, nil, err
}
