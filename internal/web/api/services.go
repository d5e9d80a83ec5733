package api

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// Service is a program's record: no seed.
type Service struct {
	ID           string     `json:"id"`
	Number       uint64     `json:"number"`
	Realm        string     `json:"realm"`
	Name         string     `json:"name"`
	Description  string     `json:"description"`
	Disabled     bool       `json:"disabled"`
	Use          string     `json:"use" enum:"both,caller,subject" doc:"both; caller: it calls, and POST /verify says FAIL of its tokens; subject: its tokens are asked about and open nothing."`
	AllowFrom    []string   `json:"allow_from" nullable:"false" doc:"Networks that it may call from; none: all."`
	Algorithm    string     `json:"algorithm" enum:"SHA1,SHA256,SHA512"`
	Digits       int        `json:"digits" enum:"6,8"`
	Period       int        `json:"period" doc:"Seconds of a token."`
	Owner        string     `json:"owner,omitempty" doc:"Whose program it is, where it is an application of compat.ungleich: a text, no user."`
	Trusted      bool       `json:"trusted,omitempty" doc:"Whether such an application may ask about others."`
	CreatedAt    time.Time  `json:"created_at"`
	RotatedAt    *time.Time `json:"rotated_at,omitempty"`
	OldSeedUntil *time.Time `json:"old_seed_until,omitempty" doc:"During an overlap: until when the seed before works too."`
	LastSeenAt   *time.Time `json:"last_seen_at,omitempty" doc:"When it last proved itself, to a minute."`
}

func (a *API) serviceOf(tx store.Tx, s *account.Service) (Service, error) {
	state, err := a.Directory.ServiceState(tx, s.ID)
	if err != nil {
		return Service{}, err
	}
	use := string(s.Use)
	if s.Use == account.UseBoth {
		use = "both"
	}
	newest := s.Newest()
	out := Service{
		ID: s.ID.String(), Number: s.Number, Realm: s.Realm, Name: s.Name, Description: s.Description, Disabled: s.Disabled, Use: use,
		AllowFrom: networks(s.AllowFrom), Algorithm: string(newest.Params.Algorithm), Digits: newest.Params.Digits, Period: newest.Params.Period,
		Owner: s.Owner, Trusted: s.Trusted,
		CreatedAt: s.CreatedAt, RotatedAt: moment(s.RotatedAt), LastSeenAt: moment(state.SeenAt),
	}
	if working := s.Working(tx.Now()); len(working) > 1 {
		out.OldSeedUntil = moment(working[1].Until)
	}
	return out, nil
}

func networks(prefixes []netip.Prefix) []string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	return texts
}

type listServicesInput struct {
	Realm  string `query:"realm" maxLength:"512" doc:"Only services of this realm."`
	Q      string `query:"q" maxLength:"512" doc:"Only services whose name begins so."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" doc:"Services in an answer; default 50."`
	Cursor string `query:"cursor" maxLength:"2048" doc:"next_cursor of the answer before."`
}

// ServiceList is one page.
type ServiceList struct {
	Services   []Service `json:"services" nullable:"false"`
	NextCursor string    `json:"next_cursor,omitempty" doc:"Missing at the end."`
}

type serviceListOutput struct {
	Body ServiceList
}

func (a *API) listServices(ctx context.Context, c *caller, in *listServicesInput) (*serviceListOutput, error) {
	realm, err := realmFilter(in.Realm)
	if err != nil {
		return nil, err
	}
	out := &serviceListOutput{}
	err = a.Store.View(ctx, func(tx store.Tx) error {
		out.Body = ServiceList{Services: []Service{}}
		if err := a.mayOver(tx, c, account.List, realm); err != nil {
			return err
		}
		services, next, err := a.Directory.Services(tx, realm, in.Q, in.Cursor, limitOr(in.Limit))
		if err != nil {
			return err
		}
		for i := range services {
			shown, err := a.serviceOf(tx, &services[i])
			if err != nil {
				return err
			}
			out.Body.Services = append(out.Body.Services, shown)
		}
		out.Body.NextCursor = next
		return nil
	})
	return out, err
}

type createServiceInput struct {
	Body struct {
		Realm       string   `json:"realm" maxLength:"512"`
		Name        string   `json:"name" maxLength:"512"`
		Description string   `json:"description,omitempty" maxLength:"512"`
		Seed        string   `json:"seed,omitempty" maxLength:"512" doc:"A seed from elsewhere in base32, 80 bits or more; left out: a new one."`
		SeedBytes   int      `json:"seed_bytes,omitempty" minimum:"20" maximum:"128" doc:"Length of a new seed; default 20."`
		Digits      int      `json:"digits,omitempty" enum:"6,8"`
		Period      int      `json:"period,omitempty" minimum:"15" maximum:"300" doc:"Seconds of a token."`
		Algorithm   string   `json:"algorithm,omitempty" enum:"SHA1,SHA256,SHA512"`
		Use         string   `json:"use,omitempty" enum:"both,caller,subject"`
		AllowFrom   []string `json:"allow_from,omitempty" maxItems:"64"`
		Owner       string   `json:"owner,omitempty" maxLength:"512" doc:"Whose program it is, where it is an application of compat.ungleich."`
		Trusted     bool     `json:"trusted,omitempty" doc:"Whether such an application may ask about others."`
	}
}

