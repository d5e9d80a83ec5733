package api

import (
	"context"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/otp"
	"github.com/sallyport-auth/sallyport/internal/principal"
	"github.com/sallyport-auth/sallyport/internal/secret"
	"github.com/sallyport-auth/sallyport/internal/store"
)

// ImportTOTP is an authenticator that a user has already, active at once.
type ImportTOTP struct {
	Secret    string `json:"secret" doc:"Base32."`
	Digits    int    `json:"digits,omitempty" doc:"6, the default, or 8."`
	Period    int    `json:"period,omitempty" doc:"Seconds of a code; default 30."`
	Algorithm string `json:"algorithm,omitempty" doc:"SHA1, the default, SHA256 or SHA512."`
}

// ImportMethod is a method without a seed that a user has already, active at once.
type ImportMethod struct {
	Method string `json:"method" doc:"email or sms, whose codes go to the address or number of this user; yubikey; or an own method's name."`
	Key    string `json:"key,omitempty" doc:"Of a YubiKey: its public identity, the characters before the last 32 that it types."`
}

// ImportUser is a user who comes from elsewhere. Its fields have no bounds in
// the description: one that is out of bounds is the refusal of its user alone.
type ImportUser struct {
	Realm        string      `json:"realm"`
	Name         string      `json:"name"`
	Email        string      `json:"email,omitempty"`
	Unconfirmed  bool        `json:"unconfirmed,omitempty" doc:"Nobody but its owner said that the address is theirs: upstreams do not hear of it."`
	FullName     string      `json:"full_name,omitempty"`
	Phone        string      `json:"phone,omitempty"`
	Groups       *[]string   `json:"groups,omitempty" doc:"Left out: nothing is said of groups."`
	Disabled     *bool       `json:"disabled,omitempty"`
	PasswordHash string      `json:"password_hash,omitempty" doc:"As another program stored it. This or password."`
	Password     string      `json:"password,omitempty" doc:"In clear: judged and hashed here. This or password_hash."`
	TOTP         *ImportTOTP `json:"totp,omitempty"`
	// Others than the authenticator, each once.
	Methods []ImportMethod `json:"methods,omitempty" doc:"Second factors beside totp. The realm must offer them."`
	Primary string         `json:"primary,omitempty" doc:"The method that is asked for first; default totp, else the first of methods."`
	// Beside a second factor: at most 100 in sum.
	RecoveryCodes   []string `json:"recovery_codes,omitempty" doc:"Recovery codes in clear that are still good. With totp or methods alone."`
	RecoveryDigests []string `json:"recovery_digests,omitempty" doc:"Recovery codes hashed like passwords. With totp or methods alone."`
	RecoveryMailed  bool     `json:"recovery_mailed,omitempty" doc:"They went out by mail: they are no proof where a password is reset by mail."`
}

// importInput is a batch. 200 users are some 1,400 records: far from what one
// transaction takes.
type importInput struct {
	Body struct {
		Users  []ImportUser `json:"users" minItems:"1" maxItems:"200" nullable:"false"`
		DryRun bool         `json:"dry_run,omitempty" doc:"Do all of it, answer, and keep nothing."`
		Update bool         `json:"update,omitempty" doc:"Give users who exist the fields that are named, but no password and no factor."`
	}
}

// ImportResult is what became of one user or service.
type ImportResult struct {
	Status  string `json:"status" enum:"created,updated,exists,refused"`
	Code    string `json:"code,omitempty" doc:"Of a refusal: a stable word for programs."`
	Message string `json:"message,omitempty" doc:"Of a refusal: one sentence for people."`
}

type importOutput struct {
	Body struct {
		Results []ImportResult `json:"results" nullable:"false" doc:"One for each, in order."`
	}
}

// newcomer is a user of an import between its steps.
type newcomer struct {
	account.Imported
	brought *factor.Brought
	refused *ImportResult
}

// errDryRun ends the transaction of a dry run: nothing of it is kept.
var errDryRun = errors.New("dry run")

