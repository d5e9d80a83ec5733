package api

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ImportService is a service that comes from elsewhere with its seed. Its fields have
// no bounds in the description, as those of ImportUser.
type ImportService struct {
	Realm       string `json:"realm"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Owner       string `json:"owner,omitempty" doc:"Who registered it."`
	Trusted     bool   `json:"trusted,omitempty" doc:"An older system let it ask about tokens of others."`
	Disabled    *bool  `json:"disabled,omitempty"`
	Seed        string `json:"seed" doc:"Base32, 80 bits or more."`
	Digits      int    `json:"digits,omitempty" doc:"6 or 8; default: the realm's."`
	Period      int    `json:"period,omitempty" doc:"Seconds of a token; default: the realm's."`
	Algorithm   string `json:"algorithm,omitempty" doc:"SHA1, SHA256 or SHA512; default: the realm's."`
	Via         string `json:"via,omitempty" doc:"ungleich: a new one counts as created through that facade, which then reaches it where it reaches no others."`
}

// importServicesInput is a batch. 200 services are some 1,000 records.
type importServicesInput struct {
	Body struct {
		Services []ImportService `json:"services" minItems:"1" maxItems:"200" nullable:"false"`
		DryRun   bool            `json:"dry_run,omitempty" doc:"Do all of it, answer, and keep nothing."`
		Update   bool            `json:"update,omitempty" doc:"Give services that exist the description and state that are named, but no seed."`
	}
}

// arrival is a service of an import between its steps.
type arrival struct {
	account.NewService
	in      *ImportService
	refused *ImportResult
}

// importServices makes services from elsewhere, each with its seed or not at all.
// Whichever is refused keeps no other out. No seed is shown.
func (a *API) importServices(ctx context.Context, c *caller, in *importServicesInput) (*importOutput, error) {
	services := make([]arrival, len(in.Body.Services))
	for i := range services {
		services[i] = arrived(&in.Body.Services[i])
	}
	out := &importOutput{}
	var err error
	out.Body.Results, err = a.importAll(ctx, in.Body.DryRun, len(services), func(tx store.Tx, i int) (ImportResult, error) {
		return a.importService(tx, c, services[i], in.Body.Update)
	})
	return out, err
}

// arrived reads one service, and refuses what needs no store.
func arrived(in *ImportService) arrival {
	n := arrival{in: in, NewService: account.NewService{
		Ref: principal.Ref{Name: in.Name, Realm: in.Realm}, Description: in.Description, Owner: in.Owner, Trusted: in.Trusted, Via: in.Via,
	}}
	var err error
	if n.Ref.Realm, err = principal.CanonicalRealm(n.Ref.Realm); err != nil {
		n.refused = invalidRealm()
		return n
	}
	if n.Seed, err = otp.ParseSeed(in.Seed); err != nil {
		n.refused = refusedWith("seed", err.Error())
	}
	return n
}

// importService makes one service. An error is a failure and ends the whole batch.
func (a *API) importService(tx store.Tx, c *caller, n arrival, update bool) (ImportResult, error) {
	if err := a.oldRealm(tx, c, &n); err != nil {
		return refusedFor(err)
	}
	if err := a.nameOne(tx, &n.Ref, &n.refused); err != nil {
		return ImportResult{}, err
	}
	if n.refused != nil {
		return *n.refused, nil
	}
	params, err := a.params(tx, n.Ref.Realm, n.in.Digits, n.in.Period, n.in.Algorithm)
	if err != nil {
		return refusedFor(err)
	}
	n.Params = params
	_, outcome, err := a.Directory.ImportService(tx, c.actor(), n.NewService, n.in.Disabled, update)
	switch {
	case err != nil:
		return refusedFor(err)
	case outcome == account.Updated:
		return ImportResult{Status: "updated"}, nil
	case outcome == account.Existed:
		return ImportResult{Status: "exists"}, nil
	}
	return ImportResult{Status: "created"}, nil
}

// oldRealm makes the missing realm of a service that comes from ungleich-otp as the
// facade makes it: there names are what they are written like.
func (a *API) oldRealm(tx store.Tx, c *caller, n *arrival) error {
	if n.refused != nil || n.Via != account.ViaUngleich {
		return nil
	}
	if _, err := a.Directory.Stored(tx, n.Ref.Realm); !errors.Is(err, account.ErrUnknownRealm) {
		return err
	}
	if name, err := principal.ExactName(n.Ref.Name); err != nil || !principal.InPath(name) {
		return nil // it is refused, and no realm is made for it
	}
	_, err := a.Directory.SetRealm(tx, c.actor(), n.Ref.Realm, account.Settings{Names: account.NamesExact}, nil, 0)
	return err
}
