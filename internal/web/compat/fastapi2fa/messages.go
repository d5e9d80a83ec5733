package fastapi2fa

import (
	"context"
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
	"github.com/sallyport-auth/sallyport/internal/store"
	"github.com/sallyport-auth/sallyport/internal/throttle"
)

// Messages are what the facade has mailed beside codes, which the rooms send by
// themselves. It is safe for concurrent use.
type Messages interface {
	// Can reports whether mail can be sent.
	Can() bool
	// BackupTokens queues the mail that hands a person the backup tokens over, to the
	// account's address, in the transaction that made them.
	BackupTokens(tx store.Tx, u *account.User, codes []string) error
	// Test queues a mail from the installation to itself, and returns its id.
	Test(tx store.Tx) (id string, err error)
	// State says what became of a mail that Test queued. Of an id that is none: Pending.
	State(ctx context.Context, id string) (State, error)
}

// State of a task, in Celery's words.
type State string

// The states.
const (
	Pending State = "PENDING" // not sent yet, or not known
	Success State = "SUCCESS" // the mail server has it
	Failure State = "FAILURE" // nobody will try again
)

// Texts of mail that cannot be sent.
const (
	textNoMail     = "Codes by e-mail are not sent here: choose the device_type code_generator."
	textNoTestMail = "No mail is sent here, so there is no task to start."
)

// mails reports whether there is mail.
func (x *exchange) mails() bool { return x.o.Messages != nil && x.o.Messages.Can() }

// handOver mails fresh backup tokens, as the original did with each device. Without mail
// an administrator hands them out. A mail counts at its receiver and at the network of
// whoever causes it: where signup is open, addresses are a stranger's choice.
func (x *exchange) handOver(tx store.Tx, u *account.User, codes []string) error {
	if len(codes) == 0 || !x.mails() {
		return nil
	}
	origin := throttle.Origin{Client: x.client.Addr, Exempt: x.client.Exempt}
	if err := x.o.Throttle.Send(tx, throttle.Of(u.ID), origin); err != nil {
		return err
	}
	if err := x.o.Messages.BackupTokens(tx, u, codes); err != nil {
		return err
	}
	return x.o.Factors.Mailed(tx, u.ID)
}

// deviceOptions are what makes a device that is active at once, as the original's were:
// no first code is asked for. Of a mailed one nothing is proved until a code came back;
// until then the address is its owner's word.
func deviceOptions(u *account.User, kind string) factor.EnrollOptions {
	if kind == byEmail {
		return factor.EnrollOptions{Method: factor.Email, Confirmed: true}
	}
	return factor.EnrollOptions{Label: u.Email, Confirmed: true}
}

// noDevice gives the reason why there is no such device the original's form; others come
// back as they are.
func noDevice(err error, kind string) error {
	unknown := errors.Is(err, factor.ErrUnknownMethod) || errors.Is(err, factor.ErrCannotSend)
	switch {
	case unknown && kind == byEmail:
		return detail(http.StatusBadRequest, textNoMail)
	case unknown:
		return detail(http.StatusBadRequest, "This device_type is not available here: choose the other one.")
	}
	return err
}

// testCelery queues a mail.
func (x *exchange) testCelery() error {
	if !x.mails() {
		return detail(http.StatusServiceUnavailable, textNoTestMail)
	}
	var id string
	err := x.o.Store.Update(x.r.Context(), func(tx store.Tx) (err error) {
		id, err = x.o.Messages.Test(tx)
		return err
	})
	if err != nil {
		return err
	}
	x.json(http.StatusOK, struct {
		ID string `json:"task_id"`
	}{id})
	return nil
}

// taskStatus says what became of it. Of a task that there is not it says what Celery
// says of an unknown one.
func (x *exchange) taskStatus() error {
	id, sent := formValues(x.r.URL.RawQuery)["task_id"]
	if !sent {
		return unprocessable(missing("query", "task_id"))
	}
	state := Pending
	if x.o.Messages != nil {
		var err error
		if state, err = x.o.Messages.State(x.r.Context(), id); err != nil {
			return err
		}
	}
	x.json(http.StatusOK, struct {
		State  State   `json:"state"`
		Result *string `json:"result"`
	}{State: state})
	return nil
}
