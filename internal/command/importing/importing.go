// Package importing reads users out of files that other programs keep: Apache's
// htpasswd, Authelia's file of users, a dump of Django's, the JSON lines that
// `user export` writes, and those that one query prints of the database of each of
// four older systems (see From).
//
// What it reads is foreign: nothing in it ends the program, each entry is
// bounded in size, and one that cannot be read is refused with its place and
// stops nothing else. Refusals never repeat what stands in the file; where
// columns were swapped a name is a password. Whether a user can be one here,
// the server says.
package importing

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// Names of formats.
const (
	Apache   = "htpasswd" // name:hash, a line each
	Authelia = "authelia" // YAML with a map `users`
	Django   = "django"   // manage.py dumpdata auth.user auth.group
	JSONL    = "jsonl"    // what `user export` writes
)

// Formats lists the names.
func Formats() []string { return []string{Apache, Authelia, Django, JSONL} }

const (
	// maxEntry bounds one user, in bytes: a line, a block of YAML. Hundreds of
	// groups fit, and its JSON fits a request of the API.
	maxEntry = 16 << 10
	// maxObject bounds one object of a Django dump, in bytes: those of other
	// models are read to be ignored.
	maxObject = 1 << 20
	// headSize is how much of a file is looked at to guess its format, in
	// bytes: files of users begin with long comments.
	headSize = 64 << 10
)

// Entry is a user as the file has it, in any spelling, or a refusal.
type Entry struct {
	Place        string // where it stands: "line 3", "pk 7"
	Realm        string // empty: the file says nothing
	Name         string
	Email        string
	Unconfirmed  bool // nobody but its owner said that Email is theirs
	FullName     string
	Phone        string
	Groups       *[]string // nil: the file says nothing
	Disabled     *bool     // nil: the file says nothing
	PasswordHash secret.Text
	Password     secret.Text
	TOTP         *TOTP
	Methods      []Method // others
	Primary      string   // asked for first; empty: TOTP, else the first of Methods
	// RecoveryCodes are in clear, RecoveryDigests hashed like passwords. Both come
	// beside TOTP or Methods.
	RecoveryCodes   []secret.Text
	RecoveryDigests []secret.Text
	Mailed          bool // the codes went out by mail
	// Other is the name of somebody who signed in by Email and whose Name was derived
	// from it, where that one belongs to somebody else. Empty: there is none.
	Other   string
	Service *Service // not nil: this is a program
	Refused *Refusal // the other fields may be empty
}

// Service is what an entry has that is a program, beside Realm, Name and Disabled.
type Service struct {
	Seed        secret.Text // base32
	Description string
	Owner       string // who registered it, as the older system wrote it
	Trusted     bool
}

// TOTP is an authenticator. Zero numbers and the empty algorithm are defaults.
type TOTP struct {
	Secret    secret.Text // base32
	Digits    int
	Period    int
	Algorithm string
}

// Method is a second factor without a seed, in our words.
type Method struct {
	Name string // email, sms, yubikey, or an own method's
	Key  string // of a YubiKey: its public identity
}

// Refusal says why an entry cannot be read: Code for programs, Message for people.
type Refusal struct{ Code, Message string }

func refuse(code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Reader reads one file. It is not safe for concurrent use.
type Reader struct {
	format string
	in     *bufio.Reader
	key    *Fernet // of FastAPI2FA
	period int     // of Trench, in seconds; 0: usualPeriod
	leave  []string
	notes  []string
}

// Open looks at the beginning of a file. An empty format is guessed.
func Open(r io.Reader, format string) (*Reader, error) {
	in := bufio.NewReaderSize(r, headSize)
	head, err := in.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	text := string(head)
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return nil, errors.New("the file is in UTF-16: convert it first, with `iconv -f utf-16 -t utf-8`")
	}
	if rest, ok := strings.CutPrefix(text, "\ufeff"); ok {
		text = rest
		_, _ = in.Discard(len("\ufeff")) // is buffered
	}
	if strings.TrimSpace(text) == "" && len(head) < headSize {
		return nil, errors.New("the file is empty")
	}
	if format == "" {
		format = guess(text)
	}
	if format == "" {
		return nil, fmt.Errorf("the format cannot be guessed: name it with --format (%s)", strings.Join(Formats(), ", "))
	}
	return &Reader{format: format, in: in}, nil
}

