package desired

import "github.com/xdpmux/xdpmux/dispatcher/xdp"

// Place is how a program takes its place in a chain.
type Place struct {
	Priority uint32      `json:"priority"`
	Actions  xdp.Actions `json:"actions"`
	Frags    bool        `json:"frags"`
}

// wanted is a program that should run. What the file leaves open is filled in.
type wanted struct {
	entry    Program
	data     []byte // of the object
	place    Place
	function string // its name in the kernel
	digest   string // of what it is made from
	contents []xdp.MapEntry
	calls    []xdp.TailCall
	metadata []string // the functions by which it asks the driver for metadata

	variables map[string]any // their bytes

	// tag and unlike are known only if programs of that function run that Apply has not
	// put there. tag is the one that the wanted program has when it is loaded. unlike
	// says, by the id of a running program with the same tag, what makes it another one;
	// it is empty if nothing does.
	tag    string
	unlike map[uint32]string
}

// load is how the program is loaded.
func (w *wanted) load() xdp.Program {
	return xdp.Program{
		File: w.entry.Object, Data: w.data, Name: w.function, PinPath: w.entry.PinPath, Contents: w.contents, MapSizes: w.entry.MapSizes,
		Variables: w.variables, TailCalls: w.calls,
		Priority: &w.place.Priority, Actions: &w.place.Actions, Frags: &w.place.Frags,
	}
}

// pinPath takes nil too.
func (w *wanted) pinPath() string {
	if w == nil {
		return ""
	}
	return w.entry.PinPath
}
