// Package native is what a process has once for the C libraries: the lock around
// libxdp, and the hook through which libbpf and libxdp say what they have to say.
package native
