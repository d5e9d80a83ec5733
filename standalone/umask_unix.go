//go:build unix

package main

import "syscall"

// closedUmask keeps what this process makes to its own user: the engine makes
// files of its own below the state directory.
func closedUmask() { syscall.Umask(0o077) }
