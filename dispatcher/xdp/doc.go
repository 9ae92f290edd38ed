// Package xdp holds the words that all of xdpmux speaks: verdicts, chain call actions,
// attach modes, interfaces, programs and the kinds of errors. It has no C and makes no
// system call, so that whatever plans, parses or renders is tested without root.
package xdp
