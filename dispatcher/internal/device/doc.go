// Package device is the one reader of network interfaces: what netlink says of them and
// of their XDP programs, and the network namespaces that they are in.
package device
