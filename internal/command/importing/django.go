package importing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// djangoObject is one object of a dump.
type djangoObject struct {
	Model  string          `json:"model"`
	PK     json.RawMessage `json:"pk"`
	Fields json.RawMessage `json:"fields"`
}

// djangoUser is what is read of a user. Other fields are passed over.
type djangoUser struct {
	Username  *string           `json:"username"`
	Password  *string           `json:"password"`
	FirstName string            `json:"first_name"`
	LastName  string            `json:"last_name"`
	Email     string            `json:"email"`
	IsActive  *bool             `json:"is_active"`
	Groups    []json.RawMessage `json:"groups"`
}

// dump reads one. Memory holds the names of groups, and of users those whose
// groups had not come yet.
type dump struct {
	groups  map[string]string // pk, as written → name
	waiting []waitingUser
	users   int
	ignored int
	models  []string // of what was ignored
}

type waitingUser struct {
	entry  Entry
	groups []json.RawMessage
}

// budget bounds how many bytes are read for one object.
type budget struct {
	io.Reader
	left int
}

var errBudget = errors.New("too large")

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBudget
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// django reads the JSON of `manage.py dumpdata auth.user auth.group`. A model
// of the project's own stands in for auth.user where it has a user name and a
// password.
func (r *Reader) django(yield func(Entry, error) bool) {
	source := &budget{Reader: r.in, left: maxObject}
	dec := json.NewDecoder(source)
	if first, err := dec.Token(); err != nil || first != json.Delim('[') {
		yield(Entry{}, errors.New("a list of objects is expected, as `manage.py dumpdata auth.user auth.group` writes it"))
		return
	}
	d := dump{groups: map[string]string{}}
	for n := 1; dec.More(); n++ {
		source.left = maxObject
		var o djangoObject
		if err := dec.Decode(&o); err != nil {
			var kind *json.UnmarshalTypeError
			if !errors.As(err, &kind) {
				yield(Entry{}, djangoEnd(dec.InputOffset(), err))
				return
			}
			o = djangoObject{}
		}
		if e, ok := d.object(n, o); ok && !yield(e, nil) {
			return
		}
	}
	if _, err := dec.Token(); err != nil {
		yield(Entry{}, djangoEnd(dec.InputOffset(), err))
		return
	}
	if _, err := dec.Token(); err != io.EOF {
		yield(Entry{}, errors.New("something follows the list of objects: a dump holds one list"))
		return
	}
	for _, w := range d.waiting {
		if missing := d.resolve(&w.entry, w.groups); missing {
			w.entry.Refused = refuse("unknown_group", "a group of this user is not in the dump: dump auth.group too")
		}
		if !yield(w.entry, nil) {
			return
		}
	}
	if d.users == 0 {
		yield(Entry{}, errors.New("there is no user in this dump: write it with `manage.py dumpdata auth.user auth.group` (users of our own are JSON lines, an object a line without brackets around them)"))
		return
	}
	if d.ignored > 0 {
		r.notes = append(r.notes, fmt.Sprintf("ignored %d objects of other models (%s)", d.ignored, strings.Join(d.models, ", ")))
	}
}

// djangoEnd says where a dump cannot be read on.
func djangoEnd(offset int64, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, errBudget):
		return fmt.Errorf("the object at byte %d of the dump has more than %d KiB: nothing from there on was read", offset, maxObject>>10)
	case errors.As(err, &syntax), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the dump is not well-formed JSON at byte %d or behind: nothing from there on was read", offset)
	}
	return fmt.Errorf("read the file: %w", err)
}

// object takes one object; ok: it is a user who waits for nothing.
func (d *dump) object(n int, o djangoObject) (e Entry, ok bool) {
	if o.Model == "auth.group" {
		var g struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(o.Fields, &g) == nil && g.Name != "" {
			d.groups[string(o.PK)] = g.Name
		}
		return Entry{}, false
	}
	var u djangoUser
	err := json.Unmarshal(o.Fields, &u)
	if o.Model != "auth.user" && (err != nil || u.Username == nil || u.Password == nil) {
		d.ignore(o.Model)
		return Entry{}, false
	}
	d.users++
	e = Entry{Place: djangoPlace(n, o.PK)}
	if e.Refused = readable(line{text: o.Fields}); e.Refused != nil {
		return e, true
	}
	if err != nil || u.Username == nil || u.Password == nil {
		e.Refused = refuse("malformed", "a field of this user is missing or holds another kind of value than Django writes")
		return e, true
	}
	e.django(&u)
	if d.resolve(&e, u.Groups) {
		d.waiting = append(d.waiting, waitingUser{e, u.Groups})
		return Entry{}, false
	}
	return e, true
}

// maxModels bounds how many names of models a note holds.
const maxModels = 8

func (d *dump) ignore(model string) {
	d.ignored++
	if model == "" || len(model) > 64 || strings.Trim(model, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._") != "" {
		model = "unnamed"
	}
	if len(d.models) < maxModels && !slices.Contains(d.models, model) {
		d.models = append(d.models, model)
	}
}

// djangoPlace names a user by the primary key, which is a number or a UUID.
func djangoPlace(n int, pk json.RawMessage) string {
	text := strings.Trim(string(pk), `"`)
	if text == "" || text == "null" || len(text) > 36 || strings.Trim(text, "0123456789abcdefABCDEF-") != "" {
		return "object " + strconv.Itoa(n)
	}
	return "pk " + text
}

func (e *Entry) django(u *djangoUser) {
	e.Name, e.Email = *u.Username, u.Email
	e.FullName = strings.TrimSpace(strings.TrimSpace(u.FirstName) + " " + strings.TrimSpace(u.LastName))
	if u.IsActive != nil {
		disabled := !*u.IsActive
		e.Disabled = &disabled
	}
	if *u.Password == "" || strings.HasPrefix(*u.Password, "!") {
		return // Django's unusable password: the user has none
	}
	e.PasswordHash, e.Refused = secret.NewText(*u.Password), hashRefusal(*u.Password)
}

// resolve names the groups: by primary key, or by a natural key, which is a
// list of the name alone. missing: one of them has not come yet.
func (d *dump) resolve(e *Entry, groups []json.RawMessage) (missing bool) {
	if groups == nil || e.Refused != nil {
		return false
	}
	names := make([]string, 0, len(groups))
	for _, raw := range groups {
		var natural []string
		if json.Unmarshal(raw, &natural) == nil && len(natural) == 1 {
			names = append(names, natural[0])
			continue
		}
		name, ok := d.groups[string(raw)]
		if !ok {
			return true
		}
		names = append(names, name)
	}
	e.Groups = &names
	return false
}
