// Package fleet tests xdpmux on a cluster: a real kube-apiserver, which this module builds, with
// etcd behind it. Nodes are processes' parts whose kernel only remembers, and for TestVMs VMs of
// test/vm, which reach the API server through qemu's user network.
//
// It is a module of its own: an API server takes minutes to compile. make test-fleet runs it.
package fleet
