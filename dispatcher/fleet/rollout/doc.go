// Package rollout decides which node of a cluster runs which content of which chain.
//
// [Decide] sees all chains and nodes as the API server has them, and says what is to be handed
// out to nodes and what is to be said of chains. It is a function: nothing is remembered between
// two calls but what is written down in the objects. So it makes no difference which leader calls
// it, nor whether the one before was killed in the middle.
//
// # A change
//
// The content of a chain that all its nodes have confirmed is stable, and stands in the chain's
// status. Another content in its spec is handed out in steps: never do more nodes try it at once
// than maxUnavailable. A node that has confirmed it makes place for the next. The first node on
// which it fails ends that, as does one that says nothing in time: that is written down first, and
// then each node that has got the content gets the stable one back. Nothing is tried again until
// the spec changes.
//
// Nodes that aren't ready are left out, and get what stands when they are back. A node that is
// new gets the stable content at once, and what is being tried when its turn comes.
//
// # Conflicts
//
// An interface belongs to one chain. While two chains that choose the same node name the same
// interface, neither is handed out any further, and all stays as it is. A node is never handed
// two contents that name one interface.
package rollout
