package command

import (
	"context"
	"log/slog"
	"net/http"
)

// Shell is what a program that carries this command line gives to it. The
// commands know neither configuration files nor stores: they ask the shell.
//
// A nil Serve, Check or Explain leaves that command out (Caddy serves by
// itself), a nil Proxy the flag --proxy. AdminDial and OpenDirect are required. All functions are called at
// most once per command, from one goroutine.
type Shell struct {
	// Version is what `version` prints, such as "v0.1.0" or "(devel)".
	Version string

	// Use is the name of the root command: "sallyport", the default. Under
	// `caddy sallyport` it is "sallyport" too.
	Use string

	// Serve runs the server until ctx ends, and returns nil after a graceful
	// stop. It prints the setup link itself, to standard error.
	Serve func(ctx context.Context, g Global, f ServeFlags) error

	// Check validates the configuration and describes each rule. A wrong
	// configuration is an error that names file, line and what was expected.
	// Nothing is opened and nothing is created.
	Check func(ctx context.Context, g Global) (Report, error)

	// Proxies names the proxies that Proxy knows.
	Proxies []string

	// Proxy makes the files that one of Proxies needs to ask this server, and
	// says what to mind. Nothing is opened and nothing is created. An error is
	// for a configuration that cannot work behind a proxy, and says what to do.
	Proxy func(ctx context.Context, g Global, proxy string) (ProxySetup, error)

	// Explain says which rule decides a request, and why, without a store.
	Explain func(ctx context.Context, g Global, q Question) (Explanation, error)

	// AdminDial returns a way to the admin socket of the running server. When
	// no server answers it returns nil and no error: then OpenDirect is used.
	// An error is for a socket that exists and refuses us. The URLs sent
	// through it have the paths of the API and a host that means nothing.
	AdminDial func(ctx context.Context, g Global) (http.RoundTripper, error)

	// HasState says whether OpenDirect would find a state. Nil: it would not.
	HasState func(ctx context.Context, g Global) bool

	// OpenDirect opens the store in this process and returns the handler that
	// the admin socket would have (actor: local), and what closes it again.
	// Where there is no state it makes one only for a command that may
	// (Global.Create), and a directory only where one was named. Its errors are
	// sentences that name the directory and the way out.
	OpenDirect func(ctx context.Context, g Global) (admin http.Handler, closeStore func() error, err error)
}

// Global is what stands before the command: --state and --config, or
// SALLYPORT_STATE and SALLYPORT_CONFIG. Empty means the shell's default.
type Global struct {
	State  string
	Config string
	// Create says that the command may make a state where there is none: it
	// brings what the state is to hold. All others look for what is there.
	Create bool
	// Logger writes to standard error; never nil.
	Logger *slog.Logger
}

// ServeFlags are the flags of `serve`. They win over the configuration file;
// empty says nothing.
type ServeFlags struct {
	Listen   string // host:port, or unix:PATH
	Upstream string // http:// or https:// URL of the one site behind the gateway
	Demo     bool   // guard a built-in page that shows which identity headers arrived
}

// Report is the answer of `check`: what a good configuration means.
type Report struct {
	// File is the configuration file, empty where the defaults alone stand.
	File string `json:"file"`
	// Rules are in the order in which they are asked.
	Rules []RuleReport `json:"rules"`
	// Facades are whole sentences: where each is, who may call it, what it shows.
	Facades []string `json:"facades,omitempty"`
	// Warnings are whole sentences about what is allowed but probably not
	// meant. They do not change the exit code.
	Warnings []string `json:"warnings"`
}

// RuleReport explains one rule.
type RuleReport struct {
	Number int    `json:"number"` // from 1, as error texts count
	Name   string `json:"name,omitempty"`
	Text   string `json:"text"` // one sentence: what it matches and what it demands
}

// ProxySetup is the answer of `check --proxy`: files to copy.
type ProxySetup struct {
	Proxy string      `json:"proxy"`
	Files []ProxyFile `json:"files"`
	// Warnings are whole sentences about what will not work, or not as meant.
	Warnings []string `json:"warnings"`
}

// ProxyFile is one file of a proxy's configuration.
type ProxyFile struct {
	Path string `json:"path"` // where it belongs
	Text string `json:"text"`
}

// Question is the request that `explain` asks about.
type Question struct {
	Method string
	URL    string // absolute
	// As is name@realm, or empty for a stranger.
	As string
	// Groups are those that the user is in, or is taken to be in.
	Groups []string
	// Disabled says that the user, or the service, is.
	Disabled bool
	// Unknown says that there is a state, and that it has no such user or service.
	Unknown bool
	// Service says that As is a service, and not a user: it has no groups and no
	// factors. AllowFrom are the networks that it may call from (none: all), and
	// SubjectOnly says that its tokens open nothing.
	Service     bool
	AllowFrom   []string
	SubjectOnly bool
	// Factors is the number of factors in the session: 0, 1 or 2.
	Factors int
	// Client is the address of the caller, empty for one that no rule names.
	Client string
}

// Explanation is the answer of `explain`.
type Explanation struct {
	Decision string `json:"decision"` // allow, challenge or deny
	// Rule is the number of the rule that decided, from 1; 0: no rule matched.
	Rule     int    `json:"rule"`
	RuleName string `json:"rule_name,omitempty"`
	Reason   string `json:"reason"`
	// Trace says of every rule that was looked at why it did or did not match.
	Trace []string `json:"trace,omitempty"`
}
