package command

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sallyport-auth/sallyport/internal/command/importing"
)

// Bounds of one call of POST /users/import and /services/import.
const (
	batchMembers = 200      // the API takes no more
	batchBytes   = 60 << 10 // the API takes 64 KiB
	batchPlain   = 16       // passwords in clear: each is hashed, some 30 ms
)

// importReport is what `user import --json` prints. Scripts depend on it.
type importReport struct {
	Format  string         `json:"format"`
	DryRun  bool           `json:"dry_run"`
	Created int            `json:"created"`
	Updated int            `json:"updated"`
	Exists  int            `json:"exists"`
	Refused int            `json:"refused"`
	Reasons map[string]int `json:"reasons"` // of refusals, by code
	Entries []refusedEntry `json:"refused_entries"`
	Notes   []string       `json:"notes"`
}

// refusedEntry is somebody who was not imported.
type refusedEntry struct {
	Place   string `json:"place"`
	User    string `json:"user,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (r *importReport) total() int { return r.Created + r.Updated + r.Exists + r.Refused }

func (r *importReport) codes() []string { return slices.Sorted(maps.Keys(r.Reasons)) }

// candidate is somebody in the batch that is being collected.
type candidate struct {
	place   string
	user    string // name@realm, canonical; empty: it has none
	address string // realm and address, canonical; empty: none
	wire    json.RawMessage
	plain   bool
	service bool
}

// importer sends the users and services of a file to the server in batches. What the file
// says twice is found here, and who left an address behind is remembered here, so
// that a dry run, of which the server forgets each batch, counts as the import does.
type importer struct {
	c       *client
	cmd     *cobra.Command
	flags   importFlags
	realm   string          // of entries for which the file names none
	exact   map[string]bool // realms in which names are what they are written like
	mighty  map[string]bool // realms with capabilities here
	periods map[string]int  // lives of codes, in seconds, by realm; only where one names it
	batch   []candidate
	bytes   int
	plain   int
	users   map[string]string // of this file, by name@realm: their place
	taken   map[string]string // addresses that this import gave, by realm and address: whose, by place
	moved   map[string]string // users who got an address instead of their own, by name@realm: realm and address
	report  importReport

	every time.Duration // between lines of progress; 0: none
	last  time.Time
}

const (
	progressTerminal = time.Second
	progressLog      = 15 * time.Second
)

func newImporter(cmd *cobra.Command, c *client, flags importFlags) *importer {
	i := &importer{c: c, cmd: cmd, flags: flags, realm: flags.realm, exact: map[string]bool{}, mighty: map[string]bool{}, periods: map[string]int{}, users: map[string]string{}, taken: map[string]string{}, moved: map[string]string{},
		report: importReport{Reasons: map[string]int{}, Entries: []refusedEntry{}}, every: progressLog, last: time.Now()}
	if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		i.every = progressTerminal
	}
	if flags.asJSON {
		i.every = 0
	}
	return i
}

// look asks for the realms, before run.
func (i *importer) look() error {
	var all realmList
	if err := i.c.call(http.MethodGet, "/realms", nil, &all); err != nil {
		return err
	}
	i.realm = cmp.Or(i.realm, importing.RealmOf(i.flags.from), all.fallback())
	for _, r := range all.Realms {
		i.exact[r.Realm] = r.Names == "exact"
		i.mighty[r.Realm] = r.Capabilities != nil && len(*r.Capabilities) > 0
		if r.OTP != nil {
			i.periods[r.Realm] = r.OTP.Period
		}
	}
	if i.flags.from == importing.Adjure && !i.exact[i.realm] {
		i.report.Notes = append(i.report.Notes, "names of the realm "+i.realm+" are folded: is compat.adjure in the configuration of this server? If so, name it with --config")
	}
	return nil
}

// run imports all that can be read. An error ends it early; what was counted
// until then was done.
func (i *importer) run(reader *importing.Reader) error {
	i.report.Format = reader.Format()
	for e, err := range reader.Users() {
		if err != nil { // what stands before is good
			return firstOf(i.flush(), err)
		}
		if err := i.add(&e); err != nil {
			return err
		}
	}
	return i.flush()
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// add takes one user into the batch, or refuses whom the server need not see.
func (i *importer) add(e *importing.Entry) error {
	if e.Realm == "" || i.flags.from != "" && i.flags.realm != "" {
		e.Realm = i.realm
	}
	n := candidate{place: e.Place, plain: !e.Password.IsZero(), service: e.Service != nil}
	n.user, n.address = i.spellings(e)
	if e.Refused == nil && i.flags.from != "" && i.flags.realm == "" {
		e.Refused = i.privileged(e)
	}
	if e.Refused != nil {
		if i.report.Format == importing.Apache {
			n.user = "" // where the columns were swapped this is the password
		}
		i.refuse(n, e.Refused.Code, e.Refused.Message)
		return nil
	}
	if i.waitsFor(n) || i.plain == batchPlain && n.plain {
		if err := i.flush(); err != nil {
			return err
		}
	}
	if err := i.rename(e, &n); err != nil {
		return err
	}
	if place, twice := i.users[n.user]; twice && n.user != "" {
		i.refuse(n, "duplicate", "the same "+kindOf(n.service)+" stands in this file already: "+place)
		return nil
	}
	if place, twice := i.taken[n.address]; twice && n.address != "" {
		i.refuse(n, "address_taken", "the address belongs to another user of the realm: "+place)
		return nil
	}
	var err error
	if n.wire, err = wireOf(e); err != nil {
		return err
	}
	if len(n.wire) > batchBytes {
		i.refuse(n, "too_large", "this "+kindOf(n.service)+" is too large")
		return nil
	}
	if len(i.batch) == batchMembers || i.bytes+len(n.wire) > batchBytes {
		if err := i.flush(); err != nil {
			return err
		}
	}
	i.batch = append(i.batch, n)
	i.bytes += len(n.wire) + 1
	if n.plain {
		i.plain++
	}
	return nil
}

// waitsFor reports whether the batch holds the same name or address: what
// becomes of that one decides about n. A batch is of one kind, too.
func (i *importer) waitsFor(n candidate) bool {
	return len(i.batch) > 0 && i.batch[0].service != n.service || slices.ContainsFunc(i.batch, func(b candidate) bool {
		return b.user == n.user && n.user != "" || b.address == n.address && n.address != ""
	})
}

// flush sends the batch and counts the answers.
func (i *importer) flush() error {
	if len(i.batch) == 0 {
		return nil
	}
	results, err := i.send(i.batch...)
	if err != nil {
		if i.c.ctx.Err() != nil {
			err = errInterrupted
		}
		return fmt.Errorf("%w (the import stopped before %s: what was done stays, and a second run goes on from there)", err, i.batch[0].place)
	}
	for k, n := range i.batch {
		r := results[k]
		if i.flags.dryRun && r.Code == "address_taken" {
			var err error
			if r, err = i.afterMoves(n, r); err != nil {
				return err
			}
		}
		i.settle(n, r)
	}
	i.batch, i.bytes, i.plain = i.batch[:0], 0, 0
	i.progress()
	return nil
}

const (
	busyTries = 60
	busyWait  = time.Second
)

// importResult is what became of one user or service.
type importResult struct{ Status, Code, Message string }

// batchBody is what both calls take.
type batchBody struct {
	Users    []json.RawMessage `json:"users,omitempty"`
	Services []json.RawMessage `json:"services,omitempty"`
	DryRun   bool              `json:"dry_run,omitempty"`
	Update   bool              `json:"update,omitempty"`
}

// send makes the call for candidates of one kind. While the server's hash slots are
// all taken nothing is done there, and the batch is sent again.
func (i *importer) send(batch ...candidate) ([]importResult, error) {
	wires := make([]json.RawMessage, len(batch))
	for k, n := range batch {
		wires[k] = n.wire
	}
	path, body := "/users/import", batchBody{DryRun: i.flags.dryRun, Update: i.flags.onConflict == conflictUpdate}
	if batch[0].service {
		path, body.Services = "/services/import", wires
	} else {
		body.Users = wires
	}
	for try := 1; ; try++ {
		var answer struct{ Results []importResult }
		err := i.c.call(http.MethodPost, path, body, &answer)
		if err == nil && len(answer.Results) != len(batch) {
			err = fmt.Errorf("read the server's answer: it speaks of %d instead of %d (is the server of another version?)", len(answer.Results), len(batch))
		}
		if !refused(err, "busy") || try == busyTries {
			return answer.Results, err
		}
		timer := time.NewTimer(busyWait)
		select {
		case <-timer.C:
		case <-i.c.ctx.Done():
			timer.Stop()
			return nil, errInterrupted
		}
	}
}

// afterMoves is what an import makes of somebody whom its dry run refuses for an
// address. The server has forgotten the batches before, so it does not know that
// the owner of the address has got another one by then: then it is asked what else
// speaks against n.
func (i *importer) afterMoves(n candidate, r importResult) (importResult, error) {
	if left, err := i.leftBehind(n.address); err != nil || !left {
		return r, err
	}
	var user importUser
	if err := json.Unmarshal(n.wire, &user); err != nil {
		return r, err
	}
	user.Email = ""
	var err error
	if n.wire, err = json.Marshal(user); err != nil {
		return r, err
	}
	again, err := i.send(n)
	if err != nil {
		return r, err
	}
	if again[0].Status == "exists" { // and gets at least the address
		again[0].Status = "updated"
	}
	return again[0], nil
}

// leftBehind reports whether this import gave the owner of an address another one.
func (i *importer) leftBehind(realmAndAddress string) (bool, error) {
	if len(i.moved) == 0 {
		return false, nil
	}
	realm, address, _ := strings.Cut(realmAndAddress, " ")
	users, err := i.c.users(realm, address)
	for _, u := range users {
		if u.Email == address {
			now := i.moved[u.Name+"@"+u.Realm]
			return now != "" && now != realmAndAddress, nil
		}
	}
	return false, err
}

// settle counts what became of one user.
func (i *importer) settle(n candidate, r importResult) {
	switch r.Status {
	case "created":
		i.report.Created++
	case "updated":
		i.report.Updated++
	case "exists":
		if i.flags.onConflict == conflictRefuse {
			i.refuse(n, "exists", "a "+kindOf(n.service)+" of this name exists already")
		} else {
			i.report.Exists++
		}
	default:
		i.refuse(n, r.Code, strings.TrimSuffix(r.Message, "."))
		return
	}
	i.users[n.user] = n.place
	if n.address == "" || r.Status == "exists" {
		return
	}
	i.taken[n.address] = n.place
	if r.Status == "updated" {
		i.moved[n.user] = n.address
	}
}

// refuse counts somebody who was not imported and says why.
func (i *importer) refuse(n candidate, code, message string) {
	i.report.Refused++
	i.report.Reasons[code]++
	entry := refusedEntry{Place: n.place, User: n.user, Code: code, Message: message}
	if strings.ContainsAny(n.user, "${}") { // where columns were swapped this is a hash
		entry.User = ""
	}
	if i.flags.asJSON {
		i.report.Entries = append(i.report.Entries, entry)
		return
	}
	who := entry.Place
	if entry.User != "" {
		at := strings.LastIndexByte(entry.User, '@')
		who += " (" + named(entry.User[:at], entry.User[at+1:]) + ")"
	}
	say(i.cmd, "refused: %s: %s", who, message)
}

// progress says from time to time how far an import is.
func (i *importer) progress() {
	if i.every == 0 || time.Since(i.last) < i.every {
		return
	}
	i.last = time.Now()
	say(i.cmd, "%d %ss so far: %d created, %d refused", i.report.total(), kindOf(i.services()), i.report.Created, i.report.Refused)
}

// services reports whether the file holds programs: those of one system do.
func (i *importer) services() bool { return i.flags.from == importing.Ungleich }

func kindOf(service bool) string {
	if service {
		return "service"
	}
	return "user"
}