// importUsers makes users from elsewhere, each with all that belongs to them or
// not at all. Whoever is refused keeps nobody else out. What is slow stands
// before the transaction: passwords in clear are hashed, and foreign hashes
// measured, so that a login's answer covers them before their first owner
// exists. When all hash slots are taken nothing was made: 503, send it again.
func (a *API) importUsers(ctx context.Context, c *caller, in *importInput) (*importOutput, error) {
	users := make([]newcomer, len(in.Body.Users))
	for i := range users {
		users[i] = judged(&in.Body.Users[i])
	}
	if err := a.named(ctx, users); err != nil {
		return nil, err
	}
	if err := a.hashPlain(ctx, in, users); err != nil {
		return nil, err
	}
	if !in.Body.DryRun {
		if err := a.coverForeign(ctx, users); err != nil {
			return nil, err
		}
	}
	out := &importOutput{}
	var err error
	out.Body.Results, err = a.importAll(ctx, in.Body.DryRun, len(users), func(tx store.Tx, i int) (ImportResult, error) {
		return a.importOne(tx, c, &users[i], in.Body.Update)
	})
	return out, err
}

// importAll makes n of a batch in one transaction, of which a dry run keeps nothing.
func (a *API) importAll(ctx context.Context, dryRun bool, n int, one func(tx store.Tx, i int) (ImportResult, error)) ([]ImportResult, error) {
	var results []ImportResult
	err := a.Store.Update(ctx, func(tx store.Tx) error {
		results = make([]ImportResult, n)
		for i := range n {
			var err error
			if results[i], err = one(tx, i); err != nil {
				return err
			}
		}
		if dryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return results, err
}

// importOne makes one user. An error is a failure and ends the whole batch;
// refusals come before anything was written.
func (a *API) importOne(tx store.Tx, c *caller, n *newcomer, update bool) (ImportResult, error) {
	if n.refused != nil {
		return *n.refused, nil
	}
	if refused, err := a.offered(tx, n); err != nil || refused != nil {
		if refused == nil {
			refused = &ImportResult{}
		}
		return *refused, err
	}
	u, outcome, err := a.Directory.Import(tx, c.actor(), n.Imported, update)
	switch {
	case err != nil:
		return refusedFor(err)
	case outcome == account.Updated:
		return ImportResult{Status: "updated"}, nil
	case outcome == account.Existed:
		return ImportResult{Status: "exists"}, nil
	}
	if n.brought != nil {
		if err := a.Factors.Bring(tx, c.actor(), u.ID, *n.brought); err != nil {
			return ImportResult{}, err
		}
	}
	return ImportResult{Status: "created"}, nil
}

// offered refuses a user whose realm does not offer what they bring. Left out it would
// be a user with the password alone.
func (a *API) offered(tx store.Tx, n *newcomer) (*ImportResult, error) {
	if n.brought == nil {
		return nil, nil
	}
	var names []factor.Name
	if len(n.brought.Seed.Reveal()) > 0 {
		names = append(names, factor.TOTP)
	}
	for _, m := range n.brought.Methods {
		names = append(names, m.Name)
	}
	for _, name := range names {
		err := a.Factors.Offers(tx, n.Ref.Realm, name)
		if errors.Is(err, factor.ErrUnknownMethod) && name != factor.TOTP {
			return refusedWith("unknown_method", "the realm does not offer the method "+string(name)+", or nothing here sends its codes"), nil
		}
		if err != nil {
			r, err := refusedFor(err)
			return &r, err
		}
	}
	return nil, nil
}

func refusedWith(code, message string) *ImportResult {
	return &ImportResult{Status: "refused", Code: code, Message: message}
}

// refusedFor tells a refusal of one user from a failure of ours.
func refusedFor(err error) (ImportResult, error) {
	if errors.Is(err, account.ErrNeedsFactor) {
		return *refusedWith("needs_factor", err.Error()), nil
	}
	p, failure := answer(err)
	if failure || p.Status >= 500 {
		return ImportResult{}, err
	}
	if errors.Is(err, account.ErrInvalid) {
		p.Detail = err.Error() // of phone, full name or the number of groups, which it does not repeat
	}
	return *refusedWith(p.Code, p.Detail), nil
}

// judged reads one user, and refuses what needs no store. The sentences repeat
// nothing: where columns were swapped a name is a password.
func judged(in *ImportUser) newcomer {
	n := newcomer{Imported: account.Imported{
		Ref: principal.Ref{Name: in.Name, Realm: in.Realm}, Email: in.Email, Unconfirmed: in.Unconfirmed, FullName: in.FullName, Phone: in.Phone,
		Groups: in.Groups, Disabled: in.Disabled, PasswordHash: in.PasswordHash, Factor: in.TOTP != nil || len(in.Methods) > 0,
	}}
	if n.refused = misnamed(&n.Imported); n.refused != nil {
		return n
	}
	switch {
	case in.PasswordHash != "" && in.Password != "":
		n.refused = refusedWith("invalid", "password and password_hash exclude each other")
	case in.PasswordHash != "":
		if err := secret.CheckDigest(in.PasswordHash); err != nil {
			n.refused = refusedWith("password_hash", err.Error())
		}
	}
	if n.refused == nil {
		n.brought, n.refused = in.brought()
	}
	return n
}

// named makes the names of users canonical, as their realms have them.
func (a *API) named(ctx context.Context, users []newcomer) error {
	return a.Store.View(ctx, func(tx store.Tx) error {
		for i := range users {
			if err := a.nameOne(tx, &users[i].Ref, &users[i].refused); err != nil {
				return err
			}
		}
		return nil
	})
}

// nameOne makes one name canonical, or refuses it. Who is refused already stays so.
func (a *API) nameOne(tx store.Tx, ref *principal.Ref, refused **ImportResult) error {
	if *refused != nil {
		return nil
	}
	spelled, err := a.Directory.Ref(tx, ref.Name, ref.Realm)
	switch {
	case errors.Is(err, account.ErrInvalid):
		*refused = refusedWith("invalid_name", "the name cannot be one here: at most 128 bytes of letters, digits and punctuation, without spaces, comma, @ and /")
	case err != nil:
		return err
	default:
		*ref = spelled
	}
	return nil
}

// brought are the second factors with their recovery codes; nil: there is none.
func (u *ImportUser) brought() (*factor.Brought, *ImportResult) {
	if u.TOTP == nil && len(u.Methods) == 0 {
		switch {
		case len(u.RecoveryCodes)+len(u.RecoveryDigests) > 0:
			return nil, refusedWith("recovery_code", "recovery codes come with an authenticator (totp) or another second factor (methods)")
		case u.Primary != "":
			return nil, refusedWith("method", "primary names a second factor, and there is none")
		}
		return nil, nil
	}
	b := &factor.Brought{}
	if u.TOTP != nil {
		var refused *ImportResult
		if b, refused = u.TOTP.brought(); refused != nil {
			return nil, refused
		}
	}
	if refused := u.methods(b); refused != nil {
		return nil, refused
	}
	b.RecoveryCodes, b.RecoveryDigests, b.Mailed = u.RecoveryCodes, u.RecoveryDigests, u.RecoveryMailed
	if err := b.Validate(); err != nil {
		return nil, refusedWith("recovery_code", err.Error())
	}
	return b, nil
}

// methods adds those that have no seed.
func (u *ImportUser) methods(b *factor.Brought) *ImportResult {
	for _, m := range u.Methods {
		switch {
		case m.Method == string(factor.Email) && u.Email == "":
			return refusedWith("no_target", "codes by mail need an address, and there is none")
		case m.Method == string(factor.SMS) && u.Phone == "":
			return refusedWith("no_target", "codes by SMS need a number, and there is none")
		}
		b.Methods = append(b.Methods, factor.BroughtMethod{Name: factor.Name(m.Method), Key: m.Key})
	}
	b.Primary = factor.Name(u.Primary)
	if err := b.Validate(); err != nil {
		code := "method"
		if len(u.Methods) == 0 && u.Primary == "" { // the seed's own mistake
			code = "recovery_code"
		}
		return refusedWith(code, err.Error())
	}
	return nil
}

// misnamed makes the names canonical, or says which cannot be one.
func misnamed(n *account.Imported) *ImportResult {
	var err error
	if n.Ref.Realm, err = principal.CanonicalRealm(n.Ref.Realm); err != nil {
		return invalidRealm()
	}
	if n.Email != "" {
		if n.Email, err = principal.CanonicalAddress(n.Email); err != nil {
			return refusedWith("invalid_email", "the e-mail address cannot be one: a name, @ and a domain are expected")
		}
	}
	if n.Groups == nil {
		return nil
	}
	for _, g := range *n.Groups {
		if _, err := principal.CanonicalGroup(g); err != nil {
			return refusedWith("invalid_group", "a group cannot be one: at most 128 bytes of letters, digits, punctuation and single spaces, without comma, @ and /")
		}
	}
	return nil
}

func invalidRealm() *ImportResult {
	return refusedWith("invalid_realm", "the realm cannot be one: at most 64 bytes of letters, digits and punctuation, without spaces, dot, comma, @ and /")
}

func (t *ImportTOTP) brought() (*factor.Brought, *ImportResult) {
	seed, err := otp.ParseSeed(t.Secret)
	if err != nil {
		return nil, refusedWith("totp", "totp: "+err.Error())
	}
	params := otp.Default()
	if t.Digits != 0 {
		params.Digits = t.Digits
	}
	if t.Period != 0 {
		params.Period = t.Period
	}
	if t.Algorithm != "" {
		params.Algorithm = otp.Algorithm(t.Algorithm)
	}
	if params.Validate() != nil {
		return nil, refusedWith("totp", "totp: digits are 6 or 8, period 1 to 3600 seconds, algorithm SHA1, SHA256 or SHA512")
	}
	return &factor.Brought{Seed: secret.NewBytes(seed), Params: params}, nil
}

// hashPlain judges the passwords that came in clear, and hashes those of users
// who do not exist yet. A dry run judges alone.
func (a *API) hashPlain(ctx context.Context, in *importInput, users []newcomer) error {
	for i := range users {
		n, password := &users[i], in.Body.Users[i].Password
		if password == "" || n.refused != nil {
			continue
		}
		err := secret.CheckPassword(a.Directory.Passwords(), password, n.Ref.Name, n.Ref.Realm, n.Email, n.FullName)
		if err == nil && !in.Body.DryRun {
			err = a.hashNew(ctx, n, password)
		}
		var weak *secret.WeakPassword
		if errors.As(err, &weak) {
			n.refused = refusedWith("weak_password", weak.Reason)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// hashNew hashes a password, unless its owner exists already and keeps another.
func (a *API) hashNew(ctx context.Context, n *newcomer, password string) error {
	err := a.Store.View(ctx, func(tx store.Tx) error {
		_, err := a.Directory.ByRef(tx, n.Ref)
		return err
	})
	if !errors.Is(err, account.ErrUnknownUser) {
		return err
	}
	n.PasswordHash, err = a.Hasher.Hash(ctx, password)
	return err
}

// coverForeign has the dearest hash of each format measured, so that the answer
// of a login takes as long for everybody. What was measured before costs
// nothing. Errors: *secret.Busy.
func (a *API) coverForeign(ctx context.Context, users []newcomer) error {
	type dear struct {
		sample string
		cost   uint64
	}
	dearest := map[string]dear{}
	for i := range users {
		n := &users[i]
		if n.refused != nil || n.PasswordHash == "" {
			continue
		}
		sample, cost, err := secret.Sample(n.PasswordHash)
		if err != nil {
			continue // of our own kind, and no dearer
		}
		if kind := secret.Kind(sample); cost > dearest[kind].cost {
			dearest[kind] = dear{sample, cost}
		}
	}
	for _, d := range dearest {
		if _, err := a.Hasher.MeasureForeign(ctx, d.sample); err != nil {
			return err
		}
	}
	return nil
}
