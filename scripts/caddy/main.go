// Command caddy is Caddy with this checkout's module, as `make caddy` builds it,
// but by the go command alone: the tests build it with the race detector.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/sallyport-auth/sallyport/caddymodule"
)

func main() { caddycmd.Main() }
