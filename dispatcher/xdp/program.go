package xdp

// MaxPrograms is how many component programs a dispatcher takes.
const MaxPrograms = 10

// MapEntry is an entry that a map holds before its program sees a packet.
type MapEntry struct {
	Map   string // the map's name; of global variables that of their section, such as ".bss"
	Key   []byte // of the map's size
	Value []byte // of the map's size. Each CPU of a per-CPU map gets it; or it is the values of all possible CPUs, each rounded up to 8 bytes
}

// TailCall is a program that a slot of a program array (BPF_MAP_TYPE_PROG_ARRAY) holds.
type TailCall struct {
	Map  string // the array's name
	Slot uint32
	File string // the object file of the program that is called; with Data, only what errors call it; empty, without Data: that of the one that calls
	Data []byte // the object itself; nil: it is read from File
	Name string // the function's name; empty: the first program of File that can be XDP
}

// Program says which program of which object to load, and how it takes its place in the
// chain. Only File or Data is needed.
type Program struct {
	File     string   // the object file; with Data, only what errors call it
	Data     []byte   // the object itself, such as one that was embedded by go:embed; nil: it is read from File
	Section  string   // the ELF section that holds the program; not together with Name
	Name     string   // the function's name; without both, it is the first program of the object that can be XDP
	Priority *uint32  // run priority, lower runs earlier; nil: what the object says, else 50
	Actions  *Actions // chain call actions; nil: what the object says, else XDP_PASS
	Frags    *bool    // the program takes packets of several buffers; nil: what its section says
	PinPath  string   // maps that ask for pinning are pinned below it; empty: no map is pinned

	// MapSizes are numbers of entries (max_entries) that maps get instead of those of the
	// object, by the names of the maps. A map that others use already keeps its size.
	MapSizes map[string]uint32

	// UseMaps are ids of loaded maps that the program uses instead of maps of its own, by the
	// names of the maps: ".data" and the like are global variables. They have to be made as
	// the object says, and keep what they hold.
	UseMaps map[string]uint32

	// Variables are values that global variables get instead of those of the object, by the
	// names of the variables. They are set before the load: of a constant (const volatile)
	// the verifier knows the value. Each is one of
	//   - a number of any type that fits,
	//   - a string, for an array of char,
	//   - []byte, of the variable's size,
	//   - an address ([net/netip.Addr]), in the byte order of the wire,
	//   - what package encoding/binary takes, such as bool or a struct, laid out as in C: a
	//     field named _ stands where C leaves a gap.
	//
	// Where a dispatcher.Replacement keeps maps, only constants are set: other variables
	// keep their values.
	Variables map[string]any

	// Contents are entries that its maps have before it sees a packet. Maps that others use
	// already keep what they hold: those that were found at their pin, or that a
	// dispatcher.Replacement keeps. An offloaded program's maps get none.
	Contents []MapEntry

	// Restore is what maps held in an earlier load of the program, by their names. Such a map
	// gets these entries instead of its Contents. It is no part of what is written down of the
	// load: a further one would begin with the Contents again.
	Restore map[string][]MapEntry

	// TailCalls are programs that its program arrays hold before it sees a packet, beside those
	// that its object puts there, or in their place. They use the maps of this program that
	// have the same names and layouts. An array that others use already keeps what it holds.
	TailCalls []TailCall
}

// Prio is a run priority, for [Program.Priority].
func Prio(p uint32) *uint32 { return &p }
