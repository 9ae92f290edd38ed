package protocol

// From Linux 6.12 on, the kernel lets no program that changes packet data replace a function
// of the dispatcher of libxdp before 1.5.5. Then xdpmux's own dispatcher hosts the program.
// Tools of that libxdp can't change the chain any more, as they would have to put the program
// into a dispatcher of their own. Such a dispatcher is marked by the name of its map, which
// costs nothing to read.
const (
	ownObject    = "xdp_dispatcher" // libbpf makes the map's name of the object's
	lockedObject = "xdpmuxpd"
	lockedMap    = lockedObject + ".rodata"
)
