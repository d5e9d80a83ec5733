package trench

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/factor"
)

// What the original says of a code that is asked for.
const (
	useApp     = "Generate code using your authenticator app."
	useYubiKey = "Generate code using YubiKey"
	usePasskey = "Use your passkey." // no method of the original
	sentMail   = "Email message with MFA code has been sent."
	sentSMS    = "SMS message with MFA code has been sent."
	sentOwn    = "Message with MFA code has been sent." // the original leaves it to the project
)

type messageBody struct {
	Message string `json:"message"`
}

// told is the form in which the original says where the code is.
func (f *Facade) told(text string) *answer {
	if f.old {
		return ok(messageBody{text})
	}
	return ok(detailsBody{text})
}

// whereIs says where the code of a method is to be found, once it was sent.
func (f *Facade) whereIs(method factor.Name) *answer {
	switch method {
	case factor.TOTP:
		return f.told(useApp)
	case factor.YubiKey:
		return f.told(useYubiKey)
	case factor.Passkey:
		return f.told(usePasskey)
	case factor.Email:
		return f.told(sentMail)
	case factor.SMS:
		return f.told(sentSMS)
	}
	return f.told(sentOwn)
}

// undelivered gives an error of sending the form of the original, where a message that
// could not leave is 422 (0.3). Others come back as they are.
func (f *Facade) undelivered(err error) (*answer, error) {
	switch {
	case errors.Is(err, factor.ErrUnknownMethod), errors.Is(err, factor.ErrCannotSend):
		return failed(noMethod), nil
	case !errors.Is(err, factor.ErrNoTarget):
		return nil, err
	}
	const text = "The account has no address or number to which a code could be sent."
	if f.old {
		return failed(text), nil
	}
	return &answer{status: http.StatusUnprocessableEntity, body: detailsBody{text}}, nil
}

// sourceOf is the field of the original's user of which a method needs one, and where
// an account of ours says it; "": it needs none.
func sourceOf(method factor.Name) (field string, ours account.Field) {
	switch method {
	case factor.Email:
		return "email", account.EmailField
	case factor.SMS:
		return "phone_number", account.PhoneField
	}
	return "", ""
}

// says is what an account has in a field.
func says(u *account.User, field account.Field) string {
	switch field {
	case account.EmailField:
		return u.Email
	case account.PhoneField:
		return u.Phone
	}
	return ""
}

// target is where a first code shall go, if the account does not say it: what the body
// says, which becomes the account's once the code came back. Where the account says it,
// the body is not read for it.
func (f *Facade) target(c *call, v view, method factor.Name) (to string, refused *answer) {
	field, ours := sourceOf(method)
	if field == "" || v.address != "" || c.enrolling != "" {
		return "", nil
	}
	in, refused := c.fields()
	if refused != nil {
		if f.old {
			return "", refused
		}
		return "", nil // 0.3 does not need the body
	}
	text, sent := in.text(field, f.old)
	if refused := in.refused(); refused != nil || !sent {
		return "", refused
	}
	to, err := account.CanonicalTarget(ours, text)
	if err != nil {
		return "", fieldAnswer(field, cmp.Or(map[string]string{"email": "Enter a valid email address."}[field], "Enter a valid phone number."))
	}
	return to, nil
}
