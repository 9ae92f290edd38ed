// Package check finds out whether chains can run: on this machine ([System]), on an
// interface ([Interface]), and what a driver can do for XDP ([QueryFeatures]). It tries
// what a chain needs instead of comparing versions, and leaves nothing behind.
package check
