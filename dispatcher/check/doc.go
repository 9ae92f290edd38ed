// Package check finds out whether chains can run: on this machine ([System]), and on an
// interface ([Interface]). It tries what a chain needs instead of comparing versions, and
// leaves nothing behind. [QueryFeatures] asks what a driver can do for XDP.
//
// Without the privileges that chains take, a check says which of them are missing.
package check
