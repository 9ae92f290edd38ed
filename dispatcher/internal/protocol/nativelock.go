package protocol

// Where the kernel lets no program that changes packet data replace a function of the
// installed libxdp's dispatcher (from Linux 6.12 on, libxdp before 1.5.5), xdpmux's own
// hosts it. Tools of that libxdp can then change the chain no more: they would have to
// put the program into a dispatcher of their own. Such a dispatcher has a mark that costs
// nothing to read: the name of its map.
const (
	ownObject    = "xdp_dispatcher" // the object's name, of which libbpf makes that of the map
	lockedObject = "xdpmuxpd"
	lockedMap    = lockedObject + ".rodata"
)
