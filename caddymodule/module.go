// Package caddymodule puts Sallyport into Caddy: the app "sallyport", which holds
// the shared configuration and the open gateway, and the handler
// "http.handlers.sallyport", which guards a route. Both work when the app is not
// configured at all:
//
//	app.example.com {
//		sallyport
//		reverse_proxy localhost:3000
//	}
//
// asks for two factors of users and administrators, has the login pages on the
// same host below /sallyport/, and keeps its state in Caddy's data directory.
//
// What must outlive a reload stands in shared.go; what a configuration means in
// app.go; what becomes of a request in handler.go; the Caddyfile in caddyfile.go
// and block.go; what can be known of a whole configuration in survey.go; the
// command line in command.go.
package caddymodule

import (
	"path/filepath"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// modulePath is how this module is named among a build's dependencies.
const modulePath = "github.com/sallyport-auth/sallyport"

func init() {
	caddy.RegisterModule(&App{})
	caddy.RegisterModule(&Handler{})
	httpcaddyfile.RegisterGlobalOption("sallyport", parseGlobal)
	httpcaddyfile.RegisterDirective("sallyport", parseDirective)
	// Before basic_auth, so after rewrite: the decision is on what goes on.
	httpcaddyfile.RegisterDirectiveOrder("sallyport", httpcaddyfile.Before, "basic_auth")
	caddycmd.RegisterCommand(commandLine())
}

// defaultStateDir is where state lives when the configuration says nothing.
func defaultStateDir() string { return filepath.Join(caddy.AppDataDir(), "sallyport") }

// version is that of this module in the running build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(devel)"
	}
	modules := append([]*debug.Module{&info.Main}, info.Deps...)
	for _, m := range modules {
		if m.Path == modulePath && m.Version != "" && m.Replace == nil {
			return m.Version
		}
	}
	return "(devel)"
}