// NewSeed is the seed of a service. It leaves this once.
type NewSeed struct {
	Realm        string     `json:"realm"`
	Name         string     `json:"name"`
	Seed         string     `json:"seed" doc:"Base32."`
	OTPAuthURI   string     `json:"otpauth_uri"`
	OldSeedUntil *time.Time `json:"old_seed_until,omitempty" doc:"After a rotation with an overlap: until when the seed before works too."`
}

type newSeedOutput struct {
	ETag string `header:"ETag"`
	Body NewSeed
}

// newSeed shows the newest seed of a service: in the answer that made it, never
// again.
func (a *API) newSeed(tx store.Tx, s *account.Service) *newSeedOutput {
	seed := s.Newest()
	out := &newSeedOutput{ETag: serviceTag(s)}
	out.Body = NewSeed{Realm: s.Realm, Name: s.Name, Seed: otp.FormatSeed(seed.Secret),
		OTPAuthURI: otp.URI(otp.Label{Issuer: a.Factors.Issuer(), Account: s.Ref().String()}.Clean(), seed.Secret, seed.Params)}
	if working := s.Working(tx.Now()); len(working) > 1 {
		out.Body.OldSeedUntil = moment(working[1].Until)
	}
	return out
}

func serviceTag(s *account.Service) string { return tag(s.Version, s.ID.String()) }

func (a *API) createService(ctx context.Context, c *caller, in *createServiceInput) (*newSeedOutput, error) {
	b := in.Body
	n := account.NewService{Description: b.Description, SeedSize: b.SeedBytes, Use: useOf(b.Use), AllowFrom: b.AllowFrom,
		Owner: b.Owner, Trusted: b.Trusted, MakeRealm: c.local}
	var err error
	if n.Ref, err = a.spelled(ctx, b.Name, b.Realm); err != nil {
		return nil, err
	}
	if n.Seed, err = seedFrom(b.Seed, b.SeedBytes); err != nil {
		return nil, err
	}
	may := func(tx store.Tx) error { return a.mayCreate(tx, c, n.Ref.Realm) }
	return once(ctx, a, c, may, func(tx store.Tx) (*newSeedOutput, error) {
		n := n
		params, err := a.params(tx, n.Ref.Realm, b.Digits, b.Period, b.Algorithm)
		if err != nil {
			return nil, err
		}
		n.Params = params
		s, err := a.Directory.CreateService(tx, c.actor(), n)
		if err != nil {
			return nil, err
		}
		return a.newSeed(tx, s), nil
	})
}

func useOf(text string) account.Use {
	if text == "both" {
		return account.UseBoth
	}
	return account.Use(text)
}

// seedFrom reads a seed from elsewhere; "" is none. The refusal never repeats it.
func seedFrom(text string, size int) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	if size != 0 {
		return nil, invalid("body.seed_bytes", "the length of a seed that is given is its own: leave it out")
	}
	seed, err := otp.ParseSeed(text)
	if err != nil {
		return nil, invalid("body.seed", err.Error())
	}
	return seed, nil
}

// params takes the realm's parameters where a body names none; nil: all of them.
func (a *API) params(tx store.Tx, realm string, digits, period int, algorithm string) (*otp.Params, error) {
	if digits == 0 && period == 0 && algorithm == "" {
		return nil, nil
	}
	r, err := a.Directory.RealmToBe(tx, realm)
	if err != nil {
		return nil, err
	}
	p := *r.OTP
	if digits != 0 {
		p.Digits = digits
	}
	if period != 0 {
		p.Period = period
	}
	if algorithm != "" {
		p.Algorithm = otp.Algorithm(algorithm)
	}
	if p.Usual() != nil {
		return nil, invalid("body", "digits, period or algorithm are out of range")
	}
	return &p, nil
}

type serviceOutput struct {
	ETag string `header:"ETag"`
	Body Service
}

func (a *API) serviceAnswer(tx store.Tx, s *account.Service) (*serviceOutput, error) {
	body, err := a.serviceOf(tx, s)
	return &serviceOutput{ETag: serviceTag(s), Body: body}, err
}

// serviceTarget finds the service of a path for a caller who may change it, and
// decides the caller's conditions.
func (a *API) serviceTarget(tx store.Tx, c *caller, capability account.Capability, ref principal.Ref) error {
	if err := a.mayOver(tx, c, capability, ref.Realm); err != nil {
		return err
	}
	s, err := a.Directory.ServiceByRef(tx, ref)
	if err != nil {
		return err
	}
	return c.holds(serviceTag(s))
}

func (a *API) showService(ctx context.Context, c *caller, in *ServicePath) (*serviceOutput, error) {
	ref, err := a.serviceRef(ctx, in)
	if err != nil {
		return nil, err
	}
	var out *serviceOutput
	err = a.Store.View(ctx, func(tx store.Tx) error {
		if err := a.mayOver(tx, c, account.List, ref.Realm); err != nil {
			return err
		}
		s, err := a.Directory.ServiceByRef(tx, ref)
		if err != nil {
			return err
		}
		out, err = a.serviceAnswer(tx, s)
		return err
	})
	return out, err
}

