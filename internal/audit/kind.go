package audit

// Kind says what happened, in dotted words that do not change: filters, alerts
// and metrics hang on them.
type Kind string

const (
	KindLogin         Kind = "login" // a finished login
	KindPassword      Kind = "login.password"
	KindCode          Kind = "login.code"
	KindRecovery      Kind = "login.recovery_code"
	KindCodeSent      Kind = "login.code_sent" // a code is on its way to a person
	KindStepUp        Kind = "login.step_up"
	KindLogout        Kind = "logout"
	KindSessionOpen   Kind = "session.open"
	KindSessionRevoke Kind = "session.revoke"
	KindRefresh       Kind = "session.refresh"
	KindUserCreate    Kind = "user.create"
	KindUserUpdate    Kind = "user.update"
	KindUserDelete    Kind = "user.delete"
	KindUserDisable   Kind = "user.disable"
	KindUserEnable    Kind = "user.enable"

	KindPasswordChange Kind = "password.change"
	KindResetLink      Kind = "password.reset_link" // a link for a new password is on its way
	KindReset          Kind = "password.reset"      // such a link was used
	KindNotMe          Kind = "not_me"              // somebody says that a notice is of what others did
	KindRegister       Kind = "register"            // somebody asked for an account
	KindFactorAdd      Kind = "factor.add"
	KindFactorRemove   Kind = "factor.remove"
	KindFactorReset    Kind = "factor.reset"
	KindFactorPrimary  Kind = "factor.primary"
	KindFactorClone    Kind = "factor.clone"  // a passkey may have been copied, and was disabled
	KindFactorVerify   Kind = "factor.verify" // somebody asked whether a code is good
	KindRecoveryNew    Kind = "recovery_codes.new"
	KindYubiKeyAdd     Kind = "yubikey.add" // a secret of a key was registered, or forgotten
	KindYubiKeyRemove  Kind = "yubikey.remove"
	KindSecretShown    Kind = "secret.shown" // a facade showed a seed, or a code of the moment

	KindTrustedAdd    Kind = "trusted_browser.add"    // a browser that skips the second door from now on
	KindTrustedRemove Kind = "trusted_browser.remove" // by its owner or an administrator

	KindServiceCreate  Kind = "service.create"
	KindServiceUpdate  Kind = "service.update"
	KindServiceDisable Kind = "service.disable"
	KindServiceEnable  Kind = "service.enable"
	KindServiceRotate  Kind = "service.rotate"
	KindServiceDelete  Kind = "service.delete"
	KindToken          Kind = "service.token"  // a program proved itself, or tried to
	KindVerify         Kind = "service.verify" // somebody asked whether a token is good

	KindRealmSet    Kind = "realm.set"
	KindRealmDelete Kind = "realm.delete"
	KindSetup       Kind = "setup"
	KindInvite      Kind = "invite"
	KindThrottled   Kind = "throttled"
	KindGuard       Kind = "guard"
	KindKeys        Kind = "keys"
	KindOutbox      Kind = "outbox" // somebody tried a message again, or deleted it
)

// Known tells whether k is one of the kinds above: what may become a label.
func (k Kind) Known() bool {
	switch k {
	case KindLogin, KindPassword, KindCode, KindRecovery, KindCodeSent, KindStepUp, KindLogout, KindSessionOpen, KindSessionRevoke, KindRefresh,
		KindUserCreate, KindUserUpdate, KindUserDelete, KindUserDisable, KindUserEnable,
		KindPasswordChange, KindResetLink, KindReset, KindNotMe, KindRegister, KindFactorAdd, KindFactorRemove, KindFactorReset, KindFactorPrimary, KindFactorClone, KindFactorVerify, KindRecoveryNew, KindYubiKeyAdd, KindYubiKeyRemove, KindSecretShown, KindTrustedAdd, KindTrustedRemove,
		KindServiceCreate, KindServiceUpdate, KindServiceDisable, KindServiceEnable, KindServiceRotate, KindServiceDelete, KindToken, KindVerify,
		KindRealmSet, KindRealmDelete, KindSetup, KindInvite, KindThrottled, KindGuard, KindKeys, KindOutbox:
		return true
	}
	return false
}

// Outcome says how it ended. The zero Outcome is none and is recorded as Failed.
type Outcome string

const (
	OK     Outcome = "ok"
	Denied Outcome = "denied" // an answer: bad credentials, not allowed, wait
	Failed Outcome = "failed" // a failure of ours
)
