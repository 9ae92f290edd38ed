// Package protocol holds all that libxdp dictates, in the order of its protocol document
// (protocol.org of xdp-tools): the dispatcher's configuration in each version, where its
// pins lie, the bpffs and the lock on it, how a dispatcher on an interface is read, the
// dispatcher objects, and the probe of whether the kernel can run one.
package protocol