// ServicePath names a service in the path, in any spelling.
type ServicePath struct {
	Realm string `path:"realm" maxLength:"512" example:"robots"`
	Name  string `path:"name" maxLength:"512" example:"deploy"`
}

// serviceRef is the one spelling of a service's path. What cannot be a name is
// nobody's.
func (a *API) serviceRef(ctx context.Context, in *ServicePath) (principal.Ref, error) {
	ref, err := a.ref(ctx, (*UserPath)(in))
	if errors.Is(err, account.ErrUnknownUser) {
		return principal.Ref{}, account.ErrUnknownService
	}
	return ref, err
}

type changeServiceInput struct {
	ServicePath
	Body struct {
		Description *string   `json:"description,omitempty" maxLength:"512"`
		Use         *string   `json:"use,omitempty" enum:"both,caller,subject"`
		AllowFrom   *[]string `json:"allow_from,omitempty" maxItems:"64" doc:"Empty: everywhere."`
		Owner       *string   `json:"owner,omitempty" maxLength:"512" doc:"Empty: nobody."`
		Trusted     *bool     `json:"trusted,omitempty" doc:"Whether an application of compat.ungleich may ask about others."`
		Disabled    *bool     `json:"disabled,omitempty" doc:"true ends its access tokens and streams."`
	}
}

func (a *API) changeService(ctx context.Context, c *caller, in *changeServiceInput) (*serviceOutput, error) {
	ref, err := a.serviceRef(ctx, &in.ServicePath)
	if err != nil {
		return nil, err
	}
	change := account.ServiceChange{Description: in.Body.Description, AllowFrom: in.Body.AllowFrom,
		Owner: in.Body.Owner, Trusted: in.Body.Trusted, Disabled: in.Body.Disabled}
	if in.Body.Use != nil {
		use := useOf(*in.Body.Use)
		change.Use = &use
	}
	var out *serviceOutput
	err = a.Store.Update(ctx, func(tx store.Tx) error {
		if err := a.serviceTarget(tx, c, account.Update, ref); err != nil {
			return err
		}
		s, err := a.Directory.UpdateService(tx, c.actor(), ref, change)
		if err != nil {
			return err
		}
		if change.Disabled != nil && !*change.Disabled {
			if err := a.Throttle.Reset(tx, s.ID); err != nil {
				return err
			}
		}
		out, err = a.serviceAnswer(tx, s)
		return err
	})
	return out, err
}

type rotateInput struct {
	ServicePath
	Body *struct {
		Overlap   *int   `json:"overlap,omitempty" minimum:"0" maximum:"2592000" doc:"Seconds that the old seed works on; default 86400. 0: it ends now."`
		Seed      string `json:"seed,omitempty" maxLength:"512" doc:"A seed from elsewhere in base32; left out: a new one."`
		SeedBytes int    `json:"seed_bytes,omitempty" minimum:"20" maximum:"128" doc:"Length of a new seed; default 20."`
	}
}

func (a *API) rotateService(ctx context.Context, c *caller, in *rotateInput) (*newSeedOutput, error) {
	ref, err := a.serviceRef(ctx, &in.ServicePath)
	if err != nil {
		return nil, err
	}
	overlap, size, seed := account.DefaultOverlap, 0, []byte(nil)
	if b := in.Body; b != nil {
		if b.Overlap != nil {
			overlap = time.Duration(*b.Overlap) * time.Second
		}
		size = b.SeedBytes
		if seed, err = seedFrom(b.Seed, b.SeedBytes); err != nil {
			return nil, err
		}
	}
	may := func(tx store.Tx) error { // a service that is gone has no seed to be shown again
		if err := a.mayOver(tx, c, account.Update, ref.Realm); err != nil {
			return err
		}
		s, err := a.Directory.ServiceByRef(tx, ref)
		if err == nil {
			c.about(s.ID)
		}
		return err
	}
	return once(ctx, a, c, may, func(tx store.Tx) (*newSeedOutput, error) {
		if err := a.serviceTarget(tx, c, account.Update, ref); err != nil {
			return nil, err
		}
		s, err := a.Directory.RotateService(tx, c.actor(), ref, seed, size, overlap)
		if err != nil {
			return nil, err
		}
		// What was guessed at is gone: places that were closed by it open.
		if err := a.Throttle.Reset(tx, s.ID); err != nil {
			return nil, err
		}
		return a.newSeed(tx, s), nil
	})
}

func (a *API) deleteService(ctx context.Context, c *caller, in *ServicePath) (*struct{}, error) {
	ref, err := a.serviceRef(ctx, in)
	if err != nil {
		return nil, err
	}
	return nil, a.Store.Update(ctx, func(tx store.Tx) error {
		if err := a.serviceTarget(tx, c, account.Delete, ref); err != nil {
			return err
		}
		return a.Directory.DeleteService(tx, c.actor(), ref)
	})
}
