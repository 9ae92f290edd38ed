package xdp

// MaxPrograms is how many component programs a dispatcher takes.
const MaxPrograms = 10

// MapEntry is an entry that a map holds before its program sees a packet. Key and
// Value have the map's sizes; each CPU of a per-CPU map gets the value.
type MapEntry struct {
	Map        string
	Key, Value []byte
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

	// MapSizes are the maximum numbers of entries of maps, by name, instead of those of
	// the object. A map that others use already has the size that it has.
	MapSizes map[string]uint32

	// Variables are values of global variables, by name, instead of those that the object
	// gives them; constants (const volatile) are among them, which the verifier takes into
	// account. A value is a number of any type, a string for an array of char, []byte, an
	// address (netip.Addr), or what encoding/binary takes for a fixed size, in C's layout
	// with its padding. Variables that a [dispatcher.Replacement] keeps stay as they are,
	// but for constants.
	Variables map[string]any

	// Contents are entries that its maps have before it sees a packet. Maps that
	// others use already, found at their pin or kept by a [dispatcher.Replacement], keep what
	// they hold; and so do all where [dispatcher.Attach] falls back to a legacy program.
	Contents []MapEntry
}

// Prio is a run priority, for [Program.Priority].
func Prio(p uint32) *uint32 { return &p }
