// Package command owns the command line of both shells: what is typed, what is
// printed, and the exit codes. Scripts depend on it:
//
//   - exit 0: done; 1: refused or failed; 2: the command line itself is wrong.
//   - --json puts one document on standard output. Logs, prompts and errors go
//     to standard error.
//   - a secret comes from a prompt, standard input or a file, never from an
//     argument, where every process of the machine can read it.
//
// A management command is a client of the JSON API (package web/api), through
// the admin socket of the running server, or, when no server answers, through
// the same handler in this process. It has no other way in, so what the API
// refuses, the command line refuses too. The actor is local in both cases.
package command
