// Command sallyport is the standalone gateway and its command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/sallyport-auth/sallyport/internal/command"
	"github.com/sallyport-auth/sallyport/internal/gateway"
)

// version is set by the linker; see the Makefile.
var version string

func main() {
	os.Exit(run(os.Args[1:]))
}

// run executes one command line and returns the exit code.
func run(args []string) int {
	closedUmask()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once, but not one that a terminal or
	// a supervisor sent together with the first.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	return command.Run(ctx, shell(), args, os.Stdin, os.Stdout, os.Stderr)
}

func shell() command.Shell {
	s := gateway.CommandShell(versionText())
	s.Serve = serve
	return s
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