// guess names the format of what begins so; empty: none.
func guess(head string) string {
	switch head = strings.TrimSpace(head); {
	case strings.HasPrefix(head, "["):
		return Django
	case strings.HasPrefix(head, "{"):
		if !strings.HasPrefix(head, "{SHA}") {
			return JSONL
		}
	}
	first := ""
	for line := range strings.Lines(head) {
		line = strings.TrimRight(line, "\r\n")
		if isUsers, _ := usersLine([]byte(line)); isUsers {
			return Authelia
		}
		if first == "" && line != "" && !strings.HasPrefix(line, "#") {
			first = line
		}
	}
	name, hash, ok := strings.Cut(first, ":")
	if ok && name != "" && hash != "" && !strings.ContainsAny(first, " \t") {
		return Apache
	}
	return ""
}

// Format is the one that was named or guessed.
func (r *Reader) Format() string { return r.format }

// SetPeriod says for how many seconds codes live where that stood in the settings of
// the system alone: those of Trench. 1 to MaxPeriod; 0: the usual 30. Call it before
// Users.
func (r *Reader) SetPeriod(seconds int) { r.period = seconds }

// Own stands in LeaveOut for the methods that a project made itself.
const Own = "own"

// LeftOut are the words that LeaveOut takes.
func LeftOut() []string { return []string{email, sms, yubikey, Own} }

// The methods of older systems, in our words.
const (
	email   = "email"
	sms     = "sms"
	yubikey = "yubikey"
)

// LeaveOut says which methods do not come along, by LeftOut: because nothing sends their
// codes here. Notes count whose they were. Call it before Users.
func (r *Reader) LeaveOut(methods []string) { r.leave = methods }

// Notes are sentences about what was left out of the file, once Users ended.
func (r *Reader) Notes() []string { return r.notes }

// Users yields what the file holds, once. An error is yielded last: what stands
// behind it cannot be read.
func (r *Reader) Users() iter.Seq2[Entry, error] {
	switch r.format {
	case Apache:
		return r.htpasswd
	case Authelia:
		return r.authelia
	case Django:
		return r.django
	case JSONL:
		return r.jsonl
	case Adjure:
		return rows(r, adjureFields, (*Entry).adjure)
	case Ungleich:
		return rows(r, ungleichFields, (*Entry).ungleich)
	case FastAPI2FA:
		return r.fastapi
	case Trench:
		return r.trench
	}
	return func(yield func(Entry, error) bool) {
		yield(Entry{}, fmt.Errorf("unknown format: expected %s", strings.Join(Formats(), ", ")))
	}
}

// line is one line of a file, without its end.
type line struct {
	text   []byte // valid until the next one is read
	number int    // from 1
	long   bool   // longer than maxEntry: text is its beginning
}

func (l line) place() string { return fmt.Sprintf("line %d", l.number) }

func tooLong() *Refusal {
	return refuse("too_large", "this line is longer than %d bytes", maxEntry)
}

// lines yields the lines of a file. Memory holds one of them, whatever its length.
func lines(in *bufio.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		var buf []byte
		for number := 1; ; number++ {
			text, long, err := readLine(in, buf[:0])
			buf = text
			if err != nil && !errors.Is(err, io.EOF) {
				yield(line{}, fmt.Errorf("read the file: %w", err))
				return
			}
			end := err != nil
			if end && len(text) == 0 {
				return
			}
			if !yield(line{text: trimEnd(text), number: number, long: long}, nil) || end {
				return
			}
		}
	}
}

// readLine appends a line to buf and keeps maxEntry bytes of it.
func readLine(in *bufio.Reader, buf []byte) (text []byte, long bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if room := maxEntry + 2 - len(buf); len(part) > room {
			part, long = part[:room], true
		}
		buf = append(buf, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buf, long, err
		}
	}
}

func trimEnd(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
	}
	if n := len(text); n > 0 && text[n-1] == '\r' {
		text = text[:n-1]
	}
	return text
}
