//go:build !unix

package main

// closedUmask has nothing to do here.
func closedUmask() {}
