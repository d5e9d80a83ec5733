package notify

import "slices"

// Kind says which text a message has. Names of template files begin with it, so it
// does not change.
type Kind string

// The kinds. The first carry a code or a link and are worthless without; the rest
// are notices of what happened to an account.
const (
	LoginCode     Kind = "login_code"     // a code for the second door
	EmailCode     Kind = "email_code"     // a code that confirms an address
	PhoneCode     Kind = "phone_code"     // a code that confirms a number
	MethodCode    Kind = "method_code"    // a code that confirms an own method
	Reset         Kind = "reset"          // a link that sets a new password
	Invitation    Kind = "invitation"     // a link that opens an account
	Registration  Kind = "registration"   // a link, or a code, that ends a registration
	AccountExists Kind = "account_exists" // somebody registered an address that has an account
	BackupTokens  Kind = "backup_tokens"  // recovery codes, where a facade sends them
	Test          Kind = "test"           // to try whether messages arrive

	SignedIn          Kind = "signed_in" // from a browser or network not seen before
	PasswordChanged   Kind = "password_changed"
	FactorAdded       Kind = "factor_added"
	FactorRemoved     Kind = "factor_removed"
	FactorPrimary     Kind = "factor_primary"
	RecoveryCodesMade Kind = "recovery_codes_made"
	RecoveryCodeUsed  Kind = "recovery_code_used"
	AddressChanged    Kind = "address_changed" // to the old address
	ResetUsed         Kind = "reset_used"
	PasskeyCloned     Kind = "passkey_cloned"
	EnrolledByAdmin   Kind = "enrolled_by_admin"
	BrowserTrusted    Kind = "browser_trusted"
)

// Kinds lists all kinds.
func Kinds() []Kind { return append(letters(), notices()...) }

func letters() []Kind {
	return []Kind{LoginCode, EmailCode, PhoneCode, MethodCode, Reset, Invitation, Registration, AccountExists, BackupTokens, Test}
}

func notices() []Kind {
	return []Kind{SignedIn, PasswordChanged, FactorAdded, FactorRemoved, FactorPrimary, RecoveryCodesMade, RecoveryCodeUsed,
		AddressChanged, ResetUsed, PasskeyCloned, EnrolledByAdmin, BrowserTrusted}
}

// Known tells whether k is one of Kinds.
func (k Kind) Known() bool { return slices.Contains(letters(), k) || k.Notice() }

// Notice tells whether k only says what happened. Where nothing sends, a notice is
// dropped; every other kind is refused.
func (k Kind) Notice() bool { return slices.Contains(notices(), k) }

// The fields of a text. Each text may use each; one that a message does not have is
// empty.
const (
	FieldSite    = "site"    // the name of the installation; set by the outbox
	FieldSubject = "subject" // the subject that was rendered; not in subjects
	FieldName    = "name"    // whom the message is for
	FieldRealm   = "realm"
	FieldCode    = "code"
	FieldCodes   = "codes" // several, one a line
	FieldLink    = "link"
	FieldNotMe   = "not_me"  // a link for who did not do this
	FieldBrowser = "browser" // such as "Firefox on Linux"
	FieldNetwork = "network" // the address that it came from
	FieldWhen    = "when"    // when it happened
	FieldExpires = "expires" // how long the code or link works: "10 minutes"
	FieldMethod  = "method"  // the label of the factor
	FieldAddress = "address" // the new address, masked
	FieldBy      = "by"      // who did it, if somebody else
	FieldLeft    = "left"    // recovery codes left
)

// Fields lists the names of all fields, as templates write them: {{.code}}.
func Fields() []string {
	return []string{FieldSite, FieldSubject, FieldName, FieldRealm, FieldCode, FieldCodes, FieldLink, FieldNotMe, FieldBrowser,
		FieldNetwork, FieldWhen, FieldExpires, FieldMethod, FieldAddress, FieldBy, FieldLeft}
}

// secretFields open something. They stand in no error text.
func secretFields() []string { return []string{FieldCode, FieldCodes, FieldLink, FieldNotMe} }
