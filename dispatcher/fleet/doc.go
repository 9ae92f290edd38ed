// Package fleet is what xdpmux says to a cluster of Kubernetes: its objects, XDPChain and
// XDPNode. It talks to no API server, and works without a kernel.
package fleet
