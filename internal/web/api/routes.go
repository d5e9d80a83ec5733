package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// register is the table of everything that this package answers.
func (a *API) register(h huma.API) {
	get, post, put, patch, del := http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	user, service := "/users/{realm}/{name}", "/services/{realm}/{name}"

	// The doors.
	add(a, h, Route{Method: post, Path: "/login", Who: Anyone, Summary: "First door: a password"}, a.login)
	add(a, h, Route{Method: post, Path: "/login/challenge", Who: Anyone, Status: 202, Summary: "Send a code (again)"}, a.challenge)
	add(a, h, Route{Method: post, Path: "/login/code", Who: Anyone, Summary: "Second door: a one-time code"}, a.code)
	add(a, h, Route{Method: post, Path: "/login/recovery-code", Who: Anyone, Summary: "Second door: a recovery code"}, a.recoveryCode)
	add(a, h, Route{Method: post, Path: "/login/passkey/begin", Who: Anyone, Summary: "Ask for a challenge that a passkey signs"}, a.beginPasskey)
	add(a, h, Route{Method: post, Path: "/login/passkey", Who: Anyone, Summary: "Second door, or both: a passkey"}, a.passkey)
	add(a, h, Route{Method: post, Path: "/token/refresh", Who: Anyone, Summary: "Trade a refresh token for a new pair"}, a.refresh)
	a.registerToken(h)
	add(a, h, Route{Method: post, Path: "/password-reset", Who: Anyone, Status: 202, Summary: "Ask for a link to a new password"}, a.requestReset)
	add(a, h, Route{Method: post, Path: "/password-reset/confirm", Who: Anyone, Status: 204, Summary: "Set a new password by such a link"}, a.finishReset)
	add(a, h, Route{Method: post, Path: "/register", Who: Anyone, Status: 202, Summary: "Ask for a link to make an account"}, a.registerAddress)
	add(a, h, Route{Method: post, Path: "/register/confirm", Who: Anyone, Status: 201, Summary: "Make an account by such a link"}, a.finishRegistration)
	add(a, h, Route{Method: post, Path: "/not-me", Who: Anyone, Status: 204, Summary: "Say that a notice is of what others did: all that is open ends"}, a.notMe)
	add(a, h, Route{Method: post, Path: "/logout", Who: Owner, Status: 204, SharedCookie: true, Summary: "End the session and its tokens"}, a.logout)

	// The own record.
	add(a, h, Route{Method: get, Path: "/me", Who: Owner, SharedCookie: true, Summary: "The own record"}, a.me)
	add(a, h, Route{Method: patch, Path: "/me", Who: OwnerChange, Summary: "Change the own record"}, a.changeMe)
	add(a, h, Route{Method: post, Path: "/me/confirm", Who: OwnerChange, Summary: "Confirm a new address or number by the code that was sent to it"}, a.confirmMe)
	add(a, h, Route{Method: put, Path: "/me/password", Who: Owner, Status: 204, Summary: "Change the own password"}, a.changePassword)
	add(a, h, Route{Method: get, Path: "/me/methods", Who: Owner, Summary: "The own second factors"}, a.methods)
	add(a, h, Route{Method: put, Path: "/me/methods/primary", Who: OwnerChange, Summary: "Choose the factor that is asked for first"}, a.setPrimary)
	add(a, h, Route{Method: post, Path: "/me/methods/{method}/activate", Who: OwnerOrEnrolling, Summary: "Begin to set up a factor"}, a.activate)
	add(a, h, Route{Method: post, Path: "/me/methods/{method}/confirm", Who: OwnerOrEnrolling, Summary: "End setting up a factor with its first code"}, a.confirm)
	add(a, h, Route{Method: post, Path: "/me/methods/{method}/deactivate", Who: OwnerChange, Status: 204, Summary: "Take a factor away"}, a.deactivate)
	add(a, h, Route{Method: post, Path: "/me/methods/{method}/challenge", Who: Owner, Status: 202, Summary: "Send a code of an own method, for a call that asks for one"}, a.challengeOwn)
	add(a, h, Route{Method: patch, Path: "/me/methods/{method}/{id}", Who: OwnerChange, Summary: "Name a device"}, a.rename)
	add(a, h, Route{Method: post, Path: "/me/methods/passkey/prove/begin", Who: Owner, Summary: "Ask for a challenge that an own passkey signs, for a call that asks for a code"}, a.askPasskey)
	add(a, h, Route{Method: post, Path: "/me/methods/passkey/prove", Who: Owner, Summary: "Trade such a signature for a code, good once"}, a.provePasskey)
	add(a, h, Route{Method: post, Path: "/me/recovery-codes", Who: OwnerChange, Summary: "Make fresh recovery codes"}, a.ownRecoveryCodes)
	add(a, h, Route{Method: get, Path: "/me/sessions", Who: Owner, Summary: "The own sessions"}, a.ownSessions)
	add(a, h, Route{Method: del, Path: "/me/sessions", Who: Owner, Status: 204, Summary: "End all other own sessions, and the trust in all own browsers"}, a.endOtherSessions)
	add(a, h, Route{Method: del, Path: "/me/sessions/{id}", Who: Owner, Status: 204, Summary: "End an own session"}, a.endOwnSession)
	add(a, h, Route{Method: get, Path: "/me/trusted-browsers", Who: Owner, Summary: "The own trusted browsers"}, a.ownTrusted)
	add(a, h, Route{Method: del, Path: "/me/trusted-browsers", Who: Owner, Status: 204, Summary: "End the trust in all own browsers"}, a.endAllTrusted)
	add(a, h, Route{Method: del, Path: "/me/trusted-browsers/{id}", Who: Owner, Status: 204, Summary: "End the trust in an own browser"}, a.endTrusted)

	// Users.
	add(a, h, Route{Method: get, Path: "/users", Who: Capable, Summary: "List users"}, a.listUsers)
	add(a, h, Route{Method: post, Path: "/users", Who: Capable, Status: 201, Once: true, Summary: "Add a user"}, a.createUser)
	add(a, h, Route{Method: post, Path: "/users/import", Who: LocalOnly, Summary: "Bring users from elsewhere, with their hashes"}, a.importUsers)
	add(a, h, Route{Method: get, Path: "/users/export", Who: LocalOnly, Summary: "Users in the words of an import, with their hashes if asked for"}, a.exportUsers)
	add(a, h, Route{Method: get, Path: user, Who: Capable, Summary: "A user's record"}, a.showUser)
	add(a, h, Route{Method: patch, Path: user, Who: Capable, Match: true, Summary: "Change a user"}, a.changeUser)
	add(a, h, Route{Method: del, Path: user, Who: Capable, Status: 204, Match: true, Summary: "Delete a user"}, a.deleteUser)
	add(a, h, Route{Method: post, Path: user + "/totp", Who: Capable, Status: 201, Once: true, Summary: "Give a user a TOTP factor, active at once"}, a.provision)
	add(a, h, Route{Method: get, Path: user + "/totp/qr.png", Who: OwnerOrCapable, Image: true, Summary: "The TOTP secret as a picture, while it may be shown"}, a.qr)
	add(a, h, Route{Method: post, Path: user + "/verify", Who: Capable, Summary: "Ask whether a user's code is good, and burn it"}, a.verify)
	add(a, h, Route{Method: post, Path: user + "/recovery-codes", Who: Capable, Once: true, Summary: "Make fresh recovery codes for a user"}, a.userRecoveryCodes)
	add(a, h, Route{Method: post, Path: user + "/invite", Who: Capable, Once: true, Summary: "Make or send a link with which a user chooses a password"}, a.invite)
	add(a, h, Route{Method: del, Path: user + "/sessions", Who: Capable, Status: 204, Summary: "End all sessions of a user, and the trust in all browsers"}, a.endUserSessions)
	add(a, h, Route{Method: del, Path: user + "/methods", Who: Capable, Status: 204, Summary: "Take all factors of a user away"}, a.resetMethods)
	add(a, h, Route{Method: del, Path: user + "/methods/{method}", Who: Capable, Status: 204, Summary: "Take a factor of a user away"}, a.removeMethod)

	// Services.
	add(a, h, Route{Method: get, Path: "/services", Who: Capable, Summary: "List services"}, a.listServices)
	add(a, h, Route{Method: post, Path: "/services", Who: Capable, Status: 201, Once: true, Summary: "Add a service; its seed is shown once"}, a.createService)
	add(a, h, Route{Method: post, Path: "/services/import", Who: LocalOnly, Summary: "Bring services from elsewhere, with their seeds"}, a.importServices)
	add(a, h, Route{Method: get, Path: service, Who: Capable, Summary: "A service's record"}, a.showService)
	add(a, h, Route{Method: patch, Path: service, Who: Capable, Match: true, Summary: "Change a service, disable it, or bind it to networks"}, a.changeService)
	add(a, h, Route{Method: del, Path: service, Who: Capable, Status: 204, Match: true, Summary: "Delete a service"}, a.deleteService)
	add(a, h, Route{Method: post, Path: service + "/rotate", Who: Capable, Match: true, Once: true, Summary: "Give a service a new seed; it is shown once"}, a.rotateService)
	add(a, h, Route{Method: post, Path: "/verify", Who: Capable, Summary: "Ask whether a token is good, and burn it for all who ask"}, a.verifyToken)

	// Realms.
	add(a, h, Route{Method: get, Path: "/realms", Who: Capable, Summary: "List realms"}, a.listRealms)
	add(a, h, Route{Method: get, Path: "/realms/{realm}", Who: Capable, Summary: "A realm's settings"}, a.showRealm)
	add(a, h, Route{Method: put, Path: "/realms/{realm}", Who: Capable, Match: true, Summary: "Make a realm, or set what it demands"}, a.setRealm)
	add(a, h, Route{Method: del, Path: "/realms/{realm}", Who: Capable, Status: 204, Match: true, Summary: "Delete an empty realm"}, a.deleteRealm)

	// What is going on.
	// Keys that are judged here.
	add(a, h, Route{Method: get, Path: "/yubikeys", Who: Capable, Summary: "List the YubiKeys whose secrets are registered"}, a.listYubiKeys)
	add(a, h, Route{Method: post, Path: "/yubikeys", Who: Capable, Status: 201, Summary: "Register the secret of a YubiKey, so that it is judged here"}, a.registerYubiKey)
	add(a, h, Route{Method: del, Path: "/yubikeys/{public_id}", Who: Capable, Status: 204, Summary: "Forget the secret of a YubiKey"}, a.forgetYubiKey)

	add(a, h, Route{Method: get, Path: "/sessions", Who: Capable, Summary: "List sessions"}, a.listSessions)
	add(a, h, Route{Method: del, Path: "/sessions/{id}", Who: Capable, Status: 204, Summary: "End a session"}, a.endSession)
	add(a, h, Route{Method: get, Path: "/audit", Who: Capable, Summary: "What happened"}, a.events)
	add(a, h, Route{Method: get, Path: "/outbox", Who: Capable, Summary: "Messages to people, and what became of them"}, a.listOutbox)
	add(a, h, Route{Method: post, Path: "/outbox/{id}/retry", Who: Capable, Status: 202, Summary: "Try to send a message again"}, a.retryMessage)
	add(a, h, Route{Method: del, Path: "/outbox/{id}", Who: Capable, Status: 204, Summary: "Delete a message; it is not sent any more"}, a.deleteMessage)
	add(a, h, Route{Method: post, Path: "/setup-link", Who: LocalOnly, Summary: "Make a link to create the first administrator"}, a.setupLink)
}
