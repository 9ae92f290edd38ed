// Package kube keeps the nodes of a cluster of Kubernetes as its XDPChain objects declare them.
//
// It is two parts, which meet only at the API server. On each node, [RunNode] watches the node's
// XDPNode, has package agent keep the machine as the XDPNode's spec says, and writes to its status
// what runs. [Lead] watches all XDPChain, XDPNode and Node objects, and writes what package rollout
// decides: hand-outs into the spec of each XDPNode, and how far it has come into the status of each
// XDPChain. Of several leaders one leads at a time, by a Lease.
//
// Both wait for events, and ask for nothing in between. A node needs the API server only for
// changes: what it was handed is on its disk.
//
// It is a module of its own, because client-go alone takes longer to compile than all of xdpmux.
package kube
