// Package native is what all that call the C libraries need: the lock around libxdp, the
// hook through which libbpf and libxdp say what they have to say, and which programs of an
// object are loaded.
package native
