package account

import (
	"errors"
	"fmt"
)

// What a caller may test with errors.Is. The texts that wrap them are sentences
// for whoever asked.
var (
	ErrUnknownUser       = errors.New("no such user")
	ErrUnknownRealm      = errors.New("no such realm")
	ErrExists            = errors.New("this name is taken")
	ErrAddressTaken      = errors.New("this address belongs to another user of the realm")
	ErrInvalid           = errors.New("not a valid value")
	ErrForbidden         = errors.New("not allowed")
	ErrNotFresh          = errors.New("a fresh second factor is needed")
	ErrVersion           = errors.New("changed by somebody else meanwhile")
	ErrLastAdministrator = errors.New("the last administrator must stay")
	ErrReserved          = errors.New("this realm is reserved")
	ErrNotEmpty          = errors.New("the realm still has members")
	ErrConfigured        = errors.New("set in the configuration")
	ErrCursor            = errors.New("not a cursor of this list")
)

type refusal struct {
	text string
	is   error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.is }

func refuse(is error, format string, args ...any) error {
	return &refusal{text: fmt.Sprintf(format, args...), is: is}
}
